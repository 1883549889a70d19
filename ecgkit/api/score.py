"""``ecgkit.score_challenge``: scores of the PhysioNet/CinC Challenges."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgkit.api.arguments import PathLike
from ecgkit.evaluation.scores.challenge.files import read_weights
from ecgkit.evaluation.scores.challenge.score import Scored, score_files, score_result
from ecgkit.progress import Progress, silent
from ecgkit.tasks.loading import find_task, load_task
from ecgkit.tasks.task import Task


@dataclass(frozen=True)
class ChallengeResult:
    """Scores on the task of a Challenge.

    Args:
        task: The task.
        scored: Number of recordings, scores, thresholds, and warnings.
    """

    task: Task
    scored: Scored

    def classes(self) -> list[dict[str, Any]]:
        """Return one row per class: its label, codes and scores."""
        scores = self.scored.scores
        columns = {"auroc": scores.auroc, "auprc": scores.auprc, "f1": scores.f1}
        return [
            {"label": label, "codes": "|".join(of.codes), **{name: float(v[c]) for name, v in columns.items()}}
            for c, (label, of) in enumerate(self.task.labels.items())
        ]


def score_challenge(
    labels: PathLike,
    outputs: PathLike | None = None,
    *,
    task: str,
    weights: PathLike | None = None,
    threshold: str = "per_class",
    lenient: bool = False,
    progress: Progress = silent,
) -> ChallengeResult:
    """Compute PhysioNet/CinC Challenge scores from a Challenge's own files or from a probe's result.

    Without `outputs`, `labels` is the result folder of a probe on the same task. Thresholds are chosen on its
    validation set, and its test set is scored.

    Args:
        labels: Folder of WFDB headers, or the result folder of a probe.
        outputs: Folder of the outputs, one CSV file per recording.
        task: Task of a Challenge, such as ``cinc2021``, or path of a task's YAML file with a ``challenge``.
        weights: The Challenge's ``weights.csv``. Without it, the Challenge score is not computed.
        threshold: For a probe's result: ``per_class`` by F1, or ``global`` by the Challenge score (by F1 without
            `weights`), both on the validation records.
        lenient: Count a malformed output as negative for all classes, as the Challenge's program of 2020 did.
        progress: Called with stage, files done and files in all.

    Raises:
        TaskError: The task has no Challenge, or the result belongs to another task.
        ResultsError: A file is missing or malformed.
        ConfigError: `threshold` is unknown.
    """
    entry = find_task(task)
    loaded = load_task(entry)
    matrix = None if weights is None else read_weights(Path(weights), loaded)
    if outputs is None:
        return ChallengeResult(loaded, score_result(Path(labels), loaded, entry.name, matrix, threshold))
    scored = score_files(Path(labels), Path(outputs), loaded, entry.name, matrix, lenient=lenient, progress=progress)
    return ChallengeResult(loaded, scored)
