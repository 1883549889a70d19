"""Weights & Biases."""

import os
from typing import Any
from uuid import uuid4

from ecgkit.distribution import install_extra
from ecgkit.errors import RunError
from ecgkit.training.loggers.base import LoggedRun, Metrics, numbers

ID = "id"


class WandbLogger:
    """Logs to Weights & Biases.

    Nothing leaves the machine unless the user has set WANDB_MODE to ``online`` or ``shared``: the series lies in
    ``RUN/wandb``, and ``wandb sync`` sends it. A resumed training has the same id, so that its parts are one series.

    Args:
        run: The training.

    Raises:
        RunError: wandb is not installed, or it cannot begin.
    """

    def __init__(self, run: LoggedRun) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_MODE", "offline")
        try:
            import wandb
        except ImportError:
            raise RunError("Weights & Biases is not installed", remedy=install_extra("wandb")) from None
        folder = run.own("wandb")
        name = folder / ID
        if not name.exists():
            name.write_text(uuid4().hex, encoding="utf-8")
        quiet = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True)
        try:
            self._run: Any = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "ecgkit"),
                name=run.out.name,
                id=name.read_text(encoding="utf-8"),
                resume="allow",
                dir=str(run.folder),
                config=dict(run.settings),
                settings=quiet,
            )
        except wandb.Error as error:
            raise RunError(f"Weights & Biases cannot begin ({error})", remedy="Or leave --log wandb out.") from None

    def write(self, metrics: Metrics) -> None:
        """Write the metrics of an epoch."""
        self._run.log(numbers(metrics), step=metrics["epoch"])

    def close(self, *, finished: bool) -> None:
        """End this part of the series."""
        self._run.finish()
