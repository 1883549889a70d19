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
            name="own",
            summary="the classifier that the encoder was trained with, for the task that it was trained on",
            target="ecgkit.evaluation.heads.own:OwnHead",
            needs=("logits",),
        )
    )
