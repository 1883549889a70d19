"""The budget of one record: memory and time, checked before anything is allocated.

A damaged or hostile file may claim any size, and a small compressed file may hold a large one. Readers call
`check_memory` with what a file claims. `record_budget` sets the limits for all that is read within it.
"""

import signal
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from ecgkit.errors import RecordError

MEGABYTES = 2048.0  # 24 hours of 12 leads at 250 Hz need 1,978
SECONDS = 600.0
BYTES_PER_SAMPLE = 8  # of one number while it is converted
MOST_DEFLATED = 1032  # bytes that one compressed byte can stand for at most
_INFLATED_AT_ONCE = 1 << 20

_limit: ContextVar[float] = ContextVar("record_megabytes", default=MEGABYTES)


@contextmanager
def memory_budget(megabytes: float) -> Iterator[None]:
    """Limit the memory of each record that is read in the block."""
    token = _limit.set(megabytes)
    try:
        yield
    finally:
        _limit.reset(token)


@contextmanager
def time_budget(seconds: float) -> Iterator[None]:
    """Stop the block after this time, as far as it runs in a process's main thread.

    Raises:
        RecordError: The time is over.
    """
    if not _has_alarms() or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield  # another timer, such as an outer budget, keeps its right
        return
    with alarms():
        _seconds[:] = [seconds]
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def alarms() -> Iterator[None]:
    """Prepare a block for many time budgets. Setting the handler takes longer than setting the timer."""
    if _ready or not _has_alarms():
        yield
        return
    before = signal.signal(signal.SIGALRM, _stop)
    _ready.append(True)
    try:
        yield
    finally:
        _ready.pop()
        signal.signal(signal.SIGALRM, before)


_seconds: list[float] = []  # the budget at work
_ready: list[bool] = []  # whether the handler is set


def _has_alarms() -> bool:
    return threading.current_thread() is threading.main_thread()  # only the main thread gets signals


def _stop(number: int, frame: FrameType | None) -> None:
    raise RecordError(f"reading the record took more than {_seconds[0]:g} s", remedy="Raise --max-record-seconds.")


def check_inflated(streams: Iterable[bytes], name: str) -> None:
    """Refuse a file whose compressed parts hold more than a record's budget. No part is unpacked as a whole.

    Args:
        streams: The compressed parts (zlib).
        name: Name of the file.

    Raises:
        RecordError: They hold more.
    """
    room, parts = _limit.get() * 2**20, list(streams)
    if sum(map(len, parts)) * MOST_DEFLATED <= room:  # they cannot hold more, so nothing need be unpacked
        return
    for stream in parts:
        unpacker, left = zlib.decompressobj(), stream
        while left and room >= 0:
            room -= len(unpacker.decompress(left, _INFLATED_AT_ONCE))
            left = unpacker.unconsumed_tail
        if room < 0:
            raise RecordError(
                f"{name} unpacks to more than {_limit.get():,.0f} MB",
                remedy="Raise --max-record-mb if the record is sound.",
            )


def check_memory(samples: float, name: str, bytes_per_sample: int = BYTES_PER_SAMPLE) -> None:
    """Refuse a record that needs more memory than its budget.

    Args:
        samples: Number of samples in all leads, as the file claims it.
        name: Name of the file or record.
        bytes_per_sample: Bytes per sample while it is read.

    Raises:
        RecordError: It needs more.
    """
    megabytes = samples * bytes_per_sample / 2**20
    if megabytes > _limit.get():
        raise RecordError(
            f"{name} needs {megabytes:,.0f} MB of memory",
            f"at most {_limit.get():,.0f} MB per record",
            "Raise --max-record-mb if the record is sound.",
        )
