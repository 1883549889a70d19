"""Ctrl-C: one mechanism for all long work.

The program answers Ctrl-C at once, from a thread of its own (`answered`), so it does even while the main thread is
inside a long call of a library. Work with `safe_points` is asked to stop, and stops at the next of them; `GRACE`
seconds later it is interrupted wherever it is. Other work is interrupted at once. If the main thread is still busy
after `LIMIT` seconds, or at a second Ctrl-C, the process ends without further ado. Unfinished folders survive that, as
they survive ``kill -9``. `keeps` says what is left and how to go on.
"""

import multiprocessing
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

GRACE = 8.0  # seconds that work has to reach its next safe point
LIMIT = 10.0  # seconds until the process ends, whatever it is doing
CODE = 130  # the exit code
DELEGATE = "ECGKIT_LAUNCHED"  # set in the processes that a process of ecgkit starts
_STARTED_BY_ECGKIT = DELEGATE in os.environ  # read at once: a process that starts others sets it for them
TO_SAVE = (signal.SIGTERM, signal.SIGUSR1)  # a scheduler's signals; Slurm sends the second with --signal=USR1@120
STOPPING = (signal.SIGINT, *TO_SAVE)


@dataclass(frozen=True)
class Left:
    """What stopped work leaves behind.

    Args:
        text: One clause, such as "4 of 7 records are done and kept".
        command: The command that goes on; empty for the same command as before.
    """

    text: str
    command: str = ""


NOTHING = Left("nothing was finished, so nothing is kept")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or another signal, stopped the work.

    Args:
        left: What the work leaves behind.
    """

    def __init__(self, left: Left) -> None:
        super().__init__(f"stopped: {left.text}; to go on: {left.command or 'the same call again'}")
        self.left = left


class Stop:
    """A request to stop. `asked` holds the name of the signal; it is empty if there is none."""

    def __init__(self) -> None:
        self.asked = ""
        self.reached = False  # the work is at a safe point and saves what it has: let it
        self.insisted = False  # the grace is over

    def __call__(self) -> bool:
        """Return whether a signal asked to stop."""
        return bool(self.asked)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal asked to stop."""
        if self.asked:
            raise KeyboardInterrupt


_keepers: list[Callable[[], Left]] = []
_stops: list[Stop] = []
_answering: list[threading.Thread] = []


@contextmanager
def keeps(left: Callable[[], Left]) -> Iterator[None]:
    """Say what the work of the block leaves if it is interrupted.

    Args:
        left: Called after the interruption. A second Ctrl-C calls it while the work is in progress.

    Raises:
        Interrupted: In place of KeyboardInterrupt.
    """
    _keepers.append(left)
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(left()) from None
    finally:
        _keepers.remove(left)


def left_now() -> Left | None:
    """Return what the work in progress would leave, or None if it has not said."""
    return _keepers[-1]() if _keepers else None


@contextmanager
def safe_points(*others: signal.Signals) -> Iterator[Stop]:
    """Yield the request to stop, which the block looks at whenever it could stop well.

    The first Ctrl-C is only noted. KeyboardInterrupt is raised `GRACE` seconds later, or at a second Ctrl-C. Blocks may
    be nested; they share one request. Outside the main thread no signal can be handled, so none is noted.

    Args:
        others: Further signals that ask to stop. They have no second effect and no grace.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Stop()
        return
    stop = _stops[-1] if _stops else Stop()
    insist = threading.Timer(GRACE, _insist, [stop])
    insist.daemon = True

    def note(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            stop.asked = stop.asked or signal.Signals(number).name
        elif stop.insisted or (stop.asked == "SIGINT" and not _answering):
            raise KeyboardInterrupt
        elif stop.asked != "SIGINT":
            stop.asked = "SIGINT"
            insist.start()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, *others)}
    _stops.append(stop)
    try:
        yield stop
    finally:
        insist.cancel()
        _stops.pop()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def delegated() -> Iterator[None]:
    """Let other processes, which get the same signals, decide in the block how long they need to stop."""
    stop = Stop()
    stop.reached = True
    _stops.append(stop)
    try:
        yield
    finally:
        _stops.remove(stop)


def is_delegate() -> bool:
    """Return whether another process of ecgkit started this one and answers for it, or the first of several does."""
    return _STARTED_BY_ECGKIT or os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) != "0"


def end_with_parent() -> None:
    """End this process when the process that started it has ended; nobody else would."""
    parent = os.getppid()
    launcher = os.environ.get(DELEGATE, "")  # it may have ended before this process came here

    def watch() -> None:
        while os.getppid() == parent and (not launcher.isdigit() or _lives(int(launcher))):
            time.sleep(0.5)
        os._exit(CODE)

    threading.Thread(target=watch, daemon=True).start()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _insist(stop: Stop) -> None:
    main = threading.main_thread().ident
    if main is not None and not stop.reached:
        stop.insisted = True
        signal.pthread_kill(main, signal.SIGINT)


@contextmanager
def answered(answer: Callable[[str], None], at_once: Callable[[], None]) -> Iterator[None]:
    """Answer signals within the block, from a thread, whatever the main thread is doing.

    Args:
        answer: Called with the name of the first signal.
        at_once: Called before the process ends at once, with code 130.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receives, sends = os.pipe()
    os.set_blocking(sends, False)
    thread = threading.Thread(target=_answer, args=(receives, answer, at_once), daemon=True)
    before = signal.signal(signal.SIGINT, _raise_once())
    fd = signal.set_wakeup_fd(sends, warn_on_full_buffer=False)
    thread.start()
    _answering.append(thread)
    try:
        yield
    finally:
        _answering.remove(thread)
        signal.set_wakeup_fd(fd)
        signal.signal(signal.SIGINT, before)
        os.close(sends)  # which ends the thread
        thread.join(1)
        os.close(receives)


def end_at_once() -> None:
    """End this process and those of `multiprocessing`, without waiting for threads and for Python's tidying."""
    with suppress(Exception):
        for process in multiprocessing.active_children():
            process.terminate()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    os._exit(CODE)


def _raise_once() -> Callable[[int, FrameType | None], None]:
    """Return a handler that interrupts once: at a second Ctrl-C the thread ends the process."""
    pressed = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if not pressed:
            pressed = True
            raise KeyboardInterrupt

    return interrupt


def _answer(receives: int, answer: Callable[[str], None], at_once: Callable[[], None]) -> None:
    """Read the numbers of the signals that arrive, and end the process when it is time."""
    asked, end = set[int](), float("inf")
    while True:
        wait = None if end == float("inf") else max(0.0, end - time.monotonic())
        if not select.select([receives], [], [], wait)[0]:
            if any(stop.reached for stop in _stops):
                end = float("inf")
                continue
            break
        byte = os.read(receives, 1)
        if not byte:
            return
        number = byte[0]
        if number == signal.SIGINT and number in asked:
            if not any(stop.insisted for stop in _stops):
                break
        elif number in STOPPING and number not in asked:
            if number == signal.SIGINT:
                end = time.monotonic() + LIMIT
            asked.add(number)
            answer(signal.Signals(number).name)
    at_once()
    end_at_once()
