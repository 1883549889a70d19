"""Example ECGs of a task's best result in clinical layout: records of highest loss and of most confident errors.

Predictions hold no signals, so the store that they were made on is needed; a store with other content is an error.
Texts of reports are not shown.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ecgkit.errors import ResultsError
from ecgkit.evaluation.results.predictions import Predictions, has_predictions, predictions_of
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.elements.section import Figure, Picture, Rows, Section, Table
from ecgkit.reporting.pictures.ecg import DPI, ecg_figure
from ecgkit.store.reader import Store

EACH = 3  # records per kind and task
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
        place: Index of the record in the predictions.
        why: Reason why it is shown.
        loss: Loss of the record.
    """

    place: int
    why: str
    loss: float


def examples_section(
    rows: Rows, store: Store, progress: Callable[[int, int], None] = lambda done, total: None
) -> Section | None:
    """Draw examples of the results that were made on a store.

    Args:
        rows: Rows and their files.
        store: The store that the results were made on.
        progress: Called with pictures drawn and pictures in total.

    Raises:
        ResultsError: No result was made on this store, or none has its predictions.
    """
    classified = [(path, row) for path, row in rows if row.classes and has_predictions(path)]
    made = [(path, row) for path, row in classified if row.hashes.get("store") == store.content_hash]
    if not made:
        known = sorted({f"{row.store} ({row.hashes.get('store', '')[:8]})" for _, row in rows})
        raise ResultsError(
            f"no result with classes and predictions was made on {store.path} ({store.content_hash[:8]})",
            "",
            f"Results were made on: {', '.join(known)}",
        )
    chosen = [(path, row, name, example) for path, row, name in _best(made) for example in _examples(path, row)]
    figures = []
    for done, (path, row, name, example) in enumerate(chosen, 1):
        figures.append(_figure(path, row, name, example, store))
        progress(done, len(chosen))
    return Section("Example ECGs", tuple(figures), NOTE)


def _best(rows: Rows) -> list[tuple[Path, ResultRow, str]]:
    """Return the best result of each task with its name."""
    found = []
    for task in dict.fromkeys(row.task for _, row in rows):
        members = [(path, row) for path, row in rows if row.task == task]
        named = zip(members, result_names([row for _, row in members]), strict=True)
        (path, row), name = max(named, key=lambda pair: pair[0][1].macro_auroc or 0)
        found.append((path, row, name))
    return found


def _examples(path: Path, row: ResultRow) -> list[Example]:
    found = predictions_of(path, row)
    y, p = _arrays(found)
    losses = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(1)
    errors = np.abs(y - p)
    by_loss, by_error = np.argsort(-losses, kind="stable")[:EACH], np.argsort(-errors.max(1), kind="stable")
    surest = [i for i in by_error if i not in by_loss][:EACH]
    highest = [Example(int(i), "highest loss", float(losses[i])) for i in by_loss]
    labels = [found.names[int(error.argmax())] for error in errors]
    return [*highest, *(Example(int(i), f"most confident error, {labels[i]}", float(losses[i])) for i in surest)]


def _arrays(found: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return targets and probabilities as floats ``[R, C]``; probabilities are clipped away from 0 and 1."""
    return found.targets.astype(np.float64), np.clip(found.predicted, SMALLEST, 1 - SMALLEST)


def _figure(path: Path, row: ResultRow, name: str, example: Example, store: Store) -> Figure:
    found = predictions_of(path, row)
    record = str(found.records[example.place])
    y, p = (values[example.place].tolist() for values in _arrays(found))
    true = [label for label, is_there in zip(found.names, y, strict=True) if is_there]
    likely = sorted(zip(found.names, p, strict=True), key=lambda pair: -pair[1])[:EACH]
    said = f"label {', '.join(true) or 'none of the classes'}; predicted "
    said += ", ".join(f"{label} {value:.2f}" for label, value in likely)
    lines = tuple(
        (record, label, int(own), value, example.loss) for label, own, value in zip(found.names, y, p, strict=True)
    )
    title = f"{example.why}: record {record}"
    picture = _draw(store, record, title, said)
    alt = f"12-lead ECG of record {record}; {said}"
    note = f"{row.task_title}, {name}: {said}; loss {example.loss:.2f}"
    return Figure(title[0].upper() + title[1:], alt, picture, Table(COLUMNS, lines), note)


def _draw(store: Store, record: str, title: str, subtitle: str) -> Picture:
    """Draw a record of a store as a PNG of few colours, so that a page with several stays small."""
    recording = store.recording(store.row(record))
    figure = ecg_figure(recording, title=title, subtitle=subtitle)
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=DPI * 2 / 3)
    image = Image.open(full).convert("RGB")
    out = io.BytesIO()
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return Picture(out.getvalue(), image.width, image.height)
