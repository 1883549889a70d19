"""Signals that ask a training to save and stop: Ctrl-C, SIGTERM, and SIGUSR1 (Slurm's ``--signal=USR1@120``)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stop:
    """Whether somebody asked to stop; `asked` holds the signal's name."""

    asked: str = ""


@contextmanager
def stopping() -> Iterator[Stop]:
    """Note the signals within the block instead of dying of them; a second Ctrl-C interrupts at once.

    Outside the main thread, where no handler can be set, signals do what they did.
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
