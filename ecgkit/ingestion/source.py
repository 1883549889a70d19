"""Find the layout of a dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ecgkit.archives.card import all_cards
from ecgkit.datasets.base import Dataset
from ecgkit.datasets.declared import DeclaredLayout
from ecgkit.datasets.given import NOTHING_GIVEN, Given
from ecgkit.datasets.paths import is_local, refused_members
from ecgkit.download import WORK
from ecgkit.entries import DatasetEntry
from ecgkit.errors import DatasetError, PluginError, did_you_mean
from ecgkit.ingestion.holdings import held, left_out
from ecgkit.plugins import host

SHOWN = 5
DEEPEST = 6  # single folders in each other that are looked into


class Layout(Protocol):
    """What a layout must answer: the class of a dataset, or the layout that a card declares."""

    def recognises(self, root: Path) -> bool:
        """Return whether the folder has this layout."""

    def is_certain(self, root: Path) -> bool:
        """Return whether the folder itself shows it, not only the names of the records below it."""

    def __call__(self, root: Path, *, fs: float | None = None, given: Given = NOTHING_GIVEN) -> Dataset:
        """Return the dataset in a folder."""


@dataclass(frozen=True)
class _Declared:
    """The layout that a card declares, in the form of a `DatasetEntry`."""

    name: str
    priority: int
    layout: DeclaredLayout

    def load(self) -> Any:
        return self.layout


def layouts() -> "dict[str, DatasetEntry | _Declared]":
    """Return all layouts by name, those first that are tried first."""
    declared = {
        name: _Declared(name, card.reading.priority, DeclaredLayout(card))
        for name, card in all_cards().items()
        if card.reading
    }
    known: dict[str, DatasetEntry | _Declared] = {**declared, **host().entries(DatasetEntry)}
    return dict(sorted(known.items(), key=lambda item: -item[1].priority))


def find_dataset(src: Path, name: str = "", fs: float | None = None, given: Given = NOTHING_GIVEN) -> Dataset:
    """Return the dataset in a folder, or in one file. Its layout is detected unless it is named.

    Raises:
        DatasetError: The folder is missing or empty, no layout recognises it, or its dataset lies one level below.
        PluginError: There is no layout of this name.
    """
    if not is_local(src):
        _check_listable(src)
    is_file = src.is_file() and not src.is_dir()  # a web server may answer for a folder as for a file
    if not is_file and not src.is_dir():
        what = "is neither a file nor a folder" if src.exists() else "does not exist"
        raise DatasetError(
            f"{src} {what}", "the folder of a downloaded dataset, a .zip or .tar of it, or a file of records"
        )
    if not is_file and next(src.iterdir(), None) is None:
        raise DatasetError(f"{src} is empty", "the folder of a downloaded dataset", _refusals(src))
    if is_local(src) and (src / WORK).is_dir():
        raise DatasetError(f"the download of {src} is not complete", remedy="Finish it: run 'ecgkit download' again.")
    known = layouts()
    if name and name not in known:
        raise PluginError(f"no dataset {name!r}", f"one of {', '.join(sorted(known))}", did_you_mean(name, known))
    entries = {name: known[name]} if name else known
    broken: list[str] = []
    for entry, layout in _loaded(entries, broken):
        if is_file and not getattr(layout, "takes_file", False):
            continue
        if _asks(layout.recognises, src, entry, broken):
            if not is_file and not name and not layout.is_certain(src):
                _refuse_parent(src, known)
            dataset = layout(src, fs=fs, given=given)
            dataset.findings += [] if is_file else left_out(src, entry)
            return dataset
    if name and broken:
        raise PluginError(f"dataset layout {broken[0]} does not work")
    if is_file:
        raise DatasetError(f"{src.name} is of no layout that reads one file", remedy="Give the dataset's folder.")
    _refuse_parent(src, known)
    raise _unknown(src, entries, broken)


def _check_listable(src: Path) -> None:
    """Raise if a server cannot list a folder; for fsspec, such a folder is only one that does not exist.

    Raises:
        DatasetError: The server refuses, is busy for long, or does not answer in time.
    """
    try:
        next(iter(src.iterdir()), None)
    except (FileNotFoundError, NotADirectoryError):
        return
    except Exception as error:  # each protocol has errors of its own
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise DatasetError(
            f"{src} cannot be listed ({cause})", remedy="Check the address, or try again later."
        ) from None


def _loaded(entries: "dict[str, DatasetEntry | _Declared]", broken: list[str]) -> Iterator[tuple[str, Layout]]:
    for entry in entries.values():
        try:
            yield entry.name, entry.load()
        except PluginError as error:  # a plugin's broken layout must not hide the layouts that work
            broken.append(f"{entry.name} (PluginError: {error})")


def _asks(question: Any, folder: Path, name: str, broken: list[str]) -> bool:
    """Ask a layout about a folder; a layout that fails says no, and is noted."""
    try:
        return bool(question(folder))
    except Exception as error:
        broken.append(f"{name} ({type(error).__name__}: {error})")
        return False


def _refuse_parent(src: Path, entries: "dict[str, DatasetEntry | _Declared]") -> None:
    """Raise if datasets lie one level below a folder that is none itself, or at the end of a chain of single folders.

    ``wget -r`` leaves such a chain: ``physionet.org/files/ptb-xl/1.0.3``.

    Raises:
        DatasetError: Names those folders and their layouts.
    """
    found: list[tuple[Path, str]] = []
    folders, depth = _folders_in(src), 1
    while folders and not (found := [(at, name) for at in folders if (name := _certain_layout(at, entries))]):
        if len(folders) > 1 or depth == DEEPEST:
            return
        folders, depth = _folders_in(folders[0]), depth + 1
    if not found:
        return
    first, name = found[0]
    others = "".join(f", and {other} ({layout})" for other, layout in found[1:SHOWN])
    more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise DatasetError(
        f"{src} is not a dataset itself: a dataset of layout {name} lies in {first}{others}{more}",
        remedy=f"Name that folder: ecgkit ingest {first}",
    )


def _folders_in(folder: Path) -> list[Path]:
    return sorted((entry for entry in folder.iterdir() if entry.is_dir()), key=str)


def _certain_layout(folder: Path, entries: "dict[str, DatasetEntry | _Declared]") -> str:
    ignored: list[str] = []
    for name, layout in _loaded(entries, ignored):
        certain = getattr(layout, "is_certain", None)
        if certain and _asks(certain, folder, name, ignored):
            return name
    return ""


def _unknown(src: Path, entries: "dict[str, DatasetEntry | _Declared]", broken: list[str]) -> DatasetError:
    tried = f" Not tried: {'; '.join(broken)}." if broken else ""
    if len(entries) == 1:
        return DatasetError(
            f"{src} is not laid out as {next(iter(entries))}; it holds {held(src)}",
            remedy=f"Leave --dataset out, and the layout is detected.{_refusals(src)}",
        )
    return DatasetError(
        f"the dataset layout of {src} is unknown; it holds {held(src)}",
        f"one of {', '.join(entries)}",
        f"Give the dataset's own folder, or name its layout with --dataset.{tried}{_refusals(src)}",
    )


def _refusals(src: Path) -> str:
    refused = refused_members(src)
    return (
        f" {len(refused)} members of the archive are refused, such as {refused[0][0]}: {refused[0][1]}."
        if refused
        else ""
    )
