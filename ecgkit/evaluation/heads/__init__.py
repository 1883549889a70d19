"""Heads: from features to predictions. `ecgkit.evaluation.heads.base` says what a head is."""

from collections.abc import Callable

from ecgkit.entries import HeadEntry
from ecgkit.hookspecs import hookimpl


@hookimpl
def register_heads(register: Callable[[HeadEntry], None]) -> None:
    """Register the heads that ecgkit ships."""
    register(
        HeadEntry(
            name="linear",
            summary="logistic regression on frozen, pooled features; strength of the penalty chosen on val",
            target="ecgkit.evaluation.heads.linear:LinearHead",
        )
    )
    register(
        HeadEntry(
            name="zero-shot",
            summary="classes by their names or by prompts, scored by the method itself; nothing is trained",
            target="ecgkit.evaluation.heads.zero_shot:ZeroShotHead",
            needs=("method",),
            config="ecgkit.evaluation.heads.zero_shot:ZeroShotConfig",
        )
    )
