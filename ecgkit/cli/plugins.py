"""``ecgkit plugins``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.given import given
from ecgkit.cli.render import JsonOption, print_facts, print_json, print_table, progress, say

if TYPE_CHECKING:
    from ecgkit.plugins import Plugin
    from ecgkit.testing import CheckResult

app = typer.Typer(no_args_is_help=True)


@app.callback()
def plugins() -> None:
    """See which plugins are installed, check one, or begin one of your own."""


@app.command("list")
def list_plugins(as_json: JsonOption = False) -> None:
    """List every plugin with its distribution, what it registers, and its error if it was left out."""
    found = ecgkit.list_plugins()
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
    name: Annotated[str, typer.Argument(help="Method, or plugin: then everything that it registers is checked.")],
    preset: Annotated[
        str, typer.Option("--preset", help="Named set of sizes. Default: tiny if the method has it.")
    ] = "",
    only: Annotated[list[str] | None, typer.Option("--only", help="Name of a check to run. Repeatable.")] = None,
    compiler: Annotated[
        str,
        typer.Option(help="For the check compile: aot_eager traces (seconds), inductor generates code (minutes)."),
    ] = "aot_eager",
    as_json: JsonOption = False,
) -> None:
    """Check that a method keeps the promises that training, probing and reports rely on.

    It runs on the CPU, on simulated ECGs. Exit code 3 says that a check failed.
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
    out: Annotated[Path | None, typer.Option(help="Folder to make. Default: ecgkit-NAME, here.")] = None,
) -> None:
    """Write a small package with a method of your own: it installs, trains and passes its checks as it is."""
    made = ecgkit.new_plugin(name, out=out)
    say(f"{made}: a method, its presets, its test and a README")
    say(f"install it:  pip install --no-deps -e {made}")
    say(f"check it:    ecgkit plugins check {name}")
