"""Selection of the epoch whose weights a finished training keeps."""

from collections.abc import Mapping, Sequence
from typing import Any

from ecgkit.recipe import Recipe

Line = Mapping[str, Any]


def kept_epoch(metrics: Sequence[Line], recipe: Recipe) -> Line:
    """Return the metrics of the epoch whose weights are kept: the epoch of the lowest validation loss, or the last."""
    return lowest(metrics) if recipe.checkpoint == "best" else metrics[-1]


def lowest(metrics: Sequence[Line]) -> Line:
    """Return the metrics of the epoch with the lowest validation loss."""
    return min(metrics, key=lambda line: line["val_loss"])


def describe_selection(metrics: Sequence[Line], recipe: Recipe) -> str:
    """Return a text that says how the weights of a run were chosen; imported weights have no epoch."""
    if not metrics or any("val_loss" not in line for line in metrics):
        return "weights brought from elsewhere; how they were chosen is not recorded"
    kept = kept_epoch(metrics, recipe)
    why = "lowest validation loss" if recipe.checkpoint == "best" else "the last"
    return f"epoch {kept['epoch']} of {recipe.epochs}, {why} ({kept['val_loss']:.4f}) in pretraining"
