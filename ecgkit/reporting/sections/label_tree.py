"""Scores of ICD-10 labels as a tree of chapter, block, category and subcategory, with published numbers."""

from collections.abc import Mapping, Sequence

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.elements.section import Figure, Rows, Section, Table
from ecgkit.reporting.tables.published_numbers import published_numbers
from ecgkit.tasks.icd10 import CHAPTER, level, parent, tree_order
from ecgkit.wording import DASH, percent

NOTE = (
    "AUROC x 100 on test records. Published numbers, folded away, are from the literature, not measured by "
    "ecgkit. They do not compare with measured ones, because records, folds and the chosen labels differ."
)
INDENT = "\u2003"


def label_tree_section(rows: Rows) -> Section | None:
    """Return one table for each task with a tree of ICD-10 codes as labels, or None."""
    tasks = dict.fromkeys(row.task for _, row in rows)
    figures = tuple(figure for task in tasks for figure in _figures([row for _, row in rows if row.task == task]))
    return Section("Tree of ICD-10 labels", figures, NOTE) if figures else None


def _figures(rows: Sequence[ResultRow]) -> list[Figure]:
    """Return the table of a task's results, and a folded one of published numbers; empty if it is no tree."""
    names = {score.label: score.name for row in rows for score in row.classes}
    if CHAPTER not in names or not all(label == CHAPTER or parent(label) for label in names):
        return []
    order = tree_order(names)
    title = f"{rows[0].task_title}: chapter, block, category, subcategory"
    lines = tuple(
        (*_label(label, names), level(label), _positives(rows, label), *(_auroc(row, label) for row in rows))
        for label in order
    )
    own = Table(("label", "name", "level", "positives", *result_names(rows)), lines)
    found = [Figure(title, f"{title}, a table of {len(lines)} labels", None, own)]
    printed = _printed(rows[0].task)
    if printed:
        theirs = tuple((*_label(label, names), *(of.get(label, DASH) for of in printed.values())) for label in order)
        table = Table(("label", "name", *(f"published: {name}" for name in printed)), theirs)
        found.append(Figure(f"{rows[0].task_title}: published", "Published numbers", None, table, folded=True))
    return found


def _label(label: str, names: Mapping[str, str]) -> tuple[str, str]:
    return INDENT * _depth(label) + label, names[label]


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
