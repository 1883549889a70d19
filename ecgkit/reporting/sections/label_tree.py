"""Scores of ICD-10 labels as a tree of chapter, block, category and subcategory, with published numbers."""

from collections.abc import Mapping, Sequence

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.elements.section import Figure, Rows, Section, Table
from ecgkit.reporting.tables.published_numbers import published_numbers
from ecgkit.tasks.icd10 import CHAPTER, level, parent, tree_order
from ecgkit.wording import DASH, percent

NOTE = (
    "AUROC x 100 on test records. Columns that begin with 'published' are from the literature, not measured by "
    "ecgkit. They do not compare with measured ones, because records, folds and the chosen labels differ."
)
INDENT = "\u2003"


def label_tree_section(rows: Rows) -> Section | None:
    """Return one table for each task with a tree of ICD-10 codes as labels, or None."""
    tasks = dict.fromkeys(row.task for _, row in rows)
    found = [_figure([row for _, row in rows if row.task == task]) for task in tasks]
    figures = tuple(figure for figure in found if figure is not None)
    return Section("Tree of ICD-10 labels", figures, NOTE) if figures else None


def _figure(rows: Sequence[ResultRow]) -> Figure | None:
    names = {score.label: score.name for row in rows for score in row.classes}
    if CHAPTER not in names or not all(label == CHAPTER or parent(label) for label in names):
        return None
    printed = _printed(rows[0].task)
    columns = ("label", "name", "level", "positives", *result_names(rows), *(f"published: {name}" for name in printed))
    lines = tuple(
        (
            INDENT * _depth(label) + label,
            names[label],
            level(label),
            _positives(rows, label),
            *(_auroc(row, label) for row in rows),
            *(of.get(label, DASH) for of in printed.values()),
        )
        for label in tree_order(names)
    )
    title = f"{rows[0].task_title}: chapter, block, category, subcategory"
    return Figure(title, f"{title}, a table of {len(lines)} labels", None, Table(columns, lines))


def _printed(task: str) -> dict[str, Mapping[str, str]]:
    """Return the published numbers of a task's labels, by method and label, with the digits as printed."""
    found: dict[str, dict[str, str]] = {}
    for entry in published_numbers():
        if entry.task == task and entry.label and entry.share == "100 %":
            found.setdefault(f"{entry.method}, {entry.head}" if entry.head else entry.method, {})[entry.label] = (
                entry.text
            )
    return dict(found)


def _depth(label: str) -> int:
    above = parent(label)
    return 0 if above is None else 1 + _depth(above)


def _auroc(row: ResultRow, label: str) -> str:
    score = next((score for score in row.classes if score.label == label), None)
    return percent(score.auroc) if score else DASH


def _positives(rows: Sequence[ResultRow], label: str) -> int | None:
    counts = {score.positives for row in rows for score in row.classes if score.label == label}
    return counts.pop() if len(counts) == 1 else None
