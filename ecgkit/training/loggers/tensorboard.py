"""TensorBoard event files."""

from importlib.util import find_spec

from ecgkit.distribution import install_extra
from ecgkit.errors import RunError
from ecgkit.training.loggers.base import LoggedRun, Metrics, numbers


class TensorboardLogger:
    """Writes event files into ``RUN/tensorboard``.

    Args:
        run: The training.

    Raises:
        RunError: TensorBoard is not installed.
    """

    def __init__(self, run: LoggedRun) -> None:
        if find_spec("tensorboard") is None:  # torch does not say clearly that it is missing
            raise RunError("TensorBoard is not installed", remedy=install_extra("tensorboard"))
        from torch.utils.tensorboard import SummaryWriter

        # Points of epochs that a stopped process did not get into a checkpoint are dropped.
        self._board = SummaryWriter(str(run.own("tensorboard")), purge_step=run.epochs + 1)

    def write(self, metrics: Metrics) -> None:
        """Write the metrics of an epoch."""
        for name, value in numbers(metrics).items():
            self._board.add_scalar(name, value, metrics["epoch"])
        self._board.flush()

    def close(self, *, finished: bool) -> None:
        """Close the file."""
        self._board.close()
