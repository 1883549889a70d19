"""Progress callbacks: functions that long work calls to report how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``: the name of the stage, units done, and units in all."""

Advance = Callable[[int, int], None]
"""Called as ``advance(done, total)`` by work of one stage: units done, and units in all."""


def silent(stage: str, done: int, total: int) -> None:
    """Show nothing. This is the default of every function that takes a `Progress`."""


def of_stage(progress: Progress, stage: str) -> Advance:
    """Return ``advance(done, total)``, which reports one stage to `progress`."""
    return lambda done, total: progress(stage, done, total)
