"""``ecgkit score``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgkit.cli.render import JsonOption, print_json, print_table, progress, say, warn

if TYPE_CHECKING:
    from ecgkit.evaluation.scores.challenge.formula import ChallengeScores
    from ecgkit.tasks.task import Task

TITLES = {
    "challenge": "Challenge score", "auroc": "AUROC", "auprc": "AUPRC", "accuracy": "accuracy (all classes right)",
    "f1": "F1", "f_beta": "F-beta", "g_beta": "G-beta",
}  # fmt: skip


def score(
    task: Annotated[str, typer.Option(help="A task of a Challenge: cinc2020, cinc2021, cinc2020-unmerged.")],
    labels: Annotated[Path, typer.Argument(help="Folder of WFDB headers, or the result folder of a probe.")],
    outputs: Annotated[Path | None, typer.Argument(help="Folder of the outputs, a CSV file a recording.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The Challenge's weights.csv; without it there is no Challenge score.")
    ] = None,
    threshold: Annotated[
        str, typer.Option(help="For a probe's result: per_class by F1 on val, or global by Challenge score (or F1).")
    ] = "per_class",
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Take a malformed output for all negative, as the program of 2020 did.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Score recordings as the PhysioNet/CinC Challenges do, from the Challenge's own files or from a probe's result.

    With one folder, it is that of a probe on the same task: thresholds are chosen on its validation records, and its
    test records are scored.
    """
    from ecgkit.evaluation.scores.challenge.files import read_weights
    from ecgkit.evaluation.scores.challenge.score import score_files, score_result
    from ecgkit.tasks.loading import find_task, load_task

    loaded = load_task(find_task(task))
    matrix = None if weights is None else read_weights(weights, loaded)
    if outputs is None:
        scored = score_result(labels, loaded, task, matrix, threshold)
    else:
        with progress() as watch:
            scored = score_files(labels, outputs, loaded, task, matrix, lenient=lenient, progress=watch)
    for warning in scored.warnings:
        warn(warning)
    if as_json:
        print_json({"task": task, "recordings": scored.recordings, "thresholds": scored.thresholds,
                    "macro": scored.scores.macro(), "classes": by_class(scored.scores, loaded)})  # fmt: skip
        return
    macro = [{"score": TITLES[name], "value": _text(v)} for name, v in scored.scores.macro().items() if v is not None]
    print_table(f"{loaded.title}: {scored.recordings} recordings", macro, numeric=["value"])
    rows = [
        {"class": row["label"], "codes": row["codes"], **{TITLES[n]: _text(row[n]) for n in ("auroc", "auprc", "f1")}}
        for row in by_class(scored.scores, loaded)
    ]
    print_table(f"{len(rows)} classes", rows, numeric=["AUROC", "AUPRC", "F1"])
    if matrix is None:
        say("no Challenge score: name the Challenge's weights.csv with --weights")


def by_class(scores: "ChallengeScores", task: "Task") -> list[dict[str, Any]]:
    """Return one row a class: label, codes, and the scores that a class has."""
    columns = {"auroc": scores.auroc, "auprc": scores.auprc, "f1": scores.f1}
    return [
        {"label": label, "codes": "|".join(of.codes), **{name: float(v[c]) for name, v in columns.items()}}
        for c, (label, of) in enumerate(task.labels.items())
    ]


def _text(value: float) -> str:
    return f"{value:.4f}" if value == value else "-"
