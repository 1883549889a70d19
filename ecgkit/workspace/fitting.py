"""The tasks that fit a store: those whose labels it holds, with the number of labelled records."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from ecgkit.choices import choose
from ecgkit.entries import TaskEntry
from ecgkit.errors import EcgkitError, TaskError
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task
from ecgkit.workspace.defaults import PathLike, the_run, the_store, the_store_of

SHOWN = 8


@dataclass(frozen=True)
class FittingTask:
    """A task that fits a store.

    Args:
        name: Name of the task.
        title: Its title.
        records: Number of records that take part.
        labels: Number of its labels that occur, or of the numbers to predict.
        numbers: Whether it predicts numbers instead of classes.
        of_reports: Whether its classes were read from the reports.
    """

    name: str
    title: str
    records: int
    labels: int
    numbers: bool
    of_reports: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.records} records, {self.labels} {'numbers' if self.numbers else 'classes'})"


def fitting_tasks(path: Path) -> list[FittingTask]:
    """Return the registered tasks that fit a store; those with the dataset's own classes come first, then entities.

    Raises:
        StoreError: The path is not a store.
    """
    store = Store(path)
    found = [_fit(entry, store) for entry in host().entries(TaskEntry).values()]
    return sorted((task for task in found if task is not None), key=lambda task: (task.numbers, task.of_reports))


def probe_inputs(
    run: PathLike | None, data: PathLike | None, task: str, *, untrained: bool
) -> tuple[Path | None, Path, str]:
    """Return run, store and task of a probe: those that were given, or the defaults of `ecgkit.workspace.defaults`.

    Args:
        run: The run that was given.
        data: The store that was given.
        task: The task that was given; empty for none.
        untrained: Whether a method without pretraining is probed, so that there is no run.
    """
    command = "ecgkit probe"
    if untrained and run is None:
        store = the_store(data, command, "--data")
        return None, store, the_task(task, store, command)
    chosen_run = the_run(run, command)
    store = the_store_of(chosen_run, data, command)
    return chosen_run, store, the_task(task, store, f"{command} {shlex.quote(str(chosen_run))}")


def the_task(given: str, path: Path, command: str) -> str:
    """Return the given task, or the only task whose labels a store holds.

    A task with the dataset's own classes comes before the entities of reports, and these before a task that predicts
    numbers, such as the heart rate, which fits nearly every store.

    Raises:
        TaskError: No task fits, or several do.
    """
    if given:
        return given
    fitting = fitting_tasks(path)
    classes = [task for task in fitting if not task.numbers]
    candidates = [task for task in classes if not task.of_reports] or classes or fitting
    if not candidates:
        raise TaskError(
            f"no registered task fits the labels of {path}",
            remedy="Name a store with labels (--data STORE), or a task in a file of your own (--task FILE.yaml).",
        )
    if len(candidates) > 1:
        listed = ", ".join(map(str, candidates[:SHOWN])) + (", ..." if len(candidates) > SHOWN else "")
        example = f"{command} --task {candidates[0].name}"
        raise TaskError(f"{len(candidates)} tasks fit {path}: {listed}", remedy=f"Name one, such as: {example}")
    choose("--task", candidates[0].name, f"the only task whose {'classes' if classes else 'numbers'} the store holds")
    return candidates[0].name


def _fit(entry: TaskEntry, store: Store) -> FittingTask | None:
    try:
        data = task_data(load_task(entry), entry.name, store, numbers=True)
    except (EcgkitError, LookupError, ValueError):
        return None
    occurring = [c for c in range(len(data.labels)) if data.task.regression or data.targets[:, c].any()]
    if not occurring:
        return None
    numbers, of_reports = data.task.regression is not None, data.extraction is not None
    return FittingTask(entry.name, data.task.title, len(data.rows), len(occurring), numbers, of_reports)
