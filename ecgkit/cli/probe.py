"""``ecgkit probe``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecgkit.cli import probe_options as given
from ecgkit.cli.probe_plan import Plan, run_plan
from ecgkit.cli.probe_study import study
from ecgkit.cli.probe_suite import run_suite_command
from ecgkit.cli.render import DeviceOption, JsonOption, SeedOption, print_json
from ecgkit.cli.settings import ConfigOption, PresetOption, SetOption

if TYPE_CHECKING:
    from ecgkit.evaluation.probe.options import ProbeOptions
    from ecgkit.evaluation.probe.request import ModelChoice
    from ecgkit.evaluation.protocols.draws import Amount


def probe(
    data: given.Data = None,
    task: given.Task = "",
    run: given.Run = None,
    eval_data: given.EvalData = None,
    method: given.Method = "",
    random_init: given.RandomInit = False,
    scratch: given.Scratch = False,
    preset: PresetOption = "",
    config: ConfigOption = None,
    settings: SetOption = None,
    head: given.Head = "linear",
    leads: given.Leads = "",
    prompts: given.Prompts = None,
    independent_queries: given.IndependentQueries = False,
    epochs: given.Epochs = None,
    fraction: given.Fraction = "",
    label_counts: given.LabelCounts = "",
    seeds: given.Seeds = None,
    protocol: given.Protocol = "default",
    splits: given.Splits = None,
    label_set: given.LabelSet = "",
    task_settings: given.TaskSettings = None,
    allow_overlap: given.AllowOverlap = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    out: given.Out = None,
    suite: given.Suite = "",
    stores: given.Stores = None,
    jobs: given.Jobs = 1,
    cache: given.Cache = None,
    no_cache: given.NoCache = False,
    layers: given.Layers = "",
    perturb: given.Perturb = "",
    as_json: JsonOption = False,
) -> None:
    """Judge an encoder by a task: a pretrained run, or a method without pretraining as its baseline.

    With a run, --set changes the head, such as gate=frozen; else head.gate=frozen does, and other keys the model.

    The encoder's own contract builds its input from any store. Settings are chosen on validation records; the test
    records are predicted once.
    """
    kept = None if no_cache else str(cache or "")
    if suite:
        run_suite_command(suite, run, stores or [], out, jobs=jobs, device=device, cache=kept, as_json=as_json)
        return
    where = _checked(data, task, epochs, scratch=scratch, elsewhere=eval_data is not None, study=layers or perturb)
    of_model, of_head = _share_settings(settings or [], has_run=run is not None)
    of_head += _zero_shot_settings(head, prompts, independent_queries)
    options = _options(
        head=head, seed=seed, epochs=epochs, device=device, head_settings=of_head, task_settings=task_settings or [],
        allow_overlap=allow_overlap, protocol=protocol, splits=str(splits or ""), label_set=label_set,
        eval_data=str(eval_data or ""),
    )  # fmt: skip
    plan = Plan(
        data=where,
        tasks=tuple(name.strip() for name in task.split(",")),
        leads=leads,
        model=_model(run, method, random_init, scratch, preset, config, of_model),
        options=options,
        amounts=parse_amounts(fraction or "100" * (seeds is not None and not label_counts), label_counts),
        seeds=seeds,
        out=out,
        cache=kept,
    )
    found = study(plan.only_case(), layers, perturb) if layers or perturb else run_plan(plan)
    if as_json:
        print_json(found)


def _checked(data: Path | None, task: str, epochs: int | None, *, scratch: bool, elsewhere: bool, study: str) -> Path:
    """Return the store, if options that stand together fit together.

    Raises:
        ConfigError: They do not.
    """
    from ecgkit.errors import ConfigError

    if data is None or not task:
        raise ConfigError("no --data STORE and --task TASK", "both, or --suite FILE")
    if epochs is not None and not scratch:
        raise ConfigError("--epochs without --scratch", "a training from scratch, for nothing else trains for epochs")
    if elsewhere and study:
        raise ConfigError("--eval-data with --layers or --perturb", "a study of one store")
    return data


def _options(**values: Any) -> "ProbeOptions":
    from ecgkit.config import build
    from ecgkit.evaluation.probe.options import ProbeOptions

    return build(ProbeOptions, values, source="probe")


def _share_settings(settings: list[str], *, has_run: bool) -> tuple[list[str], list[str]]:
    """Part settings of the model from those of the head: ``head.KEY=VALUE``, and with a run, all."""
    of_head = [setting.removeprefix("head.") for setting in settings if has_run or setting.startswith("head.")]
    return ([] if has_run else [setting for setting in settings if not setting.startswith("head.")]), of_head


def _zero_shot_settings(head: str, prompts: Path | None, independent: bool) -> list[str]:
    from ecgkit.errors import ConfigError

    if (prompts or independent) and head != "zero-shot":
        raise ConfigError(f"--prompts or --independent-queries with --head {head}", "--head zero-shot")
    return [f"prompts={prompts}"] * bool(prompts) + ["independent=true"] * independent


def _model(
    run: Path | None, method: str, random_init: bool, scratch: bool, preset: str, config: Path | None, of: list[str]
) -> "ModelChoice":
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.probe.request import ModelChoice

    if random_init and scratch:
        raise ConfigError("both --random-init and --scratch", "one of them")
    chosen: Literal["", "random-init", "scratch"] = "random-init" if random_init else "scratch" if scratch else ""
    model = ModelChoice(str(run or ""), method, chosen, preset, str(config or ""), tuple(of))
    model.check()
    return model


def parse_amounts(fractions: str, counts: str) -> "tuple[Amount, ...]":
    """Read shares in per cent and numbers of records, each joined by commas; ascending, each once.

    Raises:
        ConfigError: One is no number in its range.
    """
    from ecgkit.errors import ConfigError, TaskError
    from ecgkit.evaluation.protocols.draws import Amount

    try:
        shares = sorted({float(part) for part in fractions.split(",") if part.strip()})
        wanted = [Amount(share) for share in shares]
    except (ValueError, TaskError):
        expected = "shares in per cent above 0 and up to 100 joined by commas, such as 1,10,100"
        raise ConfigError(f"--fraction {fractions!r}", expected) from None
    parts = [part.strip() for part in counts.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"--label-counts {counts!r}", "whole numbers above 0 joined by commas, such as 50,100,500")
    return (*wanted, *(Amount(count=count) for count in sorted({int(part) for part in parts})))
