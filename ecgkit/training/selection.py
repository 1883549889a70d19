"""Selection of the epoch whose weights a finished training keeps, and of the epoch after which it stops early.

`Recipe.monitor` names the metric that decides. A higher value of a score, such as an AUROC, is better; of any other
metric a lower one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ecgkit.recipe import Recipe

Line = Mapping[str, Any]

SCORES = ("auroc", "auprc", "accuracy", "f1")  # the last words of metrics of which a higher value is better


def merit(line: Line, monitor: str) -> float | None:
    """Return the monitored metric of an epoch, negative if lower is better; None if it was not measured."""
    value = line.get(monitor)
    if value is None or not math.isfinite(value):
        return None
    return float(value) if monitor.rpartition("_")[2] in SCORES else -float(value)


def best_epoch(metrics: Sequence[Line], monitor: str) -> Line | None:
    """Return the metrics of the best epoch, the earliest of equal ones; None if the metric was never measured."""
    measured = [(found, -n, line) for n, line in enumerate(metrics) if (found := merit(line, monitor)) is not None]
    return max(measured, key=lambda one: one[:2])[2] if measured else None


def kept_epoch(metrics: Sequence[Line], recipe: Recipe) -> Line:
    """Return the metrics of the epoch whose weights are kept: the best by the monitored metric, or the last."""
    best = best_epoch(metrics, recipe.monitor) if recipe.checkpoint == "best" else None
    return metrics[-1] if best is None else best


def is_flat(metrics: Sequence[Line], recipe: Recipe) -> bool:
    """Return whether the last `Recipe.patience` epochs brought nothing better; False without a patience."""
    best = best_epoch(metrics, recipe.monitor) if recipe.patience else None
    return best is not None and metrics[-1]["epoch"] - best["epoch"] >= (recipe.patience or 0)


def describe_selection(metrics: Sequence[Line], recipe: Recipe) -> str:
    """Return a text that says how the weights of a run were chosen; imported weights have no epoch."""
    if not metrics or any("val_loss" not in line for line in metrics):
        return "weights brought from elsewhere; how they were chosen is not recorded"
    kept = kept_epoch(metrics, recipe)
    if recipe.checkpoint == "last":
        why = f"the last ({kept['val_loss']:z.4f})"
    elif recipe.monitor == "val_loss":
        why = f"lowest validation loss ({kept['val_loss']:z.4f})"
    else:
        why = f"best {recipe.monitor.replace('_', ' ')} ({kept[recipe.monitor]:z.4f})"
    early = f"; stopped early, {recipe.patience} epochs after the best" if is_flat(metrics, recipe) else ""
    return f"epoch {kept['epoch']} of {recipe.epochs}, {why} in pretraining{early}"
