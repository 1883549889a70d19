"""Runs many probes. Finished probes are skipped, and a failed probe does not stop the others.

A suite file gives a list of requests; so does a command line with several tasks, lead sets or amounts.

OUT/rows/NAME-FINGERPRINT/    one result row, as `ecgkit probe` writes it
OUT/results.parquet           all result rows in one table, `ecgkit.evaluation.results.table`
OUT/rows/.claims/             which worker is at which probes, `ecgkit.cells`; gone when all are done

The fingerprint covers everything that a row depends on: weights, store, task, head, settings and seed. The same suite
therefore resumes where it was stopped, and a changed store or a retrained run is probed again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from ecgkit.cells import WAITING, Cell, do_cells
from ecgkit.config import fingerprint
from ecgkit.errors import EcgkitError
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.averages import average_auroc, model_names
from ecgkit.evaluation.results.row import ROW, ResultRow, load_row
from ecgkit.evaluation.results.table import write_table
from ecgkit.evaluation.suites.places import Places
from ecgkit.executor import open_executor
from ecgkit.interrupt import Left, keeps
from ecgkit.progress import Progress, silent

ROWS, TABLE, CLAIMS = "rows", "results.parquet", ".claims"
Placed = tuple[ProbeRequest, Path]  # a request and the folder of its result


@dataclass(frozen=True)
class SuiteResult:
    """The outcome of a suite.

    Args:
        rows: Folder and row of each finished probe, in the order of the requests.
        skipped: Number of probes that were finished before.
        failed: Reason of each failure, by the title of the request.
        table: The Parquet file of all rows; None if it was not requested.
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
        jobs: Number of processes; each opens its own encoder, task, lead set and head.
        progress: Called with the stage, units done and units in total; the stage ``probes`` counts probes.

    Returns:
        The outcome. The table is rewritten even if the run is interrupted.
    """
    placed, failed = _placed(requests, out)
    try:
        found = run_requests(placed, jobs=jobs, progress=progress)
    finally:
        write_table(out / TABLE, _done(placed))
    return SuiteResult(found.rows, found.skipped, failed | found.failed, out / TABLE)


def cells_left(requests: Sequence[ProbeRequest], out: Path) -> int:
    """Return how many cells of a suite are not done: the groups of probes that workers take one by one."""
    return sum(not _are_done(cell.call) for cell in _cells(_placed(requests, out)[0]))


def _placed(requests: Sequence[ProbeRequest], out: Path) -> tuple[list[Placed], dict[str, str]]:
    """Return the requests with the folders of their results, and why some cannot be run, by their title."""
    places, placed, failed = Places(), list[Placed](), dict[str, str]()
    for request in requests:
        try:
            placed.append((request, out / ROWS / places.name(request, with_encoder=True)))
        except EcgkitError as error:
            failed[request.title] = str(error)
    return placed, failed


def _cells(placed: Sequence[Placed]) -> list[Cell[list[Placed]]]:
    """Return the probes in groups that share everything but the draw."""
    groups: dict[ProbeRequest, list[Placed]] = {}
    for item in placed:
        groups.setdefault(item[0].without_draw(), []).append(item)
    return [Cell(_cell_name(group), group, group[0][0].title) for group in groups.values()]


def run_requests(placed: Sequence[Placed], *, jobs: int = 1, progress: Progress = silent) -> SuiteResult:
    """Run the probes that have no result row yet, together with other processes that run the same probes.

    Args:
        placed: The probes and the folders of their results, all in one folder.
        jobs: Number of processes.
        progress: Called with the stage, units done and units in total; the stage ``probes`` counts probes.
    """
    told = _Told(placed, progress)
    skipped = told()
    work = partial(run_group, progress=progress, finished=told) if jobs == 1 else run_group
    failed: dict[str, str] = {}
    with keeps(lambda: Left(f"{len(_done(placed))} of {len(placed)} probes are done and kept")):
        if placed:
            with open_executor(jobs) as executor:
                claims, cells = placed[0][1].parent / CLAIMS, _cells(placed)

                def waiting(held: int) -> None:
                    progress(WAITING, len(cells) - held, len(cells))

                failed = do_cells(claims, cells, work, _are_done, executor, settled=told, waiting=waiting)
    return SuiteResult(_done(placed), skipped, failed)


class _Told:
    """Tells how many probes are done, by this process and by others, whenever there are more of them."""

    def __init__(self, placed: Sequence[Placed], progress: Progress) -> None:
        self._left, self._total, self._progress = [folder for _, folder in placed], len(placed), progress
        self._told = -1

    def __call__(self) -> int:
        """Look at the probes that were not done yet, and return the number of all that are done."""
        self._left = [folder for folder in self._left if _row(folder) is None]
        done = self._total - len(self._left)
        if done != self._told:
            self._progress("probes", done, self._total)
            self._told = done
        return done


def _cell_name(group: Sequence[Placed]) -> str:
    """Return the same name in every process that runs these probes."""
    return fingerprint(sorted(folder.name for _, folder in group))


def _are_done(group: Sequence[Placed]) -> bool:
    return all(_row(folder) is not None for _, folder in group)


def run_group(
    group: Sequence[Placed], progress: Progress = silent, finished: Callable[[], object] = lambda: None
) -> dict[str, str]:
    """Run the probes of one encoder, task, lead set and head that have no row. What they share is opened once.

    Args:
        group: The probes and the folders of their results.
        progress: Called with the stage, units done and units in total.
        finished: Called after each probe.

    Returns:
        The reason of each failure, by the title of the probe.
    """
    failed: dict[str, str] = {}
    probe: Probe | None = None
    for request, folder in group:
        if _row(folder) is not None:
            continue  # of a worker that died at this group, or of one that had fewer probes to do
        try:
            probe = probe or Probe(group[0][0], progress=progress)
            probe.run(folder, request.amount, request.seed, request.seeds)
        except Exception as error:
            failed[request.title] = reason(error)
        if probe is None:  # the inputs that all of them share cannot be opened
            failed = dict.fromkeys((each.title for each, _ in group), failed[request.title])
            break
        finished()
    return failed


def reason(error: Exception) -> str:
    """Return an error in one line: its message, with its type if the message was not written for users."""
    text = " ".join(str(error).split())
    return text if isinstance(error, EcgkitError) else f"{type(error).__name__}: {text}"


def _row(folder: Path) -> ResultRow | None:
    """Return the row in a folder if it exists and is complete."""
    try:
        return load_row(folder / ROW)
    except EcgkitError:
        return None


def _done(placed: Sequence[Placed]) -> list[tuple[Path, ResultRow]]:
    return [(folder, row) for _, folder in placed if (row := _row(folder)) is not None]


def summary(result: SuiteResult) -> Iterator[Mapping[str, Any]]:
    """Yield one line per model, task, lead set, head and fraction: the macro AUROC over seeds."""
    models = {
        folder: name for (folder, _), name in zip(result.rows, model_names([r for _, r in result.rows]), strict=True)
    }

    def line(pair: tuple[Path, ResultRow]) -> tuple[Any, ...]:
        folder, row = pair
        return models[folder], row.weights, row.task, row.lead_set, row.head, round(100 * row.fraction, 1)

    for (model, _, task, leads, head, percent), pairs in groupby(sorted(result.rows, key=line), key=line):
        average = average_auroc(row for _, row in pairs)
        yield {
            "run": model,
            "task": task,
            **({"leads": leads or "all"} if any(row.lead_set for _, row in result.rows) else {}),
            "head": head,
            "% of labels": f"{percent:g}",
            "AUROC": average.percent,
            "seeds": average.seeds,
        }
