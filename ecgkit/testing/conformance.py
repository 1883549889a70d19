"""All checks by name, and functions that run them on a method or on everything that a plugin registers."""

import time
from collections.abc import Callable, Sequence

from ecgkit.entries import Entry, MethodEntry
from ecgkit.errors import EcgkitError, PluginError, did_you_mean
from ecgkit.plugins import Plugin, host
from ecgkit.testing import encoding, entry_checks, feeding, learning, stepping, trainings
from ecgkit.testing.case import Case
from ecgkit.testing.result import CheckFailed, CheckResult, CheckSkipped

# Checks that need no training step.
OF_ENCODERS = ("loads", "config", "deterministic", "leads", "lengths", "features", "weights")
Check = Callable[[Case], None]
Watch = Callable[[str, int, int], None]

CHECKS: dict[str, Check] = {
    "loads": entry_checks.check_loads,
    "config": entry_checks.check_config,
    "step": learning.check_step,
    "gradients": learning.check_gradients,
    "learns": learning.check_learns,
    "deterministic": encoding.check_deterministic,
    "leads": encoding.check_leads,
    "lengths": encoding.check_lengths,
    "features": encoding.check_features,
    "weights": encoding.check_weights,
    "bf16": learning.check_bf16,
    "compile": learning.check_compile,
    "supplies": feeding.check_supplies,
    "sampler": feeding.check_sampler,
    "augmentations": feeding.check_augmentations,
    "accumulation": stepping.check_accumulation,
    "clock": stepping.check_clock,
    "after-step": stepping.check_after_step,
    "built-on": trainings.check_built_on,
    "resume": trainings.check_resume,
    "two-processes": trainings.check_two_processes,
}


def check_method(
    name: str,
    *,
    preset: str = "",
    checks: Sequence[str] = (),
    compiler: str = "aot_eager",
    watch: Watch | None = None,
) -> list[CheckResult]:
    """Check a registered method.

    Args:
        name: The method.
        preset: Preset to check. By default ``tiny`` if the method has it, otherwise its first preset.
        checks: Names from `CHECKS`; empty for all.
        compiler: Backend of torch.compile. ``aot_eager`` traces forward and backward, which takes seconds.
            ``inductor`` also generates code, which takes minutes on a CPU.
        watch: Called with the method's name, checks done and checks in all.

    Returns:
        One result per check, in order.

    Raises:
        PluginError: There is no such method, or no such check.
    """
    return _check_case(Case(host().get(MethodEntry, name), preset, compiler), _chosen(checks), watch)


def check_plugin(
    name: str,
    *,
    preset: str = "",
    checks: Sequence[str] = (),
    compiler: str = "aot_eager",
    watch: Watch | None = None,
) -> list[CheckResult]:
    """Check everything that a plugin registers: methods by every check, other entries by loading them.

    Args:
        name: Name of the plugin's entry point, or of a method.
        preset: See `check_method`.
        checks: See `check_method`.
        compiler: See `check_method`.
        watch: See `check_method`.

    Raises:
        PluginError: There is no plugin or method of this name, or no such check.
    """
    plugin = next((p for p in host().plugins if p.name == name), None)
    if plugin is None or name in host().entries(MethodEntry):
        return check_method(name, preset=preset, checks=checks, compiler=compiler, watch=watch)
    if plugin.error:
        return [CheckResult(f"plugin {name}", "loads", "failed", plugin.error)]
    results = []
    for entry in _entries(plugin):
        if isinstance(entry, MethodEntry):
            results += _check_case(Case(entry, preset, compiler), _chosen(checks), watch)
        else:
            results.append(_timed(f"{entry.kind} {entry.name}", "loads", entry.load))
    return results


def run_check(case: Case, check: str) -> CheckResult:
    """Run one check; any error becomes its result. A family that only encodes skips the checks of training."""

    def work() -> None:
        if not case.entry.pretrains and check not in OF_ENCODERS:
            raise CheckSkipped(f"method {case.entry.name} only encodes: it has no training to check")
        CHECKS[check](case)

    return _timed(f"method {case.entry.name}", check, work)


def _entries(plugin: Plugin) -> list[Entry]:
    kinds: list[type[Entry]] = [kind for kind in Entry.__subclasses__() if kind.kind in plugin.registers]
    return [host().get(kind, name) for kind in kinds for name in plugin.registers[kind.kind]]


def _chosen(checks: Sequence[str]) -> list[str]:
    for check in checks:
        if check not in CHECKS:
            raise PluginError(f"no check {check!r}", f"some of {', '.join(CHECKS)}", did_you_mean(check, CHECKS))
    return [check for check in CHECKS if not checks or check in checks]


def _check_case(case: Case, checks: Sequence[str], watch: Watch | None) -> list[CheckResult]:
    results = []
    for done, check in enumerate(checks):
        if watch:
            watch(case.entry.name, done, len(checks))
        results.append(run_check(case, check))
    if watch:
        watch(case.entry.name, len(checks), len(checks))
    return results


def _timed(subject: str, check: str, work: Callable[[], object]) -> CheckResult:
    began = time.perf_counter()
    outcome, why = "ok", ""
    try:
        work()
    except CheckSkipped as error:
        outcome, why = "skipped", str(error)
    except EcgkitError as error:
        outcome, why = "failed", str(error)
    except Exception as error:  # a plugin's code may raise anything
        found = f"{type(error).__name__}: {error}"
        outcome, why = "failed", str(CheckFailed(found[:300], "no error", _place(error)))
    return CheckResult(subject, check, outcome, why, round(time.perf_counter() - began, 2))  # type: ignore[arg-type]


def _place(error: Exception) -> str:
    """Return a sentence with the file and line in which an error was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"It was raised in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}." if trace else ""
