"""``ecgkit score``."""

from pathlib import Path
from typing import Annotated

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.given import given
from ecgkit.cli.render import JsonOption, next_is, print_json, print_table, progress, say, warn

TITLES = {
    "challenge": "Challenge score",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "accuracy": "accuracy (all classes right)",
    "f1": "F1",
    "f_beta": "F-beta",
    "g_beta": "G-beta",
}


def score(
    task: Annotated[
        str, typer.Option(help="Task of a Challenge, such as cinc2020 or cinc2021.", autocompletion=completion.tasks)
    ],
    labels: Annotated[Path, typer.Argument(help="Folder of WFDB headers, or the result folder of a probe.")],
    outputs: Annotated[Path | None, typer.Argument(help="Folder of the outputs, one CSV file per recording.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The Challenge's weights.csv. Without it, the Challenge score is not computed.")
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            help="For a probe's result, how to choose thresholds on the validation set: per_class (by F1) or global."
        ),
    ] = "per_class",
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient",
            help="Count a malformed output as negative for all classes, as the Challenge's program of 2020 did.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compute PhysioNet/CinC Challenge scores from a Challenge's own files or from a probe's result.

    With LABELS alone, it is the result folder of a probe on the same task. Thresholds are chosen on its validation
    set, and its test set is scored.
    """
    options = locals()
    with progress() as watch:
        result = ecgkit.score_challenge(**given(ecgkit.score_challenge, options), progress=watch)
    scored, classes = result.scored, result.classes()
    macro = scored.scores.macro()
    next_is("ecgkit probe RUN --task " + task)
    for warning in scored.warnings:
        warn(warning)
    if as_json:
        numbers = {"thresholds": scored.thresholds, "macro": macro, "classes": classes}
        print_json({"task": task, "recordings": scored.recordings, **numbers})
        return
    rows = [{"score": TITLES[name], "value": _text(value)} for name, value in macro.items() if value is not None]
    print_table(f"{result.task.title}: {scored.recordings} recordings", rows, numeric=["value"])
    shown = {name: TITLES[name] for name in ("auroc", "auprc", "f1")}
    cells = [
        {"class": row["label"], "codes": row["codes"], **{title: _text(row[name]) for name, title in shown.items()}}
        for row in classes
    ]
    print_table(f"{len(cells)} classes", cells, numeric=list(shown.values()))
    if weights is None:
        say("the Challenge score needs the Challenge's weights.csv: give it with --weights")


def _text(value: float) -> str:
    return f"{value:z.4f}" if value == value else "-"
