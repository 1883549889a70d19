"""Load tasks by name or by file: the YAML files that plugins register, and files of the user."""

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
    """A task in a file of the user; `target` is the path of the file."""

    @classmethod
    def at(cls, path: Path) -> "TaskFile":
        """Return the task in a YAML file, named after the file."""
        return cls(name=path.stem, summary=f"the task of {path}", target=str(path))


def find_task(name: str) -> TaskEntry:
    """Return the registered task of a name, or the task in a file if the name is a path ending in .yaml or .yml.

    Raises:
        PluginError: There is no such task.
    """
    return TaskFile.at(Path(name)) if name.endswith((".yaml", ".yml")) else host().get(TaskEntry, name)


def task_reference(entry: TaskEntry) -> str:
    """Return a reference with which `find_task` finds a task again: its name, or the absolute path of its file."""
    return str(Path(entry.target).resolve()) if isinstance(entry, TaskFile) else entry.name


def load_task(entry: TaskEntry, settings: Sequence[str] = ()) -> Task:
    """Read the YAML file of a task.

    Args:
        entry: Entry of the task.
        settings: Changes to its settings, such as ``icd10.count_on=train``.

    Raises:
        ConfigError: The file cannot be read, or a setting is not valid.
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
    """Return a task with the absolute path of its table, which lies beside the task's file."""
    if not isinstance(entry, TaskFile):
        raise ConfigError(f"{entry.target} has a table, but only a task in a file of your own may have one")
    folder = Path(entry.target).resolve().parent
    check_inside(folder, table.path)
    return replace(task, table=replace(table, path=str(folder / table.path)))
