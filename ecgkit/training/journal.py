"""The training curves on disk: ``metrics.jsonl``, and TensorBoard event files if wanted."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ecgkit.distribution import install_extra
from ecgkit.errors import RunError
from ecgkit.training.run import METRICS

TENSORBOARD = "tensorboard"


class Journal:
    """Writes one line per epoch.

    Args:
        folder: The unfinished run.
        metrics: The metrics of the finished epochs. Later lines on disk are dropped.
        tensorboard: Also write TensorBoard event files.

    Raises:
        RunError: TensorBoard is wanted but not installed.
    """

    def __init__(self, folder: Path, metrics: list[dict[str, Any]], *, tensorboard: bool) -> None:
        self._file = folder / METRICS
        self._file.write_text("".join(f"{json.dumps(line)}\n" for line in metrics), encoding="utf-8")
        self._board = _open_board(folder / TENSORBOARD, len(metrics)) if tensorboard else None

    def write(self, metrics: dict[str, Any]) -> None:
        """Append the metrics of an epoch."""
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(metrics) + "\n")
        if self._board is not None:
            for name, value in metrics.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(name, value, metrics["epoch"])
            self._board.flush()


def _open_board(folder: Path, epochs: int) -> Any:
    if find_spec("tensorboard") is None:
        raise RunError("TensorBoard is not installed", remedy=install_extra("tensorboard"))
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=epochs + 1)
