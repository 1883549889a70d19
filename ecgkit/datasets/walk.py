"""All files below a folder, and the folders that could not be entered, each with the reason."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgkit.datasets.paths import check_inside, is_local
from ecgkit.errors import RecordError


@dataclass(frozen=True)
class Refused:
    """A folder that was not entered.

    Args:
        path: Its path below the root.
        reason: Reason, in words.
        is_lost: Whether its files may be missing from the dataset; not if it is a link to a folder that is read anyway.
    """

    path: str
    reason: str
    is_lost: bool


def walk(root: Path, suffix: str = "") -> tuple[list[str], list[Refused]]:
    """Return the paths of the files and folders below a local folder, relative to it, and the folders not entered.

    A link to a folder within the root is not followed, since that folder is read in its own place. One that leads out
    of the root is refused.

    Args:
        root: The folder.
        suffix: End of the names to return; empty for all.
    """
    found: list[str] = []
    refused: list[Refused] = []
    for _, prefix, folders, files in _entered(root, refused):
        found += [f"{prefix}{name}" for name in (*folders, *files) if name.endswith(suffix)]
    return found, refused


def walk_for(
    root: Path, is_wanted: Callable[[Path], bool], suffixes: Collection[str]
) -> tuple[list[str], list[Refused]]:
    """Return the paths of the wanted files below a folder in order, relative to it, and the folders not entered.

    A folder that is wanted itself, such as a Zarr array, is not entered, nor is one whose name begins with a dot. If
    the root is wanted itself, it is the only file.

    Args:
        root: The folder.
        is_wanted: Whether a file or folder is wanted.
        suffixes: The suffixes that wanted names may have, in lower case: other names are not asked about, which is
            most of the time for a large folder.
    """
    if is_wanted(root):
        return [root.name], []
    if not root.is_dir():
        return [], []
    if not is_local(root):
        return sorted(_remote(root, "", is_wanted)), []
    found: list[str] = []
    refused: list[Refused] = []
    for folder, prefix, folders, files in _entered(root, refused):
        wanted = {name for name in (*folders, *files) if _suffix(name) in suffixes and is_wanted(Path(folder, name))}
        folders[:] = [name for name in folders if name not in wanted and not name.startswith(".")]
        found += [f"{prefix}{name}" for name in wanted]
    return sorted(found), refused


def walk_named(root: Path, is_wanted: Callable[[str], bool]) -> tuple[list[str], list[Refused]]:
    """Return the paths of the files below a folder whose names are wanted, in order, and the folders not entered.

    Args:
        root: The folder. Folders in it whose names begin with a dot are not entered.
        is_wanted: Whether a file is wanted, given its name.
    """
    if not is_local(root):
        return sorted(_remote(root, "", lambda entry: is_wanted(entry.name) and entry.is_file())), []
    found: list[str] = []
    refused: list[Refused] = []
    for _, prefix, folders, files in _entered(root, refused):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [f"{prefix}{name}" for name in files if is_wanted(name)]
    return sorted(found), refused


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{dot}{suffix}".lower() if stem else ""


def _entered(root: Path, refused: list[Refused]) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Yield each folder that is entered: its path, its prefix below the root, and the names of its folders and files.

    The caller may take folders out of the list before they are entered. Those that cannot be entered, and links that
    are still in the list, are added to `refused`.
    """
    above = len(os.path.join(root, ""))

    def fail(error: OSError) -> None:
        refused.append(_unreadable(error, above))

    for folder, folders, files in os.walk(root, onerror=fail):
        below = folder[above:].replace(os.sep, "/")
        prefix = f"{below}/" if below else ""
        yield folder, prefix, folders, files
        refused += [_link(root, f"{prefix}{name}") for name in folders if os.path.islink(f"{folder}/{name}")]


def _remote(folder: Path, prefix: str, is_wanted: Callable[[Path], bool]) -> Iterator[str]:
    """Yield the wanted files below a folder that is not on this machine, or in an archive."""
    for entry in folder.iterdir():
        if is_wanted(entry):
            yield f"{prefix}{entry.name}"
        elif entry.is_dir() and not entry.name.startswith("."):
            yield from _remote(entry, f"{prefix}{entry.name}/", is_wanted)


def _unreadable(error: OSError, above: int) -> Refused:
    folder = os.fspath(error.filename)[above:].replace(os.sep, "/")
    return Refused(folder or ".", f"the folder cannot be read ({error.strerror})", True)


def _link(root: Path, path: str) -> Refused:
    try:
        check_inside(root, path)
    except RecordError as error:
        return Refused(path, str(error), True)
    target = os.path.relpath(os.path.realpath(root / path), os.path.realpath(root))
    return Refused(path, f"the folder is a link to {target}, which is read there", False)
