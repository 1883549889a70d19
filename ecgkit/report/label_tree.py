"""Results of a task whose labels are a tree of ICD-10 codes, with what is published beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgkit.report import wording
from ecgkit.report.contents import Result, TaskPart
from ecgkit.report.published import Published, published_numbers
from ecgkit.tasks.icd10 import CHAPTER, level, parent, tree_order


@dataclass(frozen=True)
class TreeLine:
    """A label in the tree.

    Args:
        label: The code.
        name: In words.
        level: ``chapter``, ``block``, ``category`` or ``subcategory``.
        depth: 0 for the chapter.
        positives: Positive test records, as text.
        measured: AUROC of each result, as text.
        published: Published AUROC by column, as text, with the digits that are printed.
    """

    label: str
    name: str
    level: str
    depth: int
    positives: str
    measured: tuple[str, ...]
    published: tuple[str, ...]


@dataclass(frozen=True)
class LabelTree:
    """The table of a task.

    Args:
        results: Headings of the measured columns.
        published: What is published of the task, or None.
        lines: Every label that a result has, below what stands above it.
    """

    results: tuple[str, ...]
    published: Published | None
    lines: tuple[TreeLine, ...]


def label_tree(task: TaskPart) -> LabelTree | None:
    """Return the tree of a task's labels; None where they are none."""
    if CHAPTER not in task.labels or not all(label == CHAPTER or parent(label) for label in task.labels):
        return None
    published = published_numbers(task.name)
    lines = tuple(_line(label, task, published) for label in tree_order(task.labels))
    return LabelTree(tuple(result.label for result in task.results), published, lines)


def _line(label: str, task: TaskPart, published: Published | None) -> TreeLine:
    printed = published.values.get(label) if published else None
    columns = len(published.columns) if published else 0
    return TreeLine(
        label,
        task.labels[label],
        level(label),
        _depth(label),
        _positives(label, task.results),
        tuple(wording.percent(_auroc(result, label)) for result in task.results),
        tuple(f"{100 * value:.2f}" for value in printed) if printed else (wording.DASH,) * columns,
    )


def _depth(label: str) -> int:
    above = parent(label)
    return 0 if above is None else 1 + _depth(above)


def _auroc(result: Result, label: str) -> float | None:
    score = result.score(label)
    return score.auroc if score else None


def _positives(label: str, results: Sequence[Result]) -> str:
    counts = {score.positives for result in results if (score := result.score(label))}
    return wording.count(counts.pop()) if len(counts) == 1 else wording.DASH
