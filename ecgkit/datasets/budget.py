"""How much memory the content of one file may take: a quarter of this machine's memory.

A file may claim any size, and a compressed file of a few kilobytes may unpack to terabytes. So sizes are compared with
this budget before memory is taken.
"""

import math
import os
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np

from ecgkit.errors import RecordError

SHARE = 4
# Bytes per byte on the disk. Deflate packs 1,032 bytes into one at best (https://www.zlib.net/zlib_tech.html).
_DEFLATED, _MOST_PACKED = 1032, 5000
_MATLAB_HEADER, _MATLAB_COMPRESSED = 128, 15


@cache
def memory_budget() -> int:
    """Return the number of bytes that the content of one file may take."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // SHARE


def check_budget(name: str, shape: Sequence[int], dtype: np.dtype, remedy: str = "") -> None:
    """Refuse an array that takes more memory than the budget.

    Args:
        name: Name of the array, for the error.
        shape: Its shape.
        dtype: Its type.
        remedy: What to do instead.

    Raises:
        RecordError: The array is too large.
    """
    size = math.prod(shape) * dtype.itemsize
    if size > memory_budget():
        raise RecordError(
            f"{name} of shape {list(shape)} would take {size / 1e9:,.1f} GB of memory",
            f"at most {memory_budget() / 1e9:,.1f} GB, a quarter of this machine's",
            remedy,
        )


def check_held(name: str, claimed: int, held: int) -> None:
    """Refuse an array that is mostly a hole: one that claims far more bytes than the disk holds of it.

    Args:
        name: Name of the array, for the error.
        claimed: Bytes of the array.
        held: Bytes on the disk.

    Raises:
        RecordError: The array is mostly a hole.
    """
    if claimed > 1 << 20 and claimed > held * _MOST_PACKED:
        raise RecordError(f"{name} claims {claimed / 1e9:,.1f} GB, but the disk holds only {held} bytes of it")


def check_inflated(content: bytes, name: str) -> None:
    """Refuse a MATLAB file (version 5) whose compressed elements unpack to more than the budget.

    "MAT-File Format", MathWorks, 2024: after a header of 128 bytes, each element is a tag (type, number of bytes) and
    its data; type 15 is a compressed element.

    Raises:
        RecordError: The file unpacks to more.
    """
    if len(content) * _DEFLATED <= memory_budget() or not content.startswith(b"MATLAB 5.0"):
        return
    order: Literal["little", "big"] = "little" if content[126:128] == b"IM" else "big"
    place, total = _MATLAB_HEADER, 0
    while place + 8 <= len(content):
        kind, size = (int.from_bytes(content[place + at : place + at + 4], order) for at in (0, 4))
        if kind == _MATLAB_COMPRESSED:
            total += _inflated(content[place + 8 : place + 8 + size], memory_budget() - total)
            if total >= memory_budget():
                raise RecordError(
                    f"{name} unpacks to more than {total / 1e9:,.1f} GB, a quarter of this machine's memory",
                    remedy="Save it with -v7.3.",
                )
        place += 8 + size


def _inflated(packed: bytes, most: int) -> int:
    """Return the size of unpacked data, counted without keeping them, and only up to `most`."""
    unpacker, total, rest = zlib.decompressobj(), 0, packed
    while rest and total < most and not unpacker.eof:
        total += len(unpacker.decompress(rest, 1 << 24))
        rest = unpacker.unconsumed_tail
    return total
