"""Cells: independent pieces of long work in one folder, each done once by whichever worker takes it.

Any number of workers on any number of machines call `do_cells` with the same cells and the same folder. Each takes a
cell that nobody holds and is not done, does it, and takes the next. Work ends when every cell is done or has failed.

::

    FOLDER/NAME.1         claim of the first worker that took the cell NAME; it names the worker
    FOLDER/NAME.2         claim of the next worker, made after the first had died
    FOLDER/NAME.failed    reasons why the cell failed

A claim is a file that only one worker can create, which also holds on network file systems, where locks of the kernel
may not reach other machines. Whoever holds a claim writes into it every `BEAT` seconds. A claim is dead when its
process has ended, as far as that can be seen from the same machine, or when nothing was written for `SILENCE` seconds.
Only the newest claim of a cell counts, so of several workers that find a dead claim exactly one takes the cell over.

A worker that was silent for too long, such as a suspended one, may still finish a cell that another has taken over.
Hence the output of a cell has to appear complete, by a rename, and to be the same whoever makes it.
"""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Generic, TypeVar
from uuid import uuid4

from ecgkit.atomic import atomic_file, naming
from ecgkit.errors import WorkerError
from ecgkit.executor import DEATHS, LATER, Executor, Later

BEAT = 15.0  # s between two signs of life in a claim
SILENCE = 180.0  # s; longer than a network file system may show an old state of a file
LOOK_EVERY = 5.0  # s between two looks at what other workers have done, while this one has nothing to do
FAILED = "failed"
WAITING = "waiting for other workers"  # stage of progress while they hold all that is left

A = TypeVar("A")
Problems = dict[str, str]


@dataclass(frozen=True)
class Cell(Generic[A]):
    """One piece of the work.

    Args:
        name: Its name, the same for all workers; letters, digits, ``-`` and ``_``.
        call: Argument of the function that does it.
        title: What it is, for errors; empty for its name.
    """

    name: str
    call: A
    title: str = ""


def do_cells(
    folder: Path,
    cells: Sequence[Cell[A]],
    work: Callable[[A], Mapping[str, str]],
    is_done: Callable[[A], bool],
    executor: Executor,
    *,
    settled: Callable[[], object] = lambda: None,
    waiting: Callable[[int], object] = lambda _: None,
) -> Problems:
    """Do the cells that are not done, together with other workers, and wait for those that others are doing.

    Args:
        folder: Folder of the claims, shared by all workers.
        cells: All cells of the work.
        work: Does a cell, given its call; returns the reason of each failure by title, and nothing if all went well.
            With an executor of several processes it has to be a function of a module, or a partial of one.
        is_done: Returns whether a cell is done, given its call.
        executor: Runs the work of this worker.
        settled: Called whenever a cell is done or has failed, by this worker or by another.
        waiting: Called with the number of cells that other workers hold, when this one finds none to take.

    Returns:
        The reason of each failure by title, of this worker's cells and of other workers' since the call began.

    Raises:
        OutputError: The folder cannot be written.
    """
    with Claims(folder) as claims:
        shared = _Shared(claims, list(cells), is_done, settled, waiting)
        for name, problems in executor.run(partial(_do, work), shared.free(), give_up=_given_up):
            shared.settle(name, problems)
        return shared.problems


def _do(work: Callable[[A], Mapping[str, str]], cell: Cell[A]) -> tuple[str, Problems]:
    return cell.name, dict(work(cell.call))


def _given_up(cell: Cell[A], error: WorkerError) -> tuple[str, Problems]:
    return cell.name, {cell.title or cell.name: str(error)}


class _Shared(Generic[A]):
    """What one worker knows of the cells."""

    def __init__(
        self,
        claims: "Claims",
        cells: list[Cell[A]],
        is_done: Callable[[A], bool],
        settled: Callable[[], object],
        waiting: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.claims, self.left, self.is_done, self.settled, self.waiting = claims, cells, is_done, settled, waiting
        self.problems: Problems = {}
        self._seen = claims.failures()  # failures of earlier work are tried again
        self._deaths = {cell.name: claims.number(cell.name) for cell in cells}

    def free(self) -> Iterator[Cell[A] | Later]:
        """Yield the cells that this worker has taken, and `LATER` while other workers hold all that is left."""
        looked = -LOOK_EVERY
        while self.left:
            if time.monotonic() - looked < LOOK_EVERY:
                yield LATER
                continue
            numbers = self.claims.numbers()
            taken = next((cell for cell in list(self.left) if self._take(cell, numbers.get(cell.name, 0))), None)
            if taken:
                self.left.remove(taken)
                yield taken
            else:
                looked = time.monotonic()
                if self.left:
                    self.waiting(len(self.left))

    def settle(self, name: str, problems: Problems) -> None:
        """Note the outcome of a cell that this worker has taken."""
        self.problems |= problems
        self.claims.tell(name, problems)
        self.claims.release(name)
        self.settled()

    def _take(self, cell: Cell[A], number: int) -> bool:
        """Try to take a cell; forget it if it is settled."""
        if number and not self.claims.is_dead(cell.name, number):
            return False
        if self._is_settled(cell):
            self.claims.remove(cell.name, number)  # of a worker that died when the cell was done
            return False
        if number - self._deaths[cell.name] >= DEATHS:
            self._forget(cell, {cell.title or cell.name: f"{DEATHS} workers died one after the other at it"})
            return False
        if not self.claims.take(cell.name, number + 1):
            return False
        if self._is_settled(cell):  # in the moment before it was taken
            self.claims.release(cell.name)
            return False
        return True

    def _is_settled(self, cell: Cell[A]) -> bool:
        failure = self.claims.failure(cell.name)
        if failure != self._seen.get(cell.name, Failure()):
            self._forget(cell, failure.problems)
        elif self.is_done(cell.call):
            if cell.name in self._seen:
                self.claims.tell(cell.name, {})  # it failed after its output had appeared
            self._forget(cell, {})
        else:
            return False
        return True

    def _forget(self, cell: Cell[A], problems: Problems) -> None:
        if cell in self.left:
            self.left.remove(cell)
            self.problems |= problems
            self.settled()


@dataclass(frozen=True)
class Failure:
    """How a cell failed; the empty one is that of a cell that did not.

    Args:
        problems: The reasons by title.
        token: Differs between two failures of the same kind.
    """

    problems: Problems = field(default_factory=dict)
    token: str = ""


class Claims:
    """The claims of a folder. As a context, it gives signs of life for the claims that this process holds.

    Args:
        folder: The folder; it is made when the first claim is, and removed with the last.
        beat: Seconds between two signs of life.
        silence: Seconds without a sign of life after which a claim is dead.
    """

    def __init__(self, folder: Path, beat: float = BEAT, silence: float = SILENCE) -> None:
        self.folder = folder
        self._beat, self._silence = beat, silence
        self._held: dict[str, int] = {}
        self._sights: dict[str, tuple[object, float]] = {}  # what a claim looked like, and since when
        self._end = threading.Event()

    def __enter__(self) -> "Claims":
        threading.Thread(target=self._live, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for name in list(self._held):
            self.release(name)
        with suppress(OSError):
            self.folder.rmdir()  # it stays if others have claims, or if failures are noted

    def numbers(self) -> dict[str, int]:
        """Return the number of the newest claim of each cell that has one."""
        found: dict[str, int] = {}
        with suppress(FileNotFoundError, NotADirectoryError):
            for file in os.listdir(self.folder):
                if match := re.fullmatch(r"([\w-]+)\.(\d+)", file):
                    found[match[1]] = max(found.get(match[1], 0), int(match[2]))
        return found

    def number(self, name: str) -> int:
        """Return the number of a cell's newest claim; 0 if it has none."""
        return self.numbers().get(name, 0)

    def take(self, name: str, number: int) -> bool:
        """Create a claim. Return whether it is this worker's; it is not if another was faster."""
        content = json.dumps([*_me(), socket.gethostname(), time.strftime("%Y-%m-%d %H:%M:%S")])
        path = self._path(name, number)
        with naming(path):
            while True:
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    with path.open("x", encoding="utf-8") as file:
                        file.write(content + "\n")
                except FileExistsError:
                    return False
                except FileNotFoundError:
                    continue  # another worker removed the empty folder in this moment
                self._held[name] = number
                return True

    def release(self, name: str) -> None:
        """Remove a claim of this worker, and the dead claims before it."""
        self.remove(name, self._held.pop(name, 0))

    def remove(self, name: str, last: int) -> None:
        """Remove the claims of a cell up to a number, of workers that are done with it or dead."""
        for number in range(1, last + 1):
            self._path(name, number).unlink(missing_ok=True)

    def is_dead(self, name: str, number: int) -> bool:
        """Return whether the worker that made a claim has died."""
        if self._held.get(name) == number:
            return False
        path = self._path(name, number)
        try:
            with path.open(encoding="utf-8") as file:  # opening it asks a network file system for the newest state
                content = file.read()
                sight = content, os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return False  # just released
        owner = _owner(content)
        me = _me()
        if owner[:1] == me[:1]:
            return not _lives(owner)
        seen, since = self._sights.get(str(path), (None, 0.0))
        if seen != sight:
            self._sights[str(path)] = sight, time.monotonic()
            return False
        return time.monotonic() - since > self._silence

    def tell(self, name: str, problems: Problems) -> None:
        """Note how a cell failed for the other workers, or that it did not."""
        path = self.folder / f"{name}.{FAILED}"
        if not problems:
            path.unlink(missing_ok=True)
            return
        with atomic_file(path) as staging:
            staging.write_text(json.dumps({"problems": problems, "token": uuid4().hex}), encoding="utf-8")

    def failure(self, name: str) -> Failure:
        """Return how a cell failed."""
        try:
            found = json.loads((self.folder / f"{name}.{FAILED}").read_text(encoding="utf-8"))
            return Failure({str(title): str(why) for title, why in found["problems"].items()}, str(found["token"]))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return Failure()

    def failures(self) -> dict[str, Failure]:
        """Return how cells failed, by name."""
        names = [path.name.removesuffix(f".{FAILED}") for path in self.folder.glob(f"*.{FAILED}")]
        return {name: self.failure(name) for name in names}

    def _path(self, name: str, number: int) -> Path:
        return self.folder / f"{name}.{number}"

    def _live(self) -> None:
        """Give signs of life: a line at the end of each claim. One that somebody has removed stays removed."""
        while not self._end.wait(self._beat):
            for name, number in list(self._held.items()):
                with suppress(OSError):
                    fd = os.open(self._path(name, number), os.O_WRONLY | os.O_APPEND)
                    with open(fd, "a", encoding="utf-8") as file:
                        file.write(".")


@cache
def _machine() -> str:
    """Return what processes share that can see each other: one start of one kernel, and one list of processes."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return uuid4().hex


def _me() -> tuple[str, int, str]:
    """Return machine, number and start of this process."""
    return _machine(), os.getpid(), _start(os.getpid())


def _start(process: int) -> str:
    """Return when a process started, in ticks of its machine; empty if it has ended."""
    try:
        state, *rest = (
            Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return ""
    return "" if state in "ZX" else rest[18]


def _owner(content: str) -> tuple[str, int, str]:
    try:
        machine, process, start, *_ = json.loads(content.partition("\n")[0])
        return str(machine), int(process), str(start)
    except (ValueError, TypeError):
        return "", 0, ""  # not written yet, or damaged: only its signs of life tell


def _lives(owner: tuple[str, int, str]) -> bool:
    return _start(owner[1]) == owner[2] != ""
