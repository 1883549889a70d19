"""What a logger is, and what it is told of a training."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class LoggedRun:
    """The training that a logger follows.

    Args:
        folder: The unfinished run. A logger keeps its own files, such as the id of its series, in ``folder / NAME``.
        out: The run folder that it becomes.
        settings: The contents of the run's ``config.yaml``.
        epochs: Number of epochs of which the metrics are known; later points of a series that was begun before a stop
            are written again.
    """

    folder: Path
    out: Path
    settings: Mapping[str, Any]
    epochs: int

    def own(self, name: str) -> Path:
        """Return the folder of a logger in the run, made if it does not exist."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder


class Logger(Protocol):
    """Follows one training. It is made in the first process, before the first step.

    Its constructor takes the `LoggedRun`, and raises a `RunError` if the logger's package is missing.
    """

    def write(self, metrics: Metrics) -> None:
        """Write the metrics of an epoch; `metrics["epoch"]` counts from 1."""

    def close(self, *, finished: bool) -> None:
        """End the series, or leave it for the training to be resumed if it is not finished."""


def numbers(metrics: Metrics) -> dict[str, float]:
    """Return the metrics that are numbers, by name."""
    return {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested settings by names such as ``config.recipe.lr``."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
