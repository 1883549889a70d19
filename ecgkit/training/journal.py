"""The training curves: ``metrics.jsonl``, and the loggers that the user named."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from ecgkit.entries import LoggerEntry, load_target
from ecgkit.plugins import host
from ecgkit.training.loggers.base import LoggedRun, Logger
from ecgkit.training.run import METRICS


class Journal:
    """Writes one line per epoch, and tells the loggers.

    Args:
        run: The training.
        metrics: The metrics of the finished epochs. Later lines on disk are dropped.
        loggers: Names of the loggers.
        warn: Called with one line if a logger fails during the training, which goes on without it.

    Raises:
        PluginError: There is no such logger.
        RunError: A logger cannot begin.
    """

    def __init__(
        self, run: LoggedRun, metrics: list[dict[str, Any]], loggers: Sequence[str], warn: Callable[[str], object]
    ) -> None:
        self._file = run.folder / METRICS
        self._file.write_text("".join(f"{json.dumps(line)}\n" for line in metrics), encoding="utf-8")
        self._warn = warn
        self._loggers: dict[str, Logger] = {name: _open(name, run) for name in dict.fromkeys(loggers)}

    def write(self, metrics: dict[str, Any]) -> None:
        """Append the metrics of an epoch."""
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(metrics) + "\n")
        self._tell(lambda logger: logger.write(metrics), f"epoch {metrics['epoch']}")

    def close(self, *, finished: bool) -> None:
        """Tell the loggers that the training is finished, or stopped."""
        self._tell(lambda logger: logger.close(finished=finished), "the end of the training")

    def _tell(self, tell: Callable[[Logger], object], of: str) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                tell(logger)
            except Exception as error:  # a server that is down must not cost a training
                del self._loggers[name]
                why = f"{type(error).__name__}: {error}"
                self._warn(f"logger {name} failed at {of}, and the training goes on without it ({why})")


def _open(name: str, run: LoggedRun) -> Logger:
    entry = host().get(LoggerEntry, name)
    logger: Logger = load_target(entry.target, f"logger {name!r}")(run)
    return logger
