"""``ecgkit tasks``, ``ecgkit heads`` and ``ecgkit encoders``: what can be named."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.render import JsonOption, next_is, print_facts, print_json, print_table

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Store. Mark what fits it, with counts.", autocompletion=completion.stores),
]
RunOption = Annotated[
    Path | None, typer.Option("--run", help="Run. Mark what fits it.", autocompletion=completion.runs)
]


def tasks(data: DataOption = None, run: RunOption = None, as_json: JsonOption = False) -> None:
    """List the tasks that a probe can be given. With a store, mark those whose labels it holds."""
    found = ecgkit.list_tasks(data=data, run=run)
    next_is(f"ecgkit probe --task {next((task.name for task in found if task.fits), 'TASK')}")
    if as_json:
        print_json([asdict(task) for task in found])
        return
    asked = any(task.fits is not None for task in found)
    rows = [
        {
            "task": task.name,
            **(
                {"fits": _mark(task.fits), "records": _count(task.records), "labels": _count(task.labels)}
                if asked
                else {}
            ),
            "predicts": task.predicts,
            "what it is": task.summary,
        }
        for task in found
    ]
    fitting = f", of which {sum(bool(task.fits) for task in found)} fit the store" if asked else ""
    print_table(f"{len(found)} tasks{fitting}", rows, numeric=["records", "labels"] if asked else [])


def heads(run: RunOption = None, as_json: JsonOption = False) -> None:
    """List the heads that turn features into predictions. With a run, mark those that fit its encoder."""
    found = ecgkit.list_heads(run=run)
    next_is("ecgkit probe --head HEAD")
    if as_json:
        print_json([asdict(head) for head in found])
        return
    rows = [
        {
            "head": head.name,
            **({"fits": _mark(head.fits) + (f": lacks {head.lacks}" if head.lacks else "")} if run else {}),
            "reads": ", ".join(head.reads),
            "predicts": head.predicts,
            "what it is": head.summary,
        }
        for head in found
    ]
    fitting = f", of which {sum(bool(head.fits) for head in found)} fit the run" if run else ""
    print_table(f"{len(found)} heads{fitting}", rows)


def encoders(
    method: Annotated[
        str,
        typer.Argument(help="Method whose presets are listed. Default: all.", autocompletion=completion.methods),
    ] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the presets of each method: input and size, and published weights with training data, licence and place.

    With a store, mark those that can be trained on it.
    """
    found = ecgkit.list_encoders(method, data=data)
    published = method and any(encoder.weights for encoder in found)
    next_is(
        f"ecgkit import-weights FILE --method {method} --out RUN"
        if published
        else "ecgkit pretrain --method METHOD --preset PRESET"
    )
    if as_json:
        print_json([asdict(encoder) for encoder in found])
        return
    groups: dict[str, dict[str, Any]] = {}
    for encoder in found:
        groups.setdefault(encoder.method, {})[encoder.preset or "presets"] = _encoder(encoder)
        for card in encoder.weights:
            groups[encoder.method][card.name] = _weights(card)
    for name, presets in groups.items():
        print_facts(name, presets)


def _encoder(encoder: Any) -> str:
    """Return an encoder in a few lines: input, size, and whether it can be trained on the store."""
    if encoder.error:
        return f"not loadable: {encoder.error}"
    size = (
        "size known after training"
        if encoder.width is None
        else (
            f"encoder {_millions(encoder.encoder_parameters)} of {_millions(encoder.parameters)} parameters, "
            f"{encoder.width} features"
        )
    )
    lines = [encoder.contract, f"{size}, {encoder.epochs} epochs" if encoder.pretrains else size]
    lines += [f"{case}: {habit}" for case, habit in encoder.habits.items()]
    if encoder.fits is not None:
        lines.append("can be trained on the store" if encoder.fits else f"the store lacks {encoder.lacks}")
    return "\n".join(lines)


def _weights(card: Any) -> str:
    """Return published weights in a few lines: training data, licence and place."""
    size = f", {_millions(card.parameters)} parameters" if card.parameters else ""
    place = " of ".join(part for part in (card.file, card.hub or card.page) if part) or "unknown"
    lines = [
        f"published weights for the preset {card.preset or 'none'}{size}, {card.leads}",
        f"trained on {card.trained_on}",
        f"licence: {card.licence or 'unknown'}" + (" - NOT FOR COMMERCIAL USE" if card.commercial is False else ""),
        f"file: {place}",
    ]
    if card.hub and card.file:
        lines.append(f"ecgkit import-weights {card.file} --from {card.hub} --method {card.method} --out RUN")
    unknown = "SHA-256: unknown" + ("; --from compares the file with the hub's" if card.hub else "")
    lines.append(f"SHA-256 {card.sha256}" if card.sha256 else unknown)
    return "\n".join([*lines, *([card.notes] if card.notes else [])])


def _mark(fits: bool | None) -> str:
    return "yes" if fits else "no"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _millions(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e5 else f"{number:,}"
