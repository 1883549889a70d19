"""``ecgkit probe --suite``: a grid of probes from one YAML file."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.render import print_json, print_table, progress, say, warn

if TYPE_CHECKING:
    from ecgkit.evaluation.suites.file import Suite
    from ecgkit.evaluation.suites.run import SuiteResult


def run_suite_command(
    name: str,
    run: Path | None,
    stores: list[str],
    out: Path | None,
    *,
    jobs: int = 1,
    device: str = "auto",
    cache: str | None = "",
    as_json: bool = False,
) -> None:
    """Run a suite, print its summary, and end with exit code 3 where some of its probes failed.

    Args:
        name: A YAML file, or the name of one that ecgkit ships.
        run: A run beside those of the file.
        stores: ``NAME=PATH`` each, beside those of the file.
        out: Folder of the results; by default ``suites/NAME``.
        jobs: Processes.
        device: What to compute on.
        cache: See `ecgkit.evaluation.probe.request.ProbeCase`.
        as_json: Print rows, failures and the table's path as JSON too.
    """
    from ecgkit.evaluation.suites.file import cells
    from ecgkit.evaluation.suites.run import run_suite

    suite = _suite(name, run, stores)
    wanted = cells(suite, device=device, cache=cache)
    for task, store in suite.left_out().items():
        warn(f"{task} is left out: no path for store {store or '(none named)'}; give one with --store NAME=PATH")
    folder = out or Path("suites") / Path(name).stem
    say(f"{suite.title or name}: {len(wanted)} probes into {folder}")
    with progress() as watch:
        result = run_suite(wanted, folder, jobs=jobs, progress=watch)
    _show(result, suite.title or name)
    if as_json:
        print_json(_as_json(result))
    if result.failed:
        raise typer.Exit(Exit.INCOMPLETE)


def _suite(name: str, run: Path | None, stores: list[str]) -> "Suite":
    """Read a suite and add what the command line names."""
    from ecgkit.evaluation.probe.request import ModelChoice
    from ecgkit.evaluation.suites.file import read_suite

    suite = read_suite(name)
    runs = (ModelChoice(run=str(run)), *suite.runs) if run is not None else suite.runs
    return replace(suite, runs=tuple(dict.fromkeys(runs)), stores=suite.stores | _paths(stores))


def _paths(stores: list[str]) -> dict[str, str]:
    """Read ``NAME=PATH``.

    Raises:
        ConfigError: One is something else.
    """
    from ecgkit.errors import ConfigError

    pairs = [text.partition("=") for text in stores]
    for text, (name, _, path) in zip(stores, pairs, strict=True):
        if not name or not path:
            raise ConfigError(f"--store {text!r}", "NAME=PATH, such as ptbxl=ptbxl.zarr")
    return {name: path for name, _, path in pairs}


def _as_json(result: "SuiteResult") -> dict[str, Any]:
    return {
        "results": [{"folder": str(folder), **asdict(row)} for folder, row in result.rows],
        "done_before": result.skipped,
        "failed": result.failed,
        "table": str(result.table),
    }


def _show(result: "SuiteResult", title: str) -> None:
    from ecgkit.evaluation.suites.run import summary

    print_table(title, list(summary(result)), numeric=["% of labels", "AUROC", "seeds"])
    again = f", {result.skipped} of them done before" if result.skipped else ""
    say(f"{len(result.rows)} results{again}; one table: {result.table}")
    for name, why in result.failed.items():
        warn(f"{name}: {why}")
    if result.failed:
        warn(f"{len(result.failed)} probes failed; the same command tries them again")
