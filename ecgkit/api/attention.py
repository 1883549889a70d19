"""``ecgkit.inspect_attention`` and ``ecgkit.inspect_lead_worth``: attention over a record, and lead importance."""

from pathlib import Path

from ecgkit.api.arguments import PathLike, path_or_none
from ecgkit.atomic import check_suffix
from ecgkit.errors import RunError
from ecgkit.evaluation.analyses.attention import LeadWorth, RecordAttention, lead_worth, record_attention
from ecgkit.evaluation.features.encoder import EncoderChoice, pretrained_encoder
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.progress import Progress, silent
from ecgkit.reporting.pictures.attention import plot_attention
from ecgkit.store.reader import Store
from ecgkit.training.run import read_config

OWN_HEAD = "own"  # the classifier that the run was trained with


def inspect_attention(
    run: PathLike, *, data: PathLike, record: str, out: PathLike | None = None, progress: Progress = silent
) -> RecordAttention:
    """Return the attention of a run's model over a record; draw it if `out` is given.

    Args:
        run: Run folder.
        data: Store of the record.
        record: Id of the record.
        out: PNG file to draw.
        progress: Called with stage, records done and records in all.

    Raises:
        RunError: The model gives no attention.
        StoreError: There is no such record, or the model cannot read it.
        OutputError: `out` does not end in ``.png``, or cannot be written.
    """
    picture = path_or_none(out)
    if picture is not None:
        check_suffix(picture, ".png")
    encoder, store = pretrained_encoder(Path(run)), Store(Path(data))
    found = record_attention(encoder, store, record, progress)
    if picture is not None:
        plot_attention(found, picture, title=f"{encoder.name} on {store.name}, record {record}")
    return found


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
