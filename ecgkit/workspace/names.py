"""Names of new stores and runs."""

import re
from pathlib import Path, PurePosixPath

from ecgkit.entries import DatasetEntry
from ecgkit.errors import DatasetError, PluginError
from ecgkit.plugins import host
from ecgkit.training.unfinished import unfinished

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
VERSION = re.compile(r"(?P<title>.+)-\d+(\.\d+)+")  # how PhysioNet names an archive: TITLE-1.0.3
BARE_VERSION = re.compile(r"\d+(\.\d+)+")  # a folder of 'wget -r': mimic-iv-ecg/1.0


def store_name(src: Path, dataset: str = "") -> str:
    """Return the name of the store of a source: ``mimic.zarr`` for ``mimic/``.

    The folder of a downloaded archive, such as ``mimic-iv-ecg-diagnostic-electrocardiogram-matched-subset-1.0``, gives
    the short name of its dataset layout: ``mimic-iv-ecg.zarr``.

    Args:
        src: The source, local or remote.
        dataset: Name of the layout; empty to detect it where it is needed.
    """
    name, versioned = _title(src)
    return f"{(_layout(src, dataset) if versioned else '') or name}.zarr"


def free_run(folder: Path, name: str) -> tuple[Path, bool]:
    """Return ``FOLDER/NAME``, or ``FOLDER/NAME-2`` and so on if it exists; and whether another number was needed."""
    number = 1
    while (path := folder / (name if number == 1 else f"{name}-{number}")).exists() or unfinished(path).exists():
        number += 1
    return path, number > 1


def _title(src: Path) -> tuple[str, bool]:
    """Return the name of a source without suffix and version, and whether it had a version."""
    path = PurePosixPath(src.resolve()) if isinstance(src, Path) else PurePosixPath(str(src))
    if BARE_VERSION.fullmatch(path.name) and path.parent.name:
        return path.parent.name, True
    suffix = next((each for each in sorted(ARCHIVES, key=len) if path.name.lower().endswith(each)), "")
    name = path.name[: len(path.name) - len(suffix)] or "data"
    parts = VERSION.fullmatch(name)
    return (parts["title"], True) if parts else (name, False)


def _layout(src: Path, dataset: str) -> str:
    """Return the name of the layout; empty if it does not name one dataset, or is unknown."""
    from ecgkit.ingestion import find_dataset  # imports numpy and pyarrow, which other commands need later

    try:
        name = dataset or find_dataset(src).name
    except (DatasetError, PluginError):
        return ""  # ingest says what is wrong
    entry = host().entries(DatasetEntry).get(name)
    return "" if entry is None or entry.general else name
