"""Running a suite: what is done is skipped, a probe that fails stops no other, and done rows outlive any end.

OUT/rows/NAME-FINGERPRINT/    a result row each, as `ecgkit probe` writes it
OUT/results.parquet           all of them in one table, `ecgkit.evaluation.results.table`

The fingerprint is of all that a row depends on: weights, store, task, head, settings, seed. So the same suite goes on
where it was stopped, and a changed store or a retrained run is probed anew.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import ecgkit
from ecgkit.atomic import check_output
from ecgkit.config import fingerprint, to_dict
from ecgkit.entries import HeadEntry, MethodEntry, TaskEntry
from ecgkit.errors import EcgkitError
from ecgkit.evaluation.heads.settings import head_config
from ecgkit.evaluation.probe.prepare import prepare_probe
from ecgkit.evaluation.probe.request import ModelChoice, open_case
from ecgkit.evaluation.probe.run import PreparedProbe
from ecgkit.evaluation.protocols.protocol import load_protocol
from ecgkit.evaluation.protocols.split_tables import read_tables
from ecgkit.evaluation.results.averages import average_over_seeds
from ecgkit.evaluation.results.row import RESULT, ROW, ResultRow, load_row
from ecgkit.evaluation.results.table import write_table
from ecgkit.evaluation.suites.file import Cell, shared_by
from ecgkit.executor import open_executor
from ecgkit.methods import chosen_config
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.loading import load_task
from ecgkit.training.run import CONFIG, WEIGHTS, open_run
from ecgkit.training.weights import file_sha256

ROWS, TABLE = "rows", "results.parquet"
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Placed:
    """A cell and where its result lies.

    Args:
        cell: The cell.
        folder: Of its row.
    """

    cell: Cell
    folder: Path

    def row(self) -> ResultRow | None:
        """Return the row if it is there and whole."""
        try:
            return load_row(self.folder / ROW)
        except EcgkitError:
            return None


@dataclass(frozen=True)
class SuiteResult:
    """What became of a suite.

    Args:
        rows: Folder and row of every cell that is done, in the order of the cells.
        skipped: How many of them were done before.
        failed: Why, by the name of the cell.
        table: The Parquet file of all rows.
    """

    rows: list[tuple[Path, ResultRow]]
    skipped: int
    failed: dict[str, str]
    table: Path


def run_suite(cells: Sequence[Cell], out: Path, *, jobs: int = 1, progress: Watch | None = None) -> SuiteResult:
    """Run the cells that are not done yet.

    Args:
        cells: The cells of a suite.
        out: Folder of the results; rows that are there already are kept.
        jobs: Processes; each prepares an encoder, task, lead set and head by itself.
        progress: Called with the stage, units done and in all; the stage ``cells`` counts probes.

    Returns:
        What became of it. The table is written anew, also where the run is interrupted.
    """
    watch = progress or (lambda stage, done, total: None)
    placed, failed = place(cells, out)
    todo = [item for item in placed if item.row() is None]
    done = len(placed) - len(todo)
    skipped = done
    watch("cells", done, len(cells))
    groups: dict[str, list[Placed]] = {}
    for item in todo:
        groups.setdefault(shared_by(item.cell), []).append(item)
    inside = watch if jobs == 1 else None
    counted = done + len(failed)

    def one_more() -> None:
        nonlocal counted
        counted += 1
        watch("cells", counted, len(cells))

    try:
        if jobs == 1:
            for group in groups.values():
                failed |= run_group(group, inside, one_more)
        else:
            with open_executor(jobs) as executor:
                for problems in executor.run(run_group, groups.values()):
                    failed |= problems
                    counted = sum(item.row() is not None for item in placed) + len(failed)
                    watch("cells", counted, len(cells))
    finally:
        rows = [(item.folder, row) for item in placed if (row := item.row()) is not None]
        write_table(out / TABLE, rows)
    return SuiteResult(rows, skipped, failed, out / TABLE)


def place(cells: Sequence[Cell], out: Path) -> tuple[list[Placed], dict[str, str]]:
    """Return where each cell's result lies, and why a cell can have none, by its name."""
    placed, failed = [], {}
    hashes = _Hashes()
    for cell in cells:
        try:
            name = re.sub(r"[^A-Za-z0-9]+", "-", cell.name).strip("-")
            placed.append(Placed(cell, out / ROWS / f"{name}-{hashes.of(cell)}"))
        except EcgkitError as error:
            failed[cell.name] = str(error)
    return placed, failed


class _Hashes:
    """Fingerprints of cells; what they share is hashed once."""

    def __init__(self) -> None:
        self._model, self._store = cache(self._hash_model), cache(lambda path: Store(Path(path)).content_hash)

    def of(self, cell: Cell) -> str:
        """Return the fingerprint of all that a cell's row depends on.

        Raises:
            EcgkitError: Something that the cell names does not exist.
        """
        case, options = cell.case, cell.case.options
        plain = asdict(replace(options, device="", cache=None, also=()))
        task = load_task(host().get(TaskEntry, case.task), options.task_settings)
        head = host().get(HeadEntry, options.head)
        settings = head_config(head, options.head_settings)
        tables = read_tables(Path(options.splits)).sha256 if options.splits else ""
        protocol = to_dict(load_protocol(options.protocol))
        model, store = self._model(case.model), self._store(case.data)
        return fingerprint(
            ecgkit.__version__, model, store, case.task, to_dict(task), plain, settings, tables, protocol, cell.seeds
        )

    @staticmethod
    def _hash_model(model: ModelChoice) -> Any:
        if model.run:
            run = open_run(Path(model.run))
            return [file_sha256(run.path / WEIGHTS), file_sha256(run.path / CONFIG)]
        entry = host().get(MethodEntry, model.method)
        preset, config = chosen_config(
            entry, model.preset, Path(model.config) if model.config else None, model.settings
        )
        return [entry.name, preset, to_dict(config), model.weights]


def run_group(
    group: Sequence[Placed], watch: Watch | None = None, one_more: Callable[[], None] = lambda: None
) -> dict[str, str]:
    """Run cells of one encoder, task, lead set and head; what they share is done once.

    Returns:
        Why a cell has no row, by its name.
    """
    failed = {}
    try:
        opened = open_case(group[0].cell.case)
        prepared = prepare_probe(opened.subject, opened.store, opened.task, opened.head, opened.case.options, watch)
    except Exception as error:
        for item in group:
            failed[item.cell.name] = reason(error)
            one_more()
        return failed
    for item in group:
        try:
            _run_cell(prepared, item)
        except Exception as error:
            failed[item.cell.name] = reason(error)
        one_more()
    return failed


def _run_cell(prepared: PreparedProbe, item: Placed) -> None:
    options = item.cell.case.options
    check_output(item.folder, RESULT, overwrite=True)
    prepared.run(
        item.folder, began=time.perf_counter(), amount=options.amount, seed=options.seed, seeds=item.cell.seeds
    )


def reason(error: Exception) -> str:
    """Return an error in one line: as it tells itself, or with its type where that was not meant for a user."""
    text = " ".join(str(error).split())
    return text if isinstance(error, EcgkitError) else f"{type(error).__name__}: {text}"


def summary(result: SuiteResult) -> Iterator[dict[str, Any]]:
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
