"""``ecgkit.study`` and ``ecgkit.plan_study``: a grid of pretrainings and probes from one file."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ecgkit.api.arguments import PathLike
from ecgkit.api.probe import cache_choice
from ecgkit.api.report import report
from ecgkit.api.study_cells import (
    Call,
    Corpus,
    OpenedStudy,
    cell_name,
    do,
    is_done,
    name_of,
    places,
    places_of,
    row_in,
    with_models,
)
from ecgkit.atomic import atomic_file
from ecgkit.cells import WAITING, Cell, do_cells
from ecgkit.choices import notes_choices
from ecgkit.config import override
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError, EcgkitError
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.results.table import write_table
from ecgkit.executor import open_executor
from ecgkit.interrupt import Left, keeps
from ecgkit.progress import Progress, silent
from ecgkit.studies.costs import CellCost, Counter, ProbeCosts, counter, records_of, training_cost, view_bytes
from ecgkit.studies.file import read_study
from ecgkit.studies.grid import Asked, Run
from ecgkit.studies.scale import tiny
from ecgkit.studies.table import Line, lines_of, write_tables
from ecgkit.training.run import pick_device
from ecgkit.training.unfinished import unfinished

Say = Callable[[str], None]


@dataclass(frozen=True)
class StudyResult:
    """The outcome of a study.

    Args:
        out: Its folder.
        title: Its title.
        lines: The numbers of its tables.
        done: Number of cells that are done.
        cells: Number of cells.
        failed: Reason of each failure, by the name of the cell.
        waiting: Cells that could not be done, because what they need is not there.
        left_out: Stores that have no place, by name; what needs them is left out.
        tables: The file of the tables.
        page: The report; None without a result.
    """

    out: Path
    title: str
    lines: Sequence[Line]
    done: int
    cells: int
    failed: Mapping[str, str]
    waiting: Sequence[str]
    left_out: Sequence[str]
    tables: Path
    page: Path | None


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a study that is not done yet, or is.

    Args:
        kind: ``store``, ``training`` or ``probes``.
        name: Name of the cell.
        results: Number of results.
        done: Whether it is done.
        cost: What it takes.
    """

    kind: Literal["store", "training", "probes"]
    name: str
    results: int
    done: bool
    cost: CellCost


@dataclass(frozen=True)
class StudyPlan:
    """What a study takes; see `ecgkit.studies.costs`.

    Args:
        title: Its title.
        out: Its folder.
        cells: Its cells.
        left_out: Stores that have no place, by name. Their cells are in the plan; a study leaves them out.
        views: Bytes of the views of all stores under the contracts of all trainings, as far as records are known.
    """

    title: str
    out: Path
    cells: Sequence[PlannedCell] = ()
    left_out: Sequence[str] = ()
    views: float = 0.0

    @property
    def hours(self) -> float:
        """Hours on one GPU of the cells that are not done, as far as they are known."""
        return sum(cell.cost.hours or 0.0 for cell in self.cells if not cell.done)

    @property
    def disk(self) -> float:
        """Bytes on the disk, as far as they are known."""
        return self.views + sum(cell.cost.disk or 0.0 for cell in self.cells)


@dataclass
class _Progress:
    """What became of the cells so far."""

    cells: int
    settled: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@notes_choices
def study(
    file: PathLike,
    *,
    out: PathLike | None = None,
    stores: Mapping[str, PathLike] | None = None,
    scale: Literal["full", "tiny"] = "full",
    jobs: int = 1,
    device: str = "auto",
    gpus: int = 0,
    workers: int | None = None,
    prepare: bool = False,
    cache: PathLike | None = None,
    no_cache: bool = False,
    say: Say = lambda line: None,
    progress: Progress = silent,
) -> StudyResult:
    """Do the pretrainings and probes of a study that are not done yet, and write its tables beside published numbers.

    A stopped study continues with the same call: finished cells are kept, and a stopped training continues at its last
    checkpoint. Several calls may share one folder: each does the cells that no other call is working on.

    Args:
        file: YAML file of the study.
        out: Folder of stores, runs and results. By default ``studies/NAME``, or ``studies/NAME-tiny``.
        stores: Paths of stores by name, which take precedence over those in the file.
        scale: ``full``, or ``tiny`` for the same grid with small models on simulated ECGs.
        jobs: Number of processes of this machine, each of which does one cell at a time.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        gpus: Number of GPUs of this machine to train on, with one process per GPU.
        workers: Number of processes that load batches. By default 1 on a CPU, up to 8 per GPU.
        prepare: Add to stores that exist what a method needs and they lack: R peaks, and entities read by the lexicon.
        cache: Folder of the feature cache. By default below each run.
        no_cache: Neither read nor write the feature cache.
        say: Called with one line when a cell begins, and when it failed.
        progress: Called with the stage, units done and units in all; the stage ``cells`` counts cells.

    Returns:
        The numbers of its tables, and what failed.

    Raises:
        ConfigError: The study cannot be read, names something that is not there, or has nothing that can be done.
    """
    pick_device(device)  # refused at once, not by each cell
    opened = _open(file, out, stores, scale, device, gpus, workers, prepare, cache_choice(cache, no_cache))
    opened.check_plans()
    stages = _stages(opened)
    opened.out.mkdir(parents=True, exist_ok=True)
    with atomic_file(opened.out / "study.yaml") as staging:
        shutil.copyfile(file, staging)
    told = _Progress(sum(map(len, stages)))
    with keeps(lambda: Left(f"{told.settled} of {told.cells} cells are settled; those that are done are kept")):
        for calls in stages:
            _do_stage(opened, calls, told, jobs, say, progress)
    return _written(opened, [call for calls in stages for call in calls], told.failed)


def study_left(
    file: PathLike,
    *,
    out: PathLike | None = None,
    stores: Mapping[str, PathLike] | None = None,
    scale: Literal["full", "tiny"] = "full",
) -> tuple[Path, int]:
    """Return the folder of a study and the number of its cells that are not done; arguments as in `study`."""
    opened = _open(file, out, stores, scale)
    opened.check_plans()
    return opened.out, sum(not is_done(opened, call) for calls in _stages(opened) for call in calls)


def _stages(opened: OpenedStudy) -> list[list[Call]]:
    """Return the cells of a study: stores, runs and probes.

    Raises:
        ConfigError: No cell has a store.
    """
    stages: list[list[Call]] = [list(opened.corpora()), list(opened.runs()), list(opened.asked())]
    if not stages[1] and not stages[2]:
        raise ConfigError("no store for any cell", f"one of {', '.join(_left_out(opened))}", "Give: --store NAME=PATH")
    return stages


def _do_stage(
    opened: OpenedStudy, calls: Sequence[Call], told: _Progress, jobs: int, say: Say, progress: Progress
) -> None:
    """Do the cells of a stage whose inputs are there, together with whoever else works in the folder."""
    cells = [Cell(cell_name(call), call) for call in calls if not _lacks(opened, call)]

    def settled() -> None:
        told.settled += 1
        progress("cells", told.settled, told.cells)

    def waiting(held: int) -> None:
        progress(WAITING, len(cells) - held, len(cells))

    work = partial(_do_aloud, opened, say, progress) if jobs == 1 else partial(do, opened)
    done = partial(is_done, opened)
    with open_executor(jobs) as executor:
        failed = do_cells(opened.out / "work", cells, work, done, executor, settled=settled, waiting=waiting)
    told.failed |= failed


def _do_aloud(opened: OpenedStudy, say: Say, progress: Progress, call: Call) -> dict[str, str]:
    say(name_of(call))
    failed = do(opened, call, progress=progress)
    for name, why in failed.items():
        say(f"failed: {name}: {why}")
    return failed


def _lacks(opened: OpenedStudy, call: Call) -> bool:
    """Return whether something that a cell needs is not there, because it failed."""
    if isinstance(call, Corpus):
        return not all(opened.places.stores[name].exists() for name in call.store.join)
    if isinstance(call, Run):
        return not opened.places.stores[call.training.data].exists()
    return bool(call.run) and not (opened.places.runs / call.run).is_dir()


def _open(
    file: PathLike,
    out: PathLike | None,
    stores: Mapping[str, PathLike] | None,
    scale: str,
    device: str = "auto",
    gpus: int = 0,
    workers: int | None = None,
    prepare: bool = False,
    cache: str | None = "",
) -> OpenedStudy:
    read = read_study(Path(file))
    unknown = [name for name in stores or {} if name not in read.stores]
    if unknown:
        raise ConfigError(f"--store {unknown[0]}: the study has no such store", f"one of {', '.join(read.stores)}")
    if scale not in ("full", "tiny"):
        raise ConfigError(f"--scale {scale}", "full or tiny")
    name = Path(file).stem if scale == "full" else f"{Path(file).stem}-tiny"
    folder = Path(out) if out else Path("studies") / name
    chosen = with_models(read) if scale == "full" else tiny(read)
    given = {name: Path(path) for name, path in (stores or {}).items()} if scale == "full" else {}
    places_here = places(chosen, folder, given)
    return OpenedStudy(chosen, folder, places_here, device, gpus, workers, prepare, cache)


def _left_out(opened: OpenedStudy) -> list[str]:
    return [name for name in opened.study.stores if name not in opened.places.stores]


def _written(opened: OpenedStudy, calls: Sequence[Call], failed: Mapping[str, str]) -> StudyResult:
    """Write the tables and the report of what is done."""
    asked = [(call, list(_rows(opened, call))) for call in calls if isinstance(call, Asked)]
    lines = lines_of([(call, [row for _, row in rows]) for call, rows in asked])
    title = opened.study.title or opened.out.name
    _, tables = write_tables(opened.out, title, lines)
    found = [(folder, row) for _, rows in asked for folder, row in rows if row is not None]
    page = None
    if found:
        write_table(opened.out / "results.parquet", found)
        page = opened.out / "report.html"
        report(opened.out / "results", out=page, title=title, tests=False)
    open_cells = [name_of(call) for call in calls if not is_done(opened, call)]
    waiting = [name for name in open_cells if name not in failed]
    done = len(calls) - len(open_cells)
    return StudyResult(opened.out, title, lines, done, len(calls), failed, waiting, _left_out(opened), tables, page)


def _rows(opened: OpenedStudy, asked: Asked) -> Iterator[tuple[Path, ResultRow | None]]:
    if asked.probe.layers or asked.probe.perturb:
        yield from ((Path(), None) for _ in asked.requests)
        return
    try:
        folders = places_of(opened, asked)
    except EcgkitError:
        yield from ((Path(), None) for _ in asked.requests)
        return
    for folder in folders:
        yield folder, row_in(folder)


@notes_choices
def plan_study(
    file: PathLike,
    *,
    out: PathLike | None = None,
    stores: Mapping[str, PathLike] | None = None,
    scale: Literal["full", "tiny"] = "full",
    progress: Progress = silent,
) -> StudyPlan:
    """Say which cells a study has and what they take, without doing any; see `ecgkit.studies.costs`.

    Args:
        file: YAML file of the study.
        out: Folder of the study.
        stores: Paths of stores by name.
        scale: ``full`` or ``tiny``.
        progress: Called with the stage, units done and units in all.

    Returns:
        The cells with hours on one GPU and room on the disk.

    Raises:
        ConfigError: As `study`.
    """
    opened = _open(file, out, stores, scale)
    absent = _left_out(opened)
    everywhere = {name: opened.out / "stores" / f"{name}.zarr" for name in absent}
    whole = OpenedStudy(
        opened.study, opened.out, places(opened.study, opened.out, {**opened.places.stores, **everywhere})
    )
    with counter() as count:
        cells = list(_planned(whole, count, progress))
    return StudyPlan(opened.study.title or opened.out.name, opened.out, cells, absent, _views(whole))


def _planned(opened: OpenedStudy, count: Counter, progress: Progress) -> Iterator[PlannedCell]:
    runs = {run.name: run for run in opened.runs()}
    for corpus in opened.corpora():
        if corpus.store.is_made:
            yield PlannedCell(
                "store", name_of(corpus), 0, opened.places.stores[corpus.name].exists(), CellCost(None, None)
            )
    for done, (name, run) in enumerate(runs.items(), 1):
        entry, _, config = run.resolve()
        cost = training_cost(run, count(entry, config), _records(opened, run.training.data))
        progress("trainings", done, len(runs))
        there = opened.places.run(run).is_dir() and not unfinished(opened.places.run(run)).exists()
        yield PlannedCell("training", f"{run.cell}, seed {run.seed}: training {name}", 0, there, cost)
    probes = ProbeCosts()
    for asked in opened.asked():
        entry_of, config = _encoder_of(asked, runs)
        counted = None if entry_of is None else count(entry_of, config)
        records = [_records(opened, name) for name in asked.stores]
        cost = probes.of(asked, config, counted, records)
        yield PlannedCell("probes", asked.title, len(asked.requests), is_done(opened, asked), cost)


def _encoder_of(asked: Asked, runs: Mapping[str, Run]) -> tuple[MethodEntry | None, Any]:
    """Return family and config of the encoder of a cell; None for one outside the study, or without weights."""
    choice = asked.requests[0].encoder
    if asked.run in runs:
        entry, _, config = runs[asked.run].resolve()
        return entry, override(config, choice.settings)
    if choice.run or choice.weights in ("", "none"):
        return None, None
    entry, _, config = choice.resolve()
    return entry, config


def _records(opened: OpenedStudy, name: str) -> int:
    return records_of(opened.study.stores[name], opened.places.stores.get(name), opened.study.stores)


def _views(opened: OpenedStudy) -> float:
    """Return the bytes of all views: each store under the contract of each encoder that reads it."""
    runs = {run.name: run for run in opened.runs()}
    read = {(run.training.data, run.resolve()[2].signal) for run in runs.values()}
    for asked in opened.asked():
        entry, config = _encoder_of(asked, runs)
        if entry is not None:
            read |= {(name, config.signal) for name in asked.stores}
    each = {(name, spec.view_key()): spec for name, spec in read}
    return sum(view_bytes(spec, _records(opened, name)) for (name, _), spec in each.items())
