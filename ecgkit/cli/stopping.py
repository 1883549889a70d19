"""What the program says when Ctrl-C or another signal stops it: that it stops, what is left, and how to go on."""

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress

from ecgkit.cli.render import errors
from ecgkit.interrupt import LIMIT, Interrupted, Left, is_delegate, left_now

WHOLE = Left("no half-written file is left behind")
SHOW_CURSOR = "\x1b[?25h"  # progress bars hide it


def answer(signal: str) -> None:
    """Say that the program stops, and when."""
    if is_delegate():
        return
    if signal == "SIGINT":
        line = f"stopping at the next safe point, in at most {LIMIT:.0f} s. Press Ctrl-C again to stop at once."
    else:
        line = f"{signal}: saves and stops at the next safe point."
    _write(f"\n{line}\n" if errors.is_terminal else f"{line}\n")


def at_once(arguments: Sequence[str]) -> None:
    """Say what is left of work that has no safe point and was ended at once."""
    if is_delegate():
        return
    left = None
    with suppress(Exception):
        left = left_now()
    _write((f"{SHOW_CURSOR}\n" if errors.is_terminal else "") + _last_line(left, arguments, " at once"))


def stopped(error: BaseException, arguments: Sequence[str]) -> None:
    """Say what is left by work that has stopped; Typer hides its exception behind others."""
    if is_delegate():
        return
    found: BaseException | None = error
    while found is not None and not isinstance(found, Interrupted):
        found = found.__cause__ or found.__context__
    print(_last_line(found.left if found else WHOLE, arguments, ""), end="", file=sys.stderr)


def _last_line(left: Left | None, arguments: Sequence[str], how: str) -> str:
    command = (left.command if left else "") or shlex.join(["ecgkit", *arguments])
    return f"stopped{how}{f': {left.text}' if left else ''}. Go on with: {command}\n"


def _write(text: str) -> None:
    """Write to stderr without any lock, which the interrupted work may hold."""
    with suppress(OSError):
        os.write(2, text.encode())
