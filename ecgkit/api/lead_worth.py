"""``ecgkit.inspect_lead_worth``: the importance of each lead to a supervised model."""

from pathlib import Path

from ecgkit.api.arguments import PathLike
from ecgkit.errors import RunError
from ecgkit.evaluation.analyses.lead_worth import LeadWorth, lead_worth
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.progress import Progress, silent
from ecgkit.training.run import read_config

OWN_HEAD = "own"  # the classifier that the run was trained with


def inspect_lead_worth(run: PathLike, *, data: PathLike, task: str, progress: Progress = silent) -> LeadWorth:
    """Return the drop of each class's AUROC when a lead is left out, on the test records of a task.

    Args:
        run: Run folder of a supervised model.
        data: Store with the task's labels.
        task: Task that the run was trained on: a name or a YAML file.
        progress: Called with stage, records done and records in all.

    Raises:
        RunError: The model has no classes, or other classes than the task.
        TaskError: The store has no labels of the task.
    """
    entry, _, _ = read_config(Path(run))
    if "logits" not in entry.features:
        raise RunError(
            f"{run} is a run of {entry.name}, which has no classifier of its own",
            remedy="Name a run that was trained on the labels of the task.",
        )
    request = ProbeRequest(str(data), task, EncoderChoice(run=str(run)), head=OWN_HEAD)
    return lead_worth(Probe(request, progress=progress))
