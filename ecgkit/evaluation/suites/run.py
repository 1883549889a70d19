"""Running many probes: what is done is skipped, a probe that fails stops no other, and done rows outlive any end.

A suite from a file, and the tasks, lead sets and amounts that a command line crosses, are both lists of requests.

OUT/rows/NAME-FINGERPRINT/    a result row each, as `ecgkit probe` writes it
OUT/results.parquet           all of them in one table, `ecgkit.evaluation.results.table`

The fingerprint is of all that a row depends on: weights, store, task, head, settings, seed. So the same suite goes on
where it was stopped, and a changed store or a retrained run is probed anew.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ecgkit.errors import EcgkitError
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.averages import average_over_seeds
from ecgkit.evaluation.results.row import ROW, ResultRow, load_row
from ecgkit.evaluation.results.table import write_table
from ecgkit.evaluation.suites.places import Places
from ecgkit.executor import open_executor
from ecgkit.progress import Progress, silent

ROWS, TABLE = "rows", "results.parquet"
Placed = tuple[ProbeRequest, Path]  # a request and the folder of its result


@dataclass(frozen=True)
class SuiteResult:
    """The outcome of a suite.

    Args:
        rows: Folder and row of every probe that is done, in the order of the requests.
        skipped: Number of probes that were done before.
        failed: Reason, by the title of the request.
        table: The Parquet file of all rows; None where none is asked for.
    """

    rows: list[tuple[Path, ResultRow]]
    skipped: int
    failed: dict[str, str]
    table: Path | None = None


def run_suite(
    requests: Sequence[ProbeRequest], out: Path, *, jobs: int = 1, progress: Progress = silent
) -> SuiteResult:
    """Run the probes of a suite that are not done yet.

    Args:
        requests: The probes.
        out: Folder of the results; rows that are there already are kept.
        jobs: Number of processes; each opens an encoder, task, lead set and head by itself.
        progress: Called with the stage, units done and in all; the stage ``probes`` counts probes.

    Returns:
        The outcome. The table is written anew, also where the run is interrupted.
    """
    places, placed, failed = Places(), [], {}
    for request in requests:
        try:
            placed.append((request, out / ROWS / places.name(request, with_encoder=True)))
        except EcgkitError as error:
            failed[request.title] = str(error)
    try:
        found = run_requests(placed, jobs=jobs, progress=progress)
    finally:
        write_table(out / TABLE, _done(placed))
    return SuiteResult(found.rows, found.skipped, failed | found.failed, out / TABLE)


def run_requests(placed: Sequence[Placed], *, jobs: int = 1, progress: Progress = silent) -> SuiteResult:
    """Run the probes whose rows are not there yet.

    Args:
        placed: The probes and the folders of their results.
        jobs: Number of processes.
        progress: Called with the stage, units done and in all; the stage ``probes`` counts probes.
    """
    todo = [(request, folder) for request, folder in placed if _row(folder) is None]
    skipped = len(placed) - len(todo)
    progress("probes", skipped, len(placed))
    groups: dict[ProbeRequest, list[Placed]] = {}
    for item in todo:
        groups.setdefault(item[0].without_draw(), []).append(item)
    failed: dict[str, str] = {}
    counted = skipped

    def one_more() -> None:
        nonlocal counted
        counted += 1
        progress("probes", counted, len(placed))

    if jobs == 1:
        for group in groups.values():
            failed |= run_group(group, progress, one_more)
    else:
        with open_executor(jobs) as executor:
            for problems in executor.run(run_group, groups.values()):
                failed |= problems
                progress("probes", len(_done(placed)) + len(failed), len(placed))
    return SuiteResult(_done(placed), skipped, failed)


def run_group(
    group: Sequence[Placed], progress: Progress = silent, finished: Callable[[], None] = lambda: None
) -> dict[str, str]:
    """Run probes of one encoder, task, lead set and head; what they share is opened once.

    Args:
        group: The probes and the folders of their results.
        progress: Called with the stage, units done and in all.
        finished: Called after each probe.

    Returns:
        Why a probe has no row, by its title.
    """
    failed: dict[str, str] = {}
    probe: Probe | None = None
    for request, folder in group:
        try:
            probe = probe or Probe(group[0][0], progress=progress)
            probe.run(folder, request.amount, request.seed, request.seeds)
        except Exception as error:
            failed[request.title] = reason(error)
        if probe is None:  # what all of them share cannot be opened
            failed = dict.fromkeys((each.title for each, _ in group), failed[request.title])
            break
        finished()
    return failed


def reason(error: Exception) -> str:
    """Return an error in one line: as it tells itself, or with its type where that was not meant for a user."""
    text = " ".join(str(error).split())
    return text if isinstance(error, EcgkitError) else f"{type(error).__name__}: {text}"


def _row(folder: Path) -> ResultRow | None:
    """Return the row in a folder if it is there and whole."""
    try:
        return load_row(folder / ROW)
    except EcgkitError:
        return None


def _done(placed: Sequence[Placed]) -> list[tuple[Path, ResultRow]]:
    return [(folder, row) for _, folder in placed if (row := _row(folder)) is not None]


def summary(result: SuiteResult) -> Iterator[Mapping[str, Any]]:
    """Yield one line per encoder, task, lead set, head and fraction: the macro AUROC over seeds."""

    def line(pair: tuple[Path, ResultRow]) -> tuple[Any, ...]:
        row = pair[1]
        return row.run, row.weights, row.task, row.lead_set, row.head, round(100 * row.fraction, 1)

    for (run, _, task, leads, head, percent), pairs in groupby(sorted(result.rows, key=line), key=line):
        found = [(row.macro_auroc, row.macro_interval) for _, row in pairs]
        yield {
            "run": run,
            "task": task,
            **({"leads": leads or "all"} if any(row.lead_set for _, row in result.rows) else {}),
            "head": head,
            "% of labels": f"{percent:g}",
            "AUROC": average_over_seeds(found).percent,
            "seeds": len(found),
        }
