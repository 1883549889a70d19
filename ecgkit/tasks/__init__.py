"""The tasks that ecgkit ships, a YAML file each; `ecgkit.tasks.task` says what they mean."""

from collections.abc import Callable

from ecgkit.entries import TaskEntry
from ecgkit.hookspecs import hookimpl


@hookimpl
def register_tasks(register: Callable[[TaskEntry], None]) -> None:
    """Register the tasks that ecgkit ships."""
    for name, summary in (
        ("ptbxl-super", "PTB-XL, 5 diagnostic superclasses, published folds"),
        ("simulated", "findings of 'ecgkit simulate', folds by patient"),
    ):
        register(TaskEntry(name=name, summary=summary, target=f"{__name__}:{name}.yaml"))
