"""``ecgkit plugins``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.render import JsonOption, print_json, print_table, progress, say
from ecgkit.plugins import host

if TYPE_CHECKING:
    from ecgkit.testing import CheckResult

app = typer.Typer(no_args_is_help=True)


@app.callback()
def plugins() -> None:
    """See which plugins are installed, check one, or begin one of your own."""


@app.command("list")
def list_plugins(as_json: JsonOption = False) -> None:
    """List every plugin with its distribution, what it registers, and its error if it was left out."""
    rows = [
        {
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "registers": "; ".join(f"{kind} {', '.join(names)}" for kind, names in plugin.registers.items()),
            "error": plugin.error,
        }
        for plugin in host().plugins
    ]
    if as_json:
        print_json(rows)
    else:
        print_table("Plugins", rows)


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="A method, or a plugin: then all that it registers.")],
    preset: Annotated[str, typer.Option("--preset", help="By default 'tiny' where there is one.")] = "",
    only: Annotated[list[str] | None, typer.Option("--only", help="One check by name; repeatable.")] = None,
    compiler: Annotated[
        str, typer.Option(help="Of the check 'compile': aot_eager traces (seconds), inductor makes code (minutes).")
    ] = "aot_eager",
    as_json: JsonOption = False,
) -> None:
    """Check that a method keeps the promises that training, probing and reports rely on.

    It runs on the CPU, on simulated ECGs. Exit code 3 says that a check failed.
    """
    from ecgkit.testing import check_plugin

    with progress() as watch:
        results = check_plugin(name, preset=preset, checks=only or (), compiler=compiler, watch=watch)
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        _show(name, results)
    if any(result.outcome == "failed" for result in results):
        raise typer.Exit(Exit.INCOMPLETE)


def _show(name: str, results: "list[CheckResult]") -> None:
    several = len({result.subject for result in results}) > 1
    rows = [
        {**({"of": r.subject} if several else {}), "check": r.check, "outcome": r.outcome, "s": r.seconds, "why": r.why}
        for r in results
    ]
    print_table(f"Checks of {name}", rows, numeric=["s"])
    counts = {outcome: sum(r.outcome == outcome for r in results) for outcome in ("ok", "failed", "skipped")}
    say(", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count))


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Of the method: a Python identifier in lower case.")],
    out: Annotated[Path | None, typer.Option(help="Folder to make; default: ecgkit-NAME here.")] = None,
) -> None:
    """Write a small package with a method of your own: it installs, trains and passes its checks as it is."""
    from ecgkit.scaffold import new_plugin

    made = new_plugin(name, out)
    say(f"{made}: a method, its presets, its test and a README")
    say(f"install it:  pip install --no-deps -e {made}")
    say(f"check it:    ecgkit plugins check {name}")
