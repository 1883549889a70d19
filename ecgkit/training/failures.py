"""What ends a training from outside: no memory, a full disk, a process that was killed. Each becomes one clear line.

The line names the step that was reached, what is left on disk, and the command that goes on.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ecgkit.atomic import is_full
from ecgkit.errors import RunError, SpaceError
from ecgkit.interrupt import Left
from ecgkit.training.unfinished import left_of

MEMORY = "memory ran out"
SMALLER = "To need less memory, begin anew with --accumulate 2 or more, or with a smaller recipe.batch_size."
_NO_MEMORY = re.compile(r"can't allocate memory|Cannot allocate memory|out of memory|std::bad_alloc", re.IGNORECASE)
_LOADER = re.compile(r"DataLoader worker .*(killed by signal|exited unexpectedly)")
_PEER = re.compile(r"gloo|NCCL|Connection (closed|reset|refused)|Broken pipe|Socket|Timed out", re.IGNORECASE)


@contextmanager
def told_plainly(out: Path, processes: int, step: Callable[[], int]) -> Iterator[None]:
    """Turn errors from outside the program into one line.

    Args:
        out: The run.
        processes: Number of processes that train.
        step: Returns the step that was reached.

    Raises:
        RunError: Memory ran out, the disk is full, or another process has ended.
    """
    try:
        yield
    except Exception as error:  # torch raises RuntimeErrors for all of these
        cause = cause_of(error, processes)
        if not cause:
            raise
        raise RunError(f"{cause} at step {step():,}", remedy=how_to_go_on(left_of(out), cause)) from None


def cause_of(error: BaseException, processes: int) -> str:
    """Return in words what came from outside; empty for any other error."""
    if isinstance(error, SpaceError):
        return ""  # it says what needs how much
    if is_full(error):
        return "the disk is full"
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return MEMORY
    if not isinstance(error, RuntimeError):
        return ""
    if _NO_MEMORY.search(str(error)):
        return MEMORY
    if _LOADER.search(str(error)):
        return "a process that loads data was killed, perhaps because memory ran out,"
    if processes > 1 and _PEER.search(str(error)):
        return "another process of this training has ended"
    return ""


def how_to_go_on(left: Left, cause: str = "") -> str:
    """Return what is left on disk and what to do, as sentences."""
    text = f"{left.text}."
    go_on = f" Go on with: {left.command}" if left.command else " Give the same command again."
    return f"{text} {SMALLER}{go_on}" if "memory" in cause else text + go_on
