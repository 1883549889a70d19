"""Find out which axis of an array holds records, leads and time.

Axes are written as letters: ``N`` records, ``L`` leads, ``T`` time, ``1`` an axis of length 1. So ``N1TL`` is an array
``[N, 1, T, L]``, in which EchoNext, for example, is published.
"""

import math
from collections.abc import Sequence

from ecgkit.errors import DatasetError

# Without names of leads, an axis this short, and far shorter than the others, is that of the leads.
MOST_LEADS = 16
# No record is this short, so an axis below it is not time while another one may be. MATLAB files often have [T, L, N].
FEWEST_SAMPLES = 50


def find_axes(name: str, shape: Sequence[int], *, leads: int, records: int, given: str = "") -> str:
    """Return the letter of each axis.

    Args:
        name: Name of the array, for errors.
        shape: Its shape.
        leads: Number of leads; 0 if unknown.
        records: Number of rows of the table of records; 0 if there is none.
        given: The letters as the user gives them; empty to find them.

    Raises:
        DatasetError: The letters do not fit, or the axes cannot be told apart.
    """
    if given:
        return _fitting(name, shape, given.upper(), leads)
    long = [axis for axis, size in enumerate(shape) if size != 1]
    sizes = [shape[axis] for axis in long]
    letters = _of_long(sizes, leads, records, len(shape))
    if letters is None:
        raise DatasetError(
            f"the axes of {name} {list(shape)} cannot be told apart",
            remedy="Give their order with --axes: N (records), L (leads), T (time) or 1, such as NTL.",
        )
    found = ["1"] * len(shape)
    for axis, letter in zip(long, letters, strict=True):
        found[axis] = letter
    return "".join(found)


def _of_long(sizes: Sequence[int], leads: int, records: int, axes: int) -> str | None:
    """Return the letters of the axes that are longer than 1, or None if they cannot be told."""
    if len(sizes) == 1:
        return "T"
    lead_axes = [axis for axis, size in enumerate(sizes) if size == leads] if leads else _short_axes(sizes)
    if leads == 1 and len(sizes) == 2:
        # One lead, many records: only a table, or an axis of length 1 among three, tells which axis is which.
        if records in sizes and sizes[0] != sizes[1]:
            return "NT" if sizes[0] == records else "TN"
        return "NT" if axes > 2 else None
    if len(lead_axes) != 1:
        return None
    rest = [axis for axis in range(len(sizes)) if axis != lead_axes[0]]
    if len(rest) == 1:
        return "LT" if lead_axes[0] == 0 else "TL"
    return _of_three(sizes, lead_axes[0], rest, records) if len(rest) == 2 else None


def _of_three(sizes: Sequence[int], lead_axis: int, rest: list[int], records: int) -> str | None:
    """Return the letters of three axes, of which that of the leads is known."""
    letters = {lead_axis: "L"}
    named = [axis for axis in rest if sizes[axis] == records]
    short = [axis for axis in rest if sizes[axis] < FEWEST_SAMPLES]
    if len(named) == 1:
        first = named[0]
    elif len(short) == 1:
        first = short[0]
    elif lead_axis > 0:  # records first, as every library of this field stacks them
        first = rest[0]
    else:
        return None
    letters |= {axis: "N" if axis == first else "T" for axis in rest}
    return "".join(letters[axis] for axis in range(len(sizes)))


def _short_axes(sizes: Sequence[int]) -> list[int]:
    """Return the axes that may be that of unknown leads: the one of length 12, else one that is far the shortest."""
    if list(sizes).count(12) == 1:
        return [list(sizes).index(12)]
    least = min(sizes)
    short = [axis for axis, size in enumerate(sizes) if size == least]
    others = [size for size in sizes if size != least]
    return short if least <= MOST_LEADS and others and min(others) > 2 * MOST_LEADS else []


def _fitting(name: str, shape: Sequence[int], letters: str, leads: int) -> str:
    """Return the user's letters, if they fit the array; axes of length 1 need not be named."""
    long = [axis for axis, size in enumerate(shape) if size != 1]
    if len(letters) == len(long) and len(letters) != len(shape):
        spread = ["1"] * len(shape)
        for axis, letter in zip(long, letters, strict=True):
            spread[axis] = letter
        letters = "".join(spread)
    if len(letters) != len(shape):
        raise DatasetError(
            f"--axes {letters} names {len(letters)} axes, but {name} has the {len(shape)} axes {list(shape)}"
        )
    wrong = [size for letter, size in zip(letters, shape, strict=True) if letter == "1" and size != 1]
    if wrong:
        raise DatasetError(f"--axes {letters}: an axis of {name} {list(shape)} marked 1 has length {wrong[0]}")
    if leads and "L" in letters and shape[letters.index("L")] != leads:
        raise DatasetError(
            f"--axes {letters}: the axis L of {name} {list(shape)} has length {shape[letters.index('L')]}",
            f"{leads}, the number of leads",
        )
    return letters


def count(letters: str, shape: Sequence[int], letter: str) -> int:
    """Return the length of the axis of a letter; 1 if there is none."""
    return shape[letters.index(letter)] if letter in letters else 1


def size_of_record(letters: str, shape: Sequence[int]) -> int:
    """Return the number of samples of a record, of all leads."""
    return math.prod(size for letter, size in zip(letters, shape, strict=True) if letter != "N")
