"""Loggers: programs outside of ecgkit that show the curves of a training while it runs.

``ecgkit pretrain --log NAME`` names them. Each writes one point per epoch. A resumed training continues its series.
None sends anything to another machine unless the user has named one in the program's own settings.
"""

from collections.abc import Callable

from ecgkit.entries import LoggerEntry
from ecgkit.hookspecs import hookimpl

LOGGERS = {
    "tensorboard": "event files in RUN/tensorboard, for the program tensorboard",
    "wandb": "Weights & Biases: offline in RUN/wandb, unless WANDB_MODE says otherwise",
    "mlflow": "MLflow: in mlruns beside the run, unless MLFLOW_TRACKING_URI says otherwise",
}


@hookimpl
def register_loggers(register: Callable[[LoggerEntry], None]) -> None:
    """Register the loggers that ecgkit ships."""
    for name, summary in LOGGERS.items():
        target = f"ecgkit.training.loggers.{name}:{name.title()}Logger"
        register(LoggerEntry(name=name, summary=summary, target=target))
