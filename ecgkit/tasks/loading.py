"""Tasks by name or by file: the YAML files that plugins register, and those of the user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ecgkit.config import build, override, read_yaml
from ecgkit.datasets.paths import check_inside
from ecgkit.entries import TaskEntry
from ecgkit.errors import ConfigError
from ecgkit.plugins import host
from ecgkit.tasks.table import Table
from ecgkit.tasks.task import Label, Task


@dataclass(frozen=True, kw_only=True)
class TaskFile(TaskEntry):
    """A task in a file of the user's; `target` is its path."""

    @classmethod
    def at(cls, path: Path) -> "TaskFile":
        """Return the task of a YAML file, named by it."""
        return cls(name=path.stem, summary=f"the task of {path}", target=str(path))


def find_task(name: str) -> TaskEntry:
    """Return a registered task by name, or that of a path ending in ``.yaml`` or ``.yml``.

    Raises:
        PluginError: There is no such task.
    """
    return TaskFile.at(Path(name)) if name.endswith((".yaml", ".yml")) else host().get(TaskEntry, name)


def task_reference(entry: TaskEntry) -> str:
    """Return what `find_task` finds a task by again, from any folder: its name, or the absolute path of its file."""
    return str(Path(entry.target).resolve()) if isinstance(entry, TaskFile) else entry.name


def load_task(entry: TaskEntry, settings: Sequence[str] = ()) -> Task:
    """Read a task's data file.

    Args:
        entry: The task.
        settings: Changes, such as ``icd10.count_on=train``.

    Raises:
        ConfigError: The file cannot be read, or a setting does not fit.
        RecordError: A user's task names a table outside of its folder.
    """
    values = _read(entry)
    if isinstance(values.get("labels"), dict):
        for name, label in values["labels"].items():
            build(Label, label, source=f"{entry.target}: labels: {name}")
    task = override(build(Task, values, source=entry.target), settings)
    return task if task.table is None else _with_table(task, task.table, entry)


def _read(entry: TaskEntry) -> dict[str, Any]:
    if isinstance(entry, TaskFile):
        return read_yaml(Path(entry.target))
    package, _, file = entry.target.partition(":")
    values: dict[str, Any] = yaml.safe_load(files(package).joinpath(file).read_text(encoding="utf-8"))
    return values


def _with_table(task: Task, table: Table, entry: TaskEntry) -> Task:
    """Return a task whose table is found beside its file."""
    if not isinstance(entry, TaskFile):
        raise ConfigError(f"{entry.target} has a table", "a task of codes, for only a file of one's own has a table")
    folder = Path(entry.target).resolve().parent
    check_inside(folder, table.path)
    return replace(task, table=replace(table, path=str(folder / table.path)))
