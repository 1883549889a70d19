"""Find the layout of a dataset."""

from pathlib import Path

from ecgkit.datasets.base import Dataset
from ecgkit.datasets.given import NOTHING_GIVEN, Given
from ecgkit.entries import DatasetEntry
from ecgkit.errors import DatasetError, PluginError
from ecgkit.plugins import host


def find_dataset(src: Path, name: str = "", fs: float | None = None, given: Given = NOTHING_GIVEN) -> Dataset:
    """Return the dataset in a folder. Its layout is detected unless it is named.

    Raises:
        DatasetError: The folder is missing or empty, or no layout recognises it.
        PluginError: There is no layout of this name.
    """
    if not src.is_dir():
        what = "is a file" if src.exists() else "does not exist"
        raise DatasetError(f"{src} {what}", "the folder of a downloaded dataset")
    if next(src.iterdir(), None) is None:
        raise DatasetError(f"{src} is empty", "the folder of a downloaded dataset")
    entries = host().entries(DatasetEntry)
    if name:
        entries = {name: host().get(DatasetEntry, name)}
    broken = []
    for entry in sorted(entries.values(), key=lambda e: -e.priority):
        try:
            layout: type[Dataset] = entry.load()
            fits = layout.recognises(src)
        except Exception as error:  # a plugin's broken layout must not hide the layouts that work
            broken.append(f"{entry.name} ({type(error).__name__}: {error})")
            continue
        if fits:
            return layout(src, fs=fs, given=given)
    if name and broken:
        raise PluginError(f"dataset layout {broken[0]} does not work")
    raise DatasetError(
        f"the dataset layout of {src} is unknown",
        f"one of {', '.join(entries)}",
        f"Give the dataset's own folder, or name --dataset.{' Not tried: ' + '; '.join(broken) if broken else ''}",
    )
