"""MLflow."""

import os
import time
from contextlib import suppress
from typing import Any

from ecgkit.distribution import install_extra
from ecgkit.errors import RunError
from ecgkit.training.loggers.base import LoggedRun, Metrics, flat, numbers

ID = "id"
EXPERIMENT = "ecgkit"
AT_ONCE = 100  # settings in one request
LONGEST = 500  # characters of a setting; MLflow's oldest servers take no more


class MlflowLogger:
    """Logs to MLflow.

    The series goes to the server in MLFLOW_TRACKING_URI if the user has set it, else into the folder ``mlruns`` beside
    the run. A resumed training continues its own series.

    Args:
        run: The training.

    Raises:
        RunError: MLflow is not installed, or its server does not answer.
    """

    def __init__(self, run: LoggedRun) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise RunError("MLflow is not installed", remedy=install_extra("mlflow")) from None
        place = os.environ.get("MLFLOW_TRACKING_URI") or (run.out.absolute().parent / "mlruns").as_uri()
        try:
            self._client: Any = MlflowClient(tracking_uri=place)
            self._id = self._open(run)
        except MlflowException as error:
            raise RunError(f"MLflow at {place} does not answer ({error})", remedy="Leave out --log mlflow.") from None

    def _open(self, run: LoggedRun) -> str:
        """Return the id of the series: the training's own if it was begun before, else a new one."""
        file = run.own("mlflow") / ID
        if file.exists():
            own = file.read_text(encoding="utf-8")
            self._client.update_run(own, status="RUNNING")
            self._written = self._last_epoch(own)
            return own
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        own = str(self._client.create_run(experiment, run_name=run.out.name).info.run_id)
        self._log_settings(own, run)
        self._written = 0
        file.write_text(own, encoding="utf-8")
        return own

    def _log_settings(self, own: str, run: LoggedRun) -> None:
        from mlflow.entities import Param

        settings = [Param(name, str(value)[:LONGEST]) for name, value in flat(run.settings)]
        for first in range(0, len(settings), AT_ONCE):
            self._client.log_batch(own, params=settings[first : first + AT_ONCE])

    def _last_epoch(self, own: str) -> int:
        """Return the last epoch of the series. An epoch that is trained again has the same values, to the bit."""
        with suppress(Exception):  # a series without points
            return max(int(point.step) for point in self._client.get_metric_history(own, "val_loss"))
        return 0

    def write(self, metrics: Metrics) -> None:
        """Write the metrics of an epoch."""
        from mlflow.entities import Metric

        epoch = int(metrics["epoch"])
        if epoch <= self._written:
            return
        now = int(time.time() * 1000)
        self._client.log_batch(self._id, metrics=[Metric(n, v, now, epoch) for n, v in numbers(metrics).items()])

    def close(self, *, finished: bool) -> None:
        """End the series, or mark it as stopped."""
        self._client.set_terminated(self._id, status="FINISHED" if finished else "KILLED")
