"""Find the arrays of signals in a file, their axes, and what the file states of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ecgkit.datasets.axes import count, find_axes
from ecgkit.datasets.channels import NO_UNIT, microvolts_of
from ecgkit.datasets.containers import Container, open_container
from ecgkit.datasets.given import Given
from ecgkit.datasets.missing import Stated
from ecgkit.datasets.roles import KNOWN
from ecgkit.errors import RecordError
from ecgkit.leads import find_lead

# Names under which files keep the names of leads.
_LEAD_KEYS = ("leads", "leadnames", "leadname", "lead", "signame", "signalnames", "channels", "channelnames")
_WORDS = {"N": "records", "L": "leads", "T": "samples"}


@dataclass(frozen=True)
class Stack:
    """An array of signals in a file.

    Args:
        path: The file, relative to the dataset's folder.
        name: Name of the array in it; empty in a file that holds just one.
        shape: Its shape.
        letters: Its axes.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    letters: str

    @property
    def records(self) -> int:
        """Number of records."""
        return count(self.letters, self.shape, "N")

    @property
    def rows(self) -> int:
        """Number of leads."""
        return count(self.letters, self.shape, "L")

    @property
    def samples(self) -> int:
        """Number of samples per lead."""
        return count(self.letters, self.shape, "T")

    @property
    def axes(self) -> int:
        """Number of axes that are longer than 1."""
        return sum(size != 1 for size in self.shape)

    @property
    def told(self) -> str:
        """The axes in words."""
        return " x ".join(
            f"{size} {_WORDS[letter]}"
            for letter, size in zip(self.letters, self.shape, strict=True)
            if letter in _WORDS
        )

    def __str__(self) -> str:
        name = f"array {self.name} of {self.path}" if self.name else self.path
        return f"{name} {list(self.shape)}"


def find_stacks(root: Path, path: str, given: Given) -> tuple[Stack, ...]:
    """Return the arrays of a file that may be signals: those with most axes, or the one that the user names.

    Args:
        root: The dataset's folder.
        path: The file, relative to it.
        given: What the user says: the array, its axes, its leads.

    Raises:
        DatasetError: The axes cannot be told apart.
        RecordError: The file cannot be read, or holds no array of numbers.
    """
    return stacks_of(open_container(root, path), path, given)


@lru_cache(maxsize=64)
def stacks_of(container: Container, path: str, given: Given) -> tuple[Stack, ...]:
    """Return the same as `find_stacks`, of a file that is open."""
    arrays = {name: array for name, array in container.arrays.items() if array.shape and 0 not in array.shape}
    if given.array:
        arrays = {name: array for name, array in arrays.items() if name == given.array}
    if not arrays:
        found = ", ".join(container.arrays) or "no array of numbers"
        raise RecordError(f"{path} holds {found}", f"an array {given.array}" if given.array else "an array of signals")
    most = max(_axes(array.shape) for array in arrays.values())
    stated = stated_in(container)
    leads = len(given.naming.order or stated.leads or given.leads)
    stacks = []
    for name, array in arrays.items():
        if _axes(array.shape) == most:
            records = _records_beside(container, array.shape)
            letters = find_axes(_name(path, name), array.shape, leads=leads, records=records, given=given.axes)
            stacks.append(Stack(path, name, tuple(array.shape), letters))
    return tuple(stacks)


@lru_cache(maxsize=64)
def stated_in(container: Container) -> Stated:
    """Return what a file states of its signals: rate, names of leads and unit."""
    single = {_plain(name): value for name, value in container.attributes.items()}
    lists = {_plain(name): values for name, values in container.texts.items()}
    fs = next((rate for key in KNOWN["fs"] if (rate := _rate(single.get(key)))), None)
    unit = next((str(single[key]) for key in KNOWN["unit"] if key in single), "")
    known = microvolts_of(unit) is not None or unit.lower() == NO_UNIT
    leads = next((lists[key] for key in _LEAD_KEYS if key in lists), ())
    if not leads:
        text = next((single[key] for key in _LEAD_KEYS if isinstance(single.get(key), str)), "")
        leads = tuple(re.split(r"[,;\s]+", text.strip())) if text else ()
    return Stated(fs, leads if any(find_lead(lead) for lead in leads) else (), unit if known else "")


def _rate(value: Any) -> float | None:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        return None
    return rate if 0 < rate < float("inf") else None


def _records_beside(container: Container, shape: Sequence[int]) -> int:
    """Return the one length of an axis that lists in the same file have too, such as ids or labels; 0 if none is."""
    lengths = {len(values) for values in container.texts.values()}
    lengths |= {array.shape[0] for array in container.arrays.values() if len(array.shape) == 1}
    common = {size for size in shape if size in lengths and size > 1}
    return common.pop() if len(common) == 1 else 0


def _axes(shape: Sequence[int]) -> int:
    return sum(size != 1 for size in shape)


def _name(path: str, name: str) -> str:
    return f"{name} in {path}" if name else path


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.rpartition("/")[2].lower())
