"""Macro AUROC of the test records of each sex, age band and dataset, with intervals.

Sex, age and dataset come from the store of the results. Within one grouping all numbers are means over the same
classes: those with positives and negatives of enough patients in every subgroup. Otherwise a subgroup would look better
because it lacks a difficult class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.predictions import Predictions, has_predictions, predictions_of
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.scores.areas import FEWEST_UNITS, areas, macro_interval, unit_numbers
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.elements.section import Figure, HeatMap, Rows, Section, Table
from ecgkit.store.identity import JOINED
from ecgkit.store.records import RecordTable
from ecgkit.wording import has_interval, interval, percent

BANDS = ((0, 18), (18, 40), (40, 60), (60, 80), (80, 200))  # ages in years
MOST = 12  # results of a task
FEWEST = 20  # records of a subgroup
NOTE = (
    "Macro AUROC × 100 with the 95 % interval over patients. Within one grouping all numbers are means over the same "
    f"classes, those with positives and negatives in {FEWEST_UNITS} patients or more of every subgroup, so they can be "
    "compared with each other, but not with the summary. Subgroups differ in how frequent and how severe findings are; "
    "a difference is no proof that the encoder treats people differently."
)
COLUMNS = ("result", "grouping", "subgroup", "records", "classes", "auroc", "low", "high")


@dataclass(frozen=True)
class Score:
    """The macro AUROC of a subgroup."""

    value: float
    ends: tuple[float, float]


def subgroups_section(rows: Rows, records: RecordTable) -> Section | None:
    """Return one figure for each task and grouping, or None if no grouping has two subgroups of sufficient size.

    Args:
        rows: Rows and their files.
        records: The store of the results; results of other stores are left out.

    Raises:
        ResultsError: Predictions cannot be read.
    """
    own = [(path, row) for path, row in rows if row.hashes.get("store") == records.content_hash]
    figures: list[Figure] = []
    for task in dict.fromkeys(row.task for _, row in own if row.classes):
        members = [(path, row) for path, row in own if row.task == task and has_predictions(path)]
        members.sort(key=lambda member: -(member[1].macro_auroc or 0))
        figures += _figures(members[:MOST], records)
    return Section("Subgroups", tuple(figures), NOTE) if figures else None


def _figures(members: list[tuple[Path, ResultRow]], records: RecordTable) -> list[Figure]:
    found: dict[str, list[Figure]] = {}
    read = [predictions_of(path, row) for path, row in members]
    names = result_names([row for _, row in members])
    for title, values in _groupings(records).items():
        lines = [_scores(predictions, values, records) for predictions in read]
        columns = list(dict.fromkeys(name for scores, _ in lines for name in scores))
        if len(columns) > 1:
            figure = _figure(members[0][1].task_title, title, dict(zip(names, lines, strict=True)), columns)
            found.setdefault(title, []).append(figure)
    return [figure for figures in found.values() for figure in figures]


def _groupings(records: RecordTable) -> dict[str, NDArray[np.object_]]:
    """Return the subgroup of each record of the store by grouping, ``[R]``; None where it is not known."""
    found: dict[str, NDArray[np.object_]] = {}
    if "sex" in records.columns:
        names = {"M": "men", "F": "women"}
        found["sex"] = np.array([names.get(str(sex)) for sex in records.series("sex")], object)
    if "age" in records.columns:
        found["age in years"] = np.array([_band(age) for age in records.series("age")], object)
    if records.attributes.get("dataset") == JOINED:
        found["dataset"] = np.array([str(record).partition(":")[0] for record in records.series("record_id")], object)
    return found


def _band(age: object) -> str | None:
    if not isinstance(age, int | float) or age != age:
        return None
    low, high = next((band for band in BANDS if band[0] <= age < band[1]), (0, 0))
    return (
        None
        if not high
        else f"below {high}"
        if not low
        else f"{low} and above"
        if high == BANDS[-1][1]
        else f"{low} to {high - 1}"
    )


def _scores(
    predictions: Predictions, values: NDArray[np.object_], records: RecordTable
) -> tuple[dict[str, tuple[Score, int]], int]:
    """Return score and number of records by subgroup, in order, and the number of classes."""
    place = records.places(predictions.records.tolist())
    groups = values[np.maximum(place, 0)].copy()
    groups[place < 0] = None
    units, targets = unit_numbers(predictions.patients), predictions.targets.astype(int)
    inside = {name: groups == name for name in _ordered({str(group) for group in groups if group is not None})}
    inside = {name: rows for name, rows in inside.items() if rows.sum() >= FEWEST}
    measured = {name: areas(targets[rows], predictions.predicted[rows], units[rows]) for name, rows in inside.items()}
    if not measured:
        return {}, 0
    scored = np.logical_and.reduce([found.units >= FEWEST_UNITS for found in measured.values()])
    if not scored.any():
        return {}, 0
    return {
        name: (Score(float(found.values[scored].mean()), macro_interval(found, scored)), int(inside[name].sum()))
        for name, found in measured.items()
    }, int(scored.sum())


def _ordered(names: set[str]) -> list[str]:
    bands = [_band(low) for low, _ in BANDS]
    return sorted(names, key=lambda name: (bands.index(name) if name in bands else 0, name))


def _figure(
    task: str, title: str, lines: Mapping[str, tuple[dict[str, tuple[Score, int]], int]], columns: list[str]
) -> Figure:
    values = tuple(tuple(found[c][0].value if c in found else None for c in columns) for found, _ in lines.values())
    texts = tuple(tuple(_text(found[c][0]) if c in found else "" for c in columns) for found, _ in lines.values())
    sizes = {c: max(found[c][1] for found, _ in lines.values() if c in found) for c in columns}
    numbers = tuple(
        (name, title, c, count, classes, round(100 * score.value, 2), *(round(100 * end, 2) for end in score.ends))
        for name, (found, classes) in lines.items()
        for c, (score, count) in found.items()
    )
    classes = sorted({count for found, count in lines.values() if found})
    heads = tuple(f"{c} ({sizes[c]:,})" for c in columns)
    said = f"Mean over {' or '.join(map(str, classes))} class{'' if classes == [1] else 'es'}."
    heat = HeatMap("result", tuple(lines), heads, values, texts, 0.5, 1.0)
    return Figure(f"{task}: by {title}", f"Macro AUROC by {title}", heat, Table(COLUMNS, numbers), said)


def _text(score: Score) -> str:
    return percent(score.value) + (f"\n{interval(score.ends)}" if has_interval(score.ends) else "")
