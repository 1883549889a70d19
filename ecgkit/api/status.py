"""``ecgkit.status`` and ``ecgkit.doctor``: the state of a folder, and of the installation."""

from pathlib import Path

from ecgkit.api.arguments import PathLike
from ecgkit.errors import OutputError
from ecgkit.workspace.doctor import Checkup, check_up
from ecgkit.workspace.status import Status, status_of


def status(folder: PathLike = ".") -> Status:
    """Describe the stores, runs and results of a folder, the work that is not finished, and the next command.

    Runs are found directly in the folder and below its folder ``runs``. No signal and no weights are read.

    Args:
        folder: The folder.

    Raises:
        OutputError: There is no such folder.
    """
    path = Path(folder)
    if not path.is_dir():
        raise OutputError(f"{path} is not a folder" if path.exists() else f"{path} does not exist", "a folder")
    return status_of(path)


def doctor() -> Checkup:
    """Return versions, devices, memory, free disk space, optional parts, and what is missing for which command."""
    return check_up(Path())
