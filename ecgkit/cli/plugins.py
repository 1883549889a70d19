"""``ecgkit plugins``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.given import given
from ecgkit.cli.render import JsonOption, next_is, print_facts, print_json, print_table, progress, say

if TYPE_CHECKING:
    from ecgkit.plugins import Plugin
    from ecgkit.testing import CheckResult

app = typer.Typer(no_args_is_help=True)


@app.callback()
def plugins() -> None:
    """List installed plugins, check one, or create a new one."""


@app.command("list")
def list_plugins(as_json: JsonOption = False) -> None:
    """List every plugin with its distribution, the entries that it registers, and its error if it cannot be loaded."""
    found = ecgkit.list_plugins()
    next_is("ecgkit plugins check NAME")
    if as_json:
        print_json([_as_json(plugin) for plugin in found])
        return
    for plugin in found:
        error = {"error": plugin.error} if plugin.error else {}
        names = {kind: ", ".join(names) for kind, names in plugin.registers.items()}
        version = f"{plugin.distribution} {plugin.version}".strip()
        print_facts(f"{plugin.name} ({version})" if version else plugin.name, {**error, **names})


def _as_json(plugin: "Plugin") -> dict[str, str]:
    registers = "; ".join(f"{kind} {', '.join(names)}" for kind, names in plugin.registers.items())
    return {
        "plugin": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "registers": registers,
        "error": plugin.error,
    }


@app.command("check")
def check(
    name: Annotated[
        str, typer.Argument(help="Name of a method or a plugin. For a plugin, everything that it registers is checked.")
    ],
    preset: Annotated[
        str,
        typer.Option(
            "--preset", help="Preset to check. Default: tiny if the method has it, otherwise its first preset."
        ),
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Name of a check to run. Repeatable. Default: all checks.")
    ] = None,
    compiler: Annotated[
        str,
        typer.Option(
            help="Compiler of the check 'compile': aot_eager (traces only, takes seconds) or inductor (generates code, "
            "takes minutes)."
        ),
    ] = "aot_eager",
    as_json: JsonOption = False,
) -> None:
    """Check that a method behaves as training, probing and reports require.

    The checks run on the CPU, on simulated ECGs. Exit code 3 means that a check failed.
    """
    options = locals()
    with progress() as watch:
        results = ecgkit.check_plugin(**given(ecgkit.check_plugin, options), progress=watch)
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        _show(name, results)
    if any(result.outcome == "failed" for result in results):
        raise typer.Exit(Exit.INCOMPLETE)


def _show(name: str, results: "list[CheckResult]") -> None:
    counts = {outcome: sum(r.outcome == outcome for r in results) for outcome in ("ok", "failed", "skipped")}
    failed = [result.check for result in results if result.outcome == "failed"]
    next_is(f"ecgkit plugins check {name} --only {failed[0]}" if failed else f"ecgkit pretrain --method {name}")
    say(f"{name}: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count))
    several = len({result.subject for result in results}) > 1
    rows = [
        {**({"of": r.subject} if several else {}), "check": r.check, "outcome": r.outcome, "s": r.seconds, "why": r.why}
        for r in results
    ]
    print_table(f"Checks of {name}", rows, numeric=["s"])


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the method: a Python identifier in lower case.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. Default: ecgkit-NAME in the current folder.")
    ] = None,
) -> None:
    """Write a package template for a new method. It can be installed and trained, and it passes its checks."""
    made = ecgkit.new_plugin(name, out=out)
    say(f"{made}: a method, its presets, its test and a README")
    say(f"install it:  pip install --no-deps -e {made}")
    next_is(f"ecgkit plugins check {name}, after the installation")
