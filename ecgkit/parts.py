"""Work in parts: an executor makes them, the unfinished folder keeps them, and a stopped call can be resumed.

One call makes a part. The part is done when its last file exists. Parts do not depend on each other, so the output is
the same to the last byte, whichever process makes them, in any order, and however often the work was stopped.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from ecgkit.errors import StoreError
from ecgkit.executor import Executor, fitting_workers, open_executor
from ecgkit.interrupt import NOTHING, Left, keeps, safe_points
from ecgkit.parquet import DamagedError
from ecgkit.progress import Advance
from ecgkit.unfinished import Unfinished

A = TypeVar("A")


@dataclass(frozen=True)
class Part(Generic[A]):
    """One part of the work.

    Args:
        name: Name of the part's file that is written last.
        records: Number of records in the part.
        call: Argument of the function that makes the part.
        work: Size of the part for progress, such as its samples; 0 for the number of its records.
    """

    name: str
    records: int
    call: A
    work: int = 0


def make_parts(
    unfinished: Unfinished,
    make: Callable[[Any], object],
    parts: Sequence[Part[A]],
    executor: Executor | None = None,
    progress: Advance | None = None,
    load: Callable[[A], Any] = lambda call: call,
    unit: str = "records",
) -> None:
    """Make the parts that are not done yet.

    Args:
        unfinished: The folder, open and begun.
        make: A function of a module, or a partial of one. It writes the part's files into the folder of parts.
        parts: All parts of the work.
        executor: Runs the calls; None for as many processes as pay, see `fitting_workers`.
        progress: Called with work done and work in total (records, unless the parts say otherwise), that of earlier
            calls included.
        load: Returns what a part's call stands for, when the part is handed out. So what is large need not be in memory
            for all parts at once.
        unit: What the parts count as their records, in words, for the message after Ctrl-C.

    Raises:
        Interrupted: Ctrl-C was pressed; finished parts are kept.
        WorkerError: A worker ended before its work was done.
    """
    left = {part.name: part for part in parts if not unfinished.is_done(part.name)}
    total, work = sum(part.records for part in parts), sum(part.work or part.records for part in parts)
    done = total - sum(part.records for part in left.values())
    worked = work - sum(part.work or part.records for part in left.values())

    def kept() -> Left:
        share = f"{done} of {total} {unit} are" if done else f"{100 * worked // work} % of the work is"
        return Left(f"{share} done and kept in {unfinished.folder}") if worked else NOTHING

    own = nullcontext(executor) if executor else open_executor(fitting_workers(total - done))
    with keeps(kept), safe_points() as stop, own as here:
        handed_out = (replace(part, call=load(part.call)) for part in left.values())
        for name in here.run(partial(_make, make), handed_out, stop):
            done += left[name].records
            worked += left[name].work or left[name].records
            if progress:
                progress(worked, work)
        stop.check()


@contextmanager
def made_again_if_damaged(
    unfinished: Unfinished, part: Callable[[Path], str] = lambda file: file.name
) -> Iterator[None]:
    """Forget a part whose file is found damaged in the block, so that the next call makes it again.

    Args:
        unfinished: The folder.
        part: Returns the name of a part, given one of its files.

    Raises:
        StoreError: In place of `DamagedError`.
    """
    try:
        yield
    except DamagedError as error:
        (unfinished.parts / part(error.path)).unlink(missing_ok=True)
        raise StoreError(str(error), remedy="Run the same command again: this part is made again.") from None


def _make(make: Callable[[Any], object], part: Part[Any]) -> str:
    make(part.call)
    return part.name
