"""Values that a command chose itself because none was given, such as the only store of the current folder.

Whoever chooses a value notes it here with the reason. The program prints the notes in its first line, and everything
that is made records them: a store in its attributes, a run in ``config.yaml``, a result in its row.
"""

import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

INHERITED = "ECGKIT_CHOICES"  # environment variable that hands the choices to the processes of a training

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Choice:
    """A value that was chosen.

    Args:
        option: The option or argument, such as ``--data`` or ``STORE``.
        value: The value, as it could be typed.
        why: Reason, such as "the only store in this folder".
    """

    option: str
    value: str
    why: str

    def __str__(self) -> str:
        return f"{self.option} {shlex.quote(self.value)} ({self.why})"


_typed: ContextVar[str] = ContextVar("typed", default="")
_choices: ContextVar[dict[str, Choice] | None] = ContextVar("choices", default=None)


def choose(option: str, value: object, why: str) -> None:
    """Note a chosen value, if a command or a function of the library is at work."""
    found = _choices.get()
    if found is not None:
        found[option] = Choice(option, str(value), why)


def chosen() -> list[Choice]:
    """Return the values that were chosen so far for the command or function at work."""
    return list((_choices.get() or {}).values())


def recorded() -> dict[str, str]:
    """Return value and reason of each choice by option, for what is made."""
    return {choice.option: f"{choice.value} ({choice.why})" for choice in chosen()}


def typed_command() -> str:
    """Return the command that was typed, such as ``ecgkit beats a.zarr``; empty in a function of the library."""
    return _typed.get()


@contextmanager
def command_typed(arguments: Sequence[str]) -> Iterator[None]:
    """State the arguments of ``ecgkit`` that were typed, and begin the list of choices of this command."""
    token = _typed.set(shlex.join(["ecgkit", *arguments]))
    try:
        with choosing():
            yield
    finally:
        _typed.reset(token)


@contextmanager
def choosing() -> Iterator[None]:
    """Begin a list of choices for the block. Inside another such block, the list of that block goes on."""
    if _choices.get() is not None:
        yield
        return
    token = _choices.set(_inherited(os.environ))
    try:
        yield
    finally:
        _choices.reset(token)


def notes_choices(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of the library that chooses values: the choices of each call are kept apart."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with choosing():
            return function(*args, **kwargs)

    return call


@contextmanager
def handed_on() -> Iterator[None]:
    """Hand the choices on to the processes that the block starts."""
    os.environ[INHERITED] = json.dumps([[choice.option, choice.value, choice.why] for choice in chosen()])
    try:
        yield
    finally:
        del os.environ[INHERITED]


def _inherited(environment: Mapping[str, str]) -> dict[str, Choice]:
    handed: list[list[str]] = json.loads(environment.get(INHERITED, "[]"))
    return {option: Choice(option, value, why) for option, value, why in handed}
