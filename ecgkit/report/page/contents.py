"""What the report says, worked out from result rows: which results belong together, their labels and their figures.

Nothing here is a new number: values are grouped, put into words and placed on axes.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ecgkit import wording
from ecgkit.evaluation.results.row import ClassScore, ResultRow
from ecgkit.evaluation.scores.comparison import ClassDifference, Comparison
from ecgkit.report.elements import figures
from ecgkit.report.elements.figures import Axis, Mark
from ecgkit.report.elements.labels import row_labels
from ecgkit.report.elements.section import Table
from ecgkit.report.page import protocol
from ecgkit.report.page.protocol import Card
from ecgkit.report.tables.summary import same_test

MOST_DRAWN = 10  # results in the figure of a task
COLUMNS = (
    "result", "class", "name", "auroc", "auroc low", "auroc high", "auprc", "f1", "threshold", "f1 max", "sensitivity",
    "positives", "negatives", "training positives", "compared with", "behind it", "p delong",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """A row on the page.

    Args:
        row: The row.
        number: On the page, from 1.
        series: Within the figure of its task, from 0: its colour and marker.
        label: What tells it from the other results of its task.
        file: Where it is, from the folder that all rows share.
        comparison: Against the best of its column of the summary, where it was tested.
        against: Label of that result.
        reference: Whether others were tested against it.
    """

    row: ResultRow
    number: int
    series: int
    label: str
    file: str
    comparison: Comparison | None = None
    against: str = ""
    reference: bool = False

    @property
    def shape(self) -> str:
        """The path of its marker."""
        return figures.shape(self.series)

    @property
    def colour(self) -> int:
        """Number of its colour."""
        return figures.colour(self.series)

    @property
    def hollow(self) -> bool:
        """Whether its marker is drawn hollow: nothing was pretrained."""
        return self.row.weights != "pretrained"

    @property
    def card(self) -> Card:
        """What it depends on."""
        return protocol.card(self.row, self.file)

    @property
    def headline(self) -> str:
        """Its first number: macro AUROC x 100, or a mean absolute error with its unit."""
        for score in self.row.targets[:1]:
            return f"MAE {wording.quantity(score.metrics['mae'].value)} {score.unit}"
        return wording.percent(self.row.macro_auroc)

    @property
    def scored(self) -> int:
        """Number of classes with an AUROC."""
        return sum(wording.is_number(score.auroc) for score in self.row.classes)

    def score(self, label: str) -> ClassScore | None:
        """Return the score of a class, or None where the row lacks the class."""
        return next((score for score in self.row.classes if score.label == label), None)

    def difference(self, label: str) -> ClassDifference | None:
        """Return the best result of the column less this one in a class, or None where that was not tested."""
        return self.comparison.classes.get(label) if self.comparison else None


@dataclass(frozen=True)
class ClassLine:
    """A class, or the mean over classes, in the figure of a task.

    Args:
        label: Short label; empty for the mean.
        name: In words.
        counts: Positive and all test records.
        marks: One a result.
        values: AUROC of each result as text.
        tests: What was found of each against the best of its column; empty where it was not tested.
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
        name: Of the task.
        title: In words.
        results: Its results.
        drawn: Those that the figure shows: all, or of many those with the highest mean.
        table: Every class of every result.
        axis: Of the figure.
        lines: The mean, then every class that a result scored.
        labels: All classes: short label and name.
        unscored: Classes without a number: short label, name, and in which results why.
        warnings: Each warning with the results that carry it; none named where all do.
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
    warnings: tuple[tuple[str, tuple[str, ...]], ...]
    comparable: bool

    @property
    def cards(self) -> list[Card]:
        """What each result depends on."""
        return [result.card for result in self.results]

    @property
    def references(self) -> list[str]:
        """Labels of the results that others were tested against, one a column of the summary."""
        return [result.label for result in self.results if result.reference]


@dataclass(frozen=True)
class _Entry:
    """A row with its number on the page and its path as the page shows it."""

    number: int
    path: Path
    file: str
    row: ResultRow


def task_parts(
    rows: Sequence[tuple[Path, ResultRow]], comparisons: Mapping[Path, Comparison] = MappingProxyType({})
) -> list[TaskPart]:
    """Group the rows by task, in the order in which tasks and rows come.

    Args:
        rows: Rows and their files.
        comparisons: By file, against the best of a column of the summary.
    """
    files = _short_paths([path for path, _ in rows])
    entries = [_Entry(n, path, file, row) for n, ((path, row), file) in enumerate(zip(rows, files, strict=True), 1)]
    names = dict.fromkeys(row.task for _, row in rows)
    return [_task_part([entry for entry in entries if entry.row.task == name], comparisons) for name in names]


def _task_part(entries: Sequence[_Entry], comparisons: Mapping[Path, Comparison]) -> TaskPart:
    rows = [entry.row for entry in entries]
    results = _results(entries, _highest(rows), comparisons)
    drawn = tuple(results[i] for i in _highest(rows))
    axis = figures.score_axis(_values([result.row for result in drawn]))
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


def _results(
    entries: Sequence[_Entry], places: Sequence[int], comparisons: Mapping[Path, Comparison]
) -> tuple[Result, ...]:
    labels = row_labels([e.row for e in entries])
    at = {e.path: label for e, label in zip(entries, labels, strict=True)}
    best = {found.best for found in comparisons.values()}
    return tuple(
        Result(
            e.row, e.number, places.index(i) if i in places else 0, label, e.file,
            comparison=(found := comparisons.get(e.path)),
            against=at[found.best] if found else "",
            reference=e.path in best,
        )
        for i, (e, label) in enumerate(zip(entries, labels, strict=True))
    )  # fmt: skip


def _highest(rows: Sequence[ResultRow]) -> list[int]:
    """Return which results the figure shows, in their order."""
    order = sorted(range(len(rows)), key=lambda i: -(rows[i].macro_auroc or 0))  # stable
    return sorted(order[:MOST_DRAWN])


def _values(rows: Iterable[ResultRow]) -> list[float]:
    """Return all numbers that the figure of a task shows."""
    pairs = [(row.macro_auroc, row.macro_interval) for row in rows]
    pairs += [(score.auroc, score.interval) for row in rows for score in row.classes]
    values = [value for auroc, bounds in pairs for value in (auroc, *(bounds or ()))]
    return [value for value in values if value is not None and wording.is_number(value)]


def _table(results: Sequence[Result]) -> Table:
    return Table(COLUMNS, tuple(
        (result.label, score.label, score.name, score.auroc, *(score.interval or (None, None)), score.auprc, score.f1,
         score.threshold, score.f1_max, score.sensitivity, score.positives, score.negatives, score.train_positives,
         result.against, *((d.value, d.p) if (d := result.difference(score.label)) else (None, None)))
        for result in results for score in result.row.classes
    ))  # fmt: skip


def _mean_line(results: Sequence[Result], axis: Axis) -> ClassLine:
    rows = [result.row for result in results]
    marks = tuple(figures.mark(axis, i, row.macro_auroc, row.macro_interval) for i, row in enumerate(rows))
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
        figures.mark(axis, i, auroc, score.interval if score else None)
        for i, (auroc, score) in enumerate(zip(aurocs, scores, strict=True))
    )
    counts = {(score.positives, score.positives + score.negatives) for score in scores if score}
    positives, total = counts.pop() if counts else (0, 0)
    text = "counts differ, see the numbers" if counts else f"{positives:,} of {total:,} positive"
    tests = tuple(_found(result, result.difference(label)) for result in results)
    return ClassLine(label, name, text, marks, tuple(map(wording.percent, aurocs)), tests)


def _unscored(results: Sequence[Result], labels: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    """List the classes that some result has no number for, each with the reasons."""
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
                reasons.setdefault(reason, []).append(result.label)
        texts = [why if len(of) == len(results) else f"{why} ({'; '.join(of)})" for why, of in reasons.items()]
        if texts:
            found.append((label, name, ", ".join(texts)))
    return tuple(found)


def _warnings(results: Sequence[Result]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    texts = dict.fromkeys(warning for result in results for warning in result.row.warnings)
    named = {text: [result.label for result in results if text in result.row.warnings] for text in texts}
    return tuple((text, () if len(of) == len(results) else tuple(of)) for text, of in named.items())


def _short_paths(paths: Sequence[Path]) -> list[str]:
    """Return the paths from the folder that all share, so that a page tells nothing of the machine it was made on."""
    folders = [os.path.abspath(path.parent) for path in paths]
    root = Path(os.path.commonpath(folders)).parent
    return [Path(os.path.abspath(path)).relative_to(root).as_posix() for path in paths]
