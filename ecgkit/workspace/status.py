"""The state of a folder: its stores, runs and results, the work that is not finished, and the next command."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgkit.lock import holder_of
from ecgkit.training.unfinished import resume_command
from ecgkit.unfinished import LOCK, SUFFIX
from ecgkit.workspace.contents import StoreInfo, read_store
from ecgkit.workspace.next_step import after_results, after_run, after_store, quoted
from ecgkit.workspace.runs import RUNS, RunInfo, runs_of
from ecgkit.workspace.stores import UnfinishedWork, stores_of, unfinished_stores

ROW = "row.json"


@dataclass(frozen=True)
class ResultInfo:
    """A result of a probe.

    Args:
        path: Its folder.
        run: Name of the run that was probed.
        task: Name of the task.
        head: Name of the head.
        leads: Name of the lead set; empty for all leads.
        score: Macro AUROC; for a regression, the first target's MAE.
        measure: Name of the score.
    """

    path: Path
    run: str
    task: str
    head: str
    leads: str
    score: float | None
    measure: str


@dataclass(frozen=True)
class Status:
    """The state of a folder.

    Args:
        folder: The folder.
        stores: Its stores.
        damaged: Stores that cannot be read, by name, with the reason.
        runs: Its runs, finished and unfinished, the one that changed last at the end.
        results: Its results.
        unfinished: The work that was begun and is not finished.
        next: The next sensible command.
    """

    folder: Path
    stores: list[StoreInfo]
    damaged: dict[str, str]
    runs: list[RunInfo]
    results: list[ResultInfo]
    unfinished: list[UnfinishedWork]
    next: str

    @property
    def empty(self) -> bool:
        """Whether the folder holds nothing that ecgkit made."""
        return not (self.stores or self.damaged or self.runs or self.results or self.unfinished)


def status_of(folder: Path) -> Status:
    """Describe a folder. No signal and no weights are read."""
    stores, damaged = _stores(folder)
    runs, results = runs_of(folder), list(_results(folder))
    unfinished = [*unfinished_stores(folder), *_inside(stores), *map(_training, _stopped(runs))]
    return Status(folder, stores, damaged, runs, results, unfinished, _next(stores, runs, results, unfinished))


def _stores(folder: Path) -> tuple[list[StoreInfo], dict[str, str]]:
    stores, damaged = [], {}
    for path in stores_of(folder):
        try:
            stores.append(read_store(path))
        except (OSError, ValueError, LookupError) as error:
            damaged[path.name] = f"{type(error).__name__}: {error}".splitlines()[0][:120]
    return stores, damaged


def _stopped(runs: list[RunInfo]) -> list[RunInfo]:
    return [run for run in runs if not run.finished]


def _training(run: RunInfo) -> UnfinishedWork:
    return UnfinishedWork(run.path, "run", run.holder, resume_command(run.path))


def _inside(stores: list[StoreInfo]) -> Iterator[UnfinishedWork]:
    """Yield the unfinished R peaks and entities of stores."""
    again = {"beats": "ecgkit beats", "knowledge": "ecgkit extract-knowledge"}
    for store in stores:
        for work in sorted([*store.path.glob(f".*{SUFFIX}"), *store.path.glob(f"knowledge/.*{SUFFIX}")]):
            what = "knowledge" if work.parent.name == "knowledge" else work.name[1 : -len(SUFFIX)]
            if what in again:
                yield UnfinishedWork(store.path, what, holder_of(work / LOCK), f"{again[what]} {quoted(store.path)}")


def _results(folder: Path) -> Iterator[ResultInfo]:
    """Yield the results below ``runs`` and ``suites``, and below the runs directly in the folder."""
    places = [folder / RUNS, folder / "suites", *folder.glob("*/probes")]
    for row in sorted({file for place in places if place.is_dir() for file in place.rglob(ROW)}):
        if any(part.startswith(".") for part in row.relative_to(folder).parts):
            continue
        try:
            yield _result(row, json.loads(row.read_text(encoding="utf-8")))
        except (OSError, ValueError, LookupError, TypeError):
            continue


def _result(row: Path, values: dict[str, Any]) -> ResultInfo:
    targets = values.get("targets") or []
    score = targets[0]["metrics"]["mae"]["value"] if targets else values["macro_auroc"]
    measure = f"MAE of {targets[0]['name']} in {targets[0]['unit']}" if targets else "macro AUROC"
    run, task, head = (str(values[name]) for name in ("run", "task", "head"))
    return ResultInfo(row.parent, run, task, head, str(values.get("lead_set", "")), score, measure)


def _next(
    stores: list[StoreInfo], runs: list[RunInfo], results: list[ResultInfo], unfinished: list[UnfinishedWork]
) -> str:
    """Return the next command: go on with what was stopped, otherwise one step further with what changed last."""
    stopped = [work.command for work in unfinished if not work.holder and work.command]
    if stopped:
        return stopped[-1]
    done = [run for run in runs if run.finished]
    if done:
        probed = {result.run for result in results}
        if done[-1].path.name not in probed:
            return after_run(done[-1].path)
        return after_results(results[-1].path)
    if stores:
        return after_store(max(stores, key=lambda store: store.path.stat().st_mtime).path)
    return "ecgkit ingest FOLDER"
