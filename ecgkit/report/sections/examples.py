"""Example ECGs of a task's best result, in clinical layout: where the loss is highest, and where it erred most surely.

Predictions hold no signals, so the store that they were made on is needed; a store of another content is refused. Texts
of reports are not shown.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from ecgkit.errors import ResultsError
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.report.elements.labels import row_labels
from ecgkit.report.elements.predictions import has_predictions, read_test_part
from ecgkit.report.elements.section import Figure, Picture, Rows, Section, Table
from ecgkit.report.pictures.ecg import DPI, ecg_figure
from ecgkit.store.reader import Store

EACH = 3  # records of a kind and task
COLOURS = 32  # of a picture; a page in black and two shades of red needs no more
SMALLEST = 1e-7  # a probability of 0 has no logarithm
NOTE = (
    "Test records of the result with the highest macro AUROC of each task. Loss: mean binary cross-entropy over its "
    "classes. Most confident error: the class whose probability lies farthest from the label. 25 mm/s, 10 mm/mV."
)
COLUMNS = ("record", "class", "label", "probability", "loss of the record")


@dataclass(frozen=True)
class Example:
    """A record to draw.

    Args:
        record: Its id.
        why: What it is an example of.
        loss: Of the record.
    """

    record: str
    why: str
    loss: float


def examples_section(
    rows: Rows, store: Store, progress: Callable[[int, int], None] = lambda done, total: None
) -> Section | None:
    """Draw examples of the results that were made on a store.

    Args:
        rows: Rows and their files.
        store: The store that the results were made on.
        progress: Called with pictures drawn and in all.

    Raises:
        ResultsError: No result was made on this store, or none has its predictions.
    """
    made = [
        (path, row) for path, row in rows if row.hashes.get("store") == store.content_hash and has_predictions(path)
    ]
    if not made:
        known = sorted({f"{row.store} ({row.hashes.get('store', '')[:8]})" for _, row in rows})
        raise ResultsError(
            f"{store.path} ({store.content_hash[:8]}) is not what any result with predictions was made on",
            f"the store of a result: {', '.join(known)}",
        )
    chosen = [(path, row, label, example) for path, row, label in _best(made) for example in _examples(path, row)]
    figures = []
    for done, (path, row, label, example) in enumerate(chosen, 1):
        figures.append(_figure(path, row, label, example, store))
        progress(done, len(chosen))
    return Section("Example ECGs", tuple(figures), NOTE)


def _best(rows: Rows) -> list[tuple[Path, ResultRow, str]]:
    """Return the best result of each task with its label."""
    found = []
    for task in dict.fromkeys(row.task for _, row in rows):
        members = [(path, row) for path, row in rows if row.task == task]
        named = zip(members, row_labels([row for _, row in members]), strict=True)
        (path, row), label = max(named, key=lambda pair: pair[0][1].macro_auroc or 0)
        found.append((path, row, label))
    return found


def _examples(path: Path, row: ResultRow) -> list[Example]:
    part = read_test_part(path, row)
    y, p = _arrays(part, row)
    losses = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(1)
    errors = np.abs(y - p)
    by_loss, by_error = np.argsort(-losses, kind="stable")[:EACH], np.argsort(-errors.max(1), kind="stable")
    surest = [i for i in by_error if i not in by_loss][:EACH]
    records = part.index.astype(str)
    found = [Example(records[i], "highest loss", float(losses[i])) for i in by_loss]
    for i in surest:
        label = row.classes[int(errors[i].argmax())].label
        found.append(Example(records[i], f"most confident error, {label}", float(losses[i])))
    return found


def _arrays(part: pd.DataFrame, row: ResultRow) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, p = (part[[f"{kind}_{score.label}" for score in row.classes]].to_numpy(float) for kind in "yp")
    return y, np.clip(p, SMALLEST, 1 - SMALLEST)


def _figure(path: Path, row: ResultRow, label: str, example: Example, store: Store) -> Figure:
    part = read_test_part(path, row).loc[[example.record]]
    y, p = (values[0] for values in _arrays(part, row))
    true = [score.label for score, is_there in zip(row.classes, y, strict=True) if is_there]
    likely = sorted(zip(row.classes, p, strict=True), key=lambda pair: -pair[1])[:EACH]
    said = f"label {', '.join(true) or 'none of the classes'}; predicted " + ", ".join(
        f"{score.label} {value:.2f}" for score, value in likely
    )
    lines = tuple((example.record, score.label, int(own), float(value), example.loss)
                  for score, own, value in zip(row.classes, y, p, strict=True))  # fmt: skip
    title = f"{example.why}: record {example.record}"
    picture = draw(store, example.record, title, said)
    alt = f"12-lead ECG of record {example.record}; {said}"
    note = f"{row.task_title}, {label}: {said}; loss {example.loss:.2f}"
    return Figure(title[0].upper() + title[1:], alt, picture, Table(COLUMNS, lines), note)


def draw(store: Store, record: str, title: str, subtitle: str) -> Picture:
    """Draw a record of a store as a PNG of few colours, so that a page with several stays small."""
    recording = store.recording(store.row(record))
    figure = ecg_figure(recording, title=title, subtitle=subtitle)
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=DPI * 2 / 3)
    image = Image.open(full).convert("RGB")
    out = io.BytesIO()
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return Picture(out.getvalue(), image.width, image.height)
