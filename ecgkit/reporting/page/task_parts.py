"""The part of the page on each task: its results, its figure by class, its table and its warnings.

No number is computed here: values are grouped, put into words and placed on axes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ecgkit import wording
from ecgkit.evaluation.results.row import ClassScore, ResultRow
from ecgkit.evaluation.scores.comparison import ClassDifference, Comparison
from ecgkit.reporting.elements import geometry
from ecgkit.reporting.elements.geometry import Axis, Mark
from ecgkit.reporting.elements.section import Table
from ecgkit.reporting.page.protocol import Card
from ecgkit.reporting.page.results import Numbered, Result, number_rows, task_results
from ecgkit.reporting.tables.summary import same_test

MOST_DRAWN = 10  # largest number of results in the figure of a task
MOST_NAMED = 4  # largest number of results that a warning names
COLUMNS = (
    *("result", "class", "name", "auroc", "auroc low", "auroc high", "auprc", "f1", "threshold", "f1 max"),
    *("sensitivity", "positives", "negatives", "training positives", "compared with", "behind it", "p delong"),
)


@dataclass(frozen=True)
class ClassLine:
    """The line of a class, or of the mean over classes, in the figure of a task.

    Args:
        label: Short label; empty for the mean.
        name: Name in words.
        counts: Numbers of positive and of all test records, as text.
        marks: One mark per result.
        values: AUROC of each result as text.
        tests: Comparison of each result with the best of its column; empty if it was not tested.
    """

    label: str
    name: str
    counts: str
    marks: tuple[Mark, ...]
    values: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class TaskPart:
    """A task's part of the page.

    Args:
        name: Name of the task.
        title: Title of the task.
        results: Results of the task.
        drawn: Results that the figure shows: all, or if there are many, those with the highest mean.
        table: All classes of all results.
        axis: Axis of the figure.
        lines: Lines of the mean, then of each class that a result scored.
        labels: Short label and name of each class.
        unscored: Classes without a number: short label, name, and the reason in each result.
        warnings: Each warning, and the results that have it; empty if all have it.
        comparable: Whether all results were scored on the same test records.
    """

    name: str
    title: str
    results: tuple[Result, ...]
    drawn: tuple[Result, ...]
    table: Table
    axis: Axis
    lines: tuple[ClassLine, ...]
    labels: dict[str, str]
    unscored: tuple[tuple[str, str, str], ...]
    warnings: tuple[tuple[str, str], ...]
    comparable: bool

    @property
    def cards(self) -> list[Card]:
        """The protocol card of each result."""
        return [result.card for result in self.results]

    @property
    def references(self) -> list[str]:
        """Names of the results that other results were tested against, one per column of the summary."""
        return [result.name for result in self.results if result.reference]


def task_parts(
    rows: Sequence[tuple[Path, ResultRow]], comparisons: Mapping[Path, Comparison] = MappingProxyType({})
) -> list[TaskPart]:
    """Group the rows by task, in the order in which tasks and rows come.

    Args:
        rows: Rows and their files.
        comparisons: Comparisons with the best of a column of the summary, by file.
    """
    numbered = number_rows(rows)
    tasks = dict.fromkeys(row.task for _, row in rows)
    return [_task_part([of for of in numbered if of.row.task == task], comparisons) for task in tasks]


def _task_part(numbered: Sequence[Numbered], comparisons: Mapping[Path, Comparison]) -> TaskPart:
    rows = [of.row for of in numbered]
    results = task_results(numbered, _highest(rows), comparisons)
    drawn = tuple(results[i] for i in _highest(rows))
    axis = geometry.score_axis(_values([result.row for result in drawn]))
    labels = {score.label: score.name for row in rows for score in row.classes}
    lines = [_mean_line(drawn, axis)] + [_class_line(drawn, axis, label, name) for label, name in labels.items()]
    return TaskPart(
        name=rows[0].task,
        title=rows[0].task_title,
        results=results,
        drawn=drawn,
        table=_table(results),
        axis=axis,
        lines=tuple(line for line in lines if any(mark.x is not None for mark in line.marks)),
        labels=labels,
        unscored=_unscored(results, labels),
        warnings=_warnings(results),
        comparable=same_test(rows),
    )


def _highest(rows: Sequence[ResultRow]) -> list[int]:
    """Return the results that the figure shows, in their order."""
    order = sorted(range(len(rows)), key=lambda i: -(rows[i].macro_auroc or 0))  # stable
    return sorted(order[:MOST_DRAWN])


def _values(rows: Iterable[ResultRow]) -> list[float]:
    """Return all numbers that the figure of a task shows."""
    pairs = [(row.macro_auroc, row.macro_interval) for row in rows]
    pairs += [(score.auroc, score.interval) for row in rows for score in row.classes]
    values = [value for auroc, bounds in pairs for value in (auroc, *(bounds or ()))]
    return [value for value in values if value is not None and wording.is_number(value)]


def _table(results: Sequence[Result]) -> Table:
    return Table(COLUMNS, tuple(_class_row(result, score) for result in results for score in result.row.classes))


def _class_row(result: Result, score: ClassScore) -> tuple[Any, ...]:
    found = result.difference(score.label)
    auroc = (score.auroc, *(score.interval or (None, None)))
    others = (score.auprc, score.f1, score.threshold, score.f1_max, score.sensitivity)
    counts = (score.positives, score.negatives, score.train_positives)
    tested = (result.against, found.value if found else None, found.p if found else None)
    return (result.name, score.label, score.name, *auroc, *others, *counts, *tested)


def _mean_line(results: Sequence[Result], axis: Axis) -> ClassLine:
    rows = [result.row for result in results]
    marks = tuple(geometry.mark(axis, i, row.macro_auroc, row.macro_interval) for i, row in enumerate(rows))
    values = tuple(wording.percent(row.macro_auroc) for row in rows)
    tests = tuple(_found(result, result.comparison) for result in results)
    return ClassLine("", "Mean over scored classes", "", marks, values, tests)


def _found(result: Result, tested: Comparison | ClassDifference | None) -> str:
    if result.reference:
        return "reference"
    return wording.p_value(tested.p) if tested else ""


def _class_line(results: Sequence[Result], axis: Axis, label: str, name: str) -> ClassLine:
    scores = [result.score(label) for result in results]
    aurocs = [score.auroc if score else None for score in scores]
    marks = tuple(
        geometry.mark(axis, i, auroc, score.interval if score else None)
        for i, (auroc, score) in enumerate(zip(aurocs, scores, strict=True))
    )
    counts = {(score.positives, score.positives + score.negatives) for score in scores if score}
    positives, total = counts.pop() if counts else (0, 0)
    text = "counts differ, see the numbers" if counts else f"{positives:,} of {total:,} positive"
    tests = tuple(_found(result, result.difference(label)) for result in results)
    return ClassLine(label, name, text, marks, tuple(map(wording.percent, aurocs)), tests)


def _unscored(results: Sequence[Result], labels: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    """List the classes for which a result has no number, with the reasons."""
    found = []
    for label, name in labels.items():
        reasons: dict[str, list[str]] = {}
        for result in results:
            score = result.score(label)
            if score is None or not wording.is_number(score.auroc):
                reason = (
                    wording.why_unscored(score.positives, score.negatives)
                    if score
                    else "not among the classes of the result"
                )
                reasons.setdefault(reason, []).append(result.name)
        texts = [f"{why} ({which})" if (which := _which(of, len(results))) else why for why, of in reasons.items()]
        if texts:
            found.append((label, name, ", ".join(texts)))
    return tuple(found)


def _warnings(results: Sequence[Result]) -> tuple[tuple[str, str], ...]:
    texts = dict.fromkeys(warning for result in results for warning in result.row.warnings)
    named = {text: [result.name for result in results if text in result.row.warnings] for text in texts}
    return tuple((text, _which(of, len(results))) for text, of in named.items())


def _which(names: Sequence[str], every: int) -> str:
    """Return which results have a warning: empty if all have it, and only their number if they are many."""
    if len(names) == every:
        return ""
    return "; ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} of {every} results"
