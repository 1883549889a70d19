"""Signals that make a training save and stop: Ctrl-C, SIGTERM, and SIGUSR1 (Slurm's ``--signal=USR1@120``)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stop:
    """State of the stop request; `asked` holds the signal's name."""

    asked: str = ""


@contextmanager
def stopping() -> Iterator[Stop]:
    """Record stop signals within the block instead of ending the process; a second Ctrl-C interrupts at once.

    Outside the main thread, no handler can be set, so signals keep their effect.
    """
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.asked and number == signal.SIGINT and stop.asked == "SIGINT":
            raise KeyboardInterrupt
        stop.asked = signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
