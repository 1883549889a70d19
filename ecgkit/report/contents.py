"""What the report says, worked out from result rows: which results belong together, their labels and their figures.

Nothing here is a new number: values are grouped, put into words and placed on axes.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecgkit.evaluation.results import ClassScore, ResultRow
from ecgkit.leads import STANDARD_LEADS
from ecgkit.report import figures, wording
from ecgkit.report.figures import Axis, Chart, Mark


@dataclass(frozen=True)
class Result:
    """A row on the page.

    Args:
        row: The row.
        number: On the page, from 1.
        series: Within its task, from 0: its colour and marker.
        label: What tells it from the other results of its task.
        file: Where it is, from the folder that all rows share.
        best: Whether it has the highest AUROC of its task.
    """

    row: ResultRow
    number: int
    series: int
    label: str
    file: str
    best: bool

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
    def scored(self) -> int:
        """Number of classes with an AUROC."""
        return sum(wording.is_number(score.auroc) for score in self.row.classes)

    def score(self, label: str) -> ClassScore | None:
        """Return the score of a class, or None where the row lacks the class."""
        return next((score for score in self.row.classes if score.label == label), None)


@dataclass(frozen=True)
class ClassLine:
    """A class, or the mean over classes, in the figure of a task.

    Args:
        label: Short label; empty for the mean.
        name: In words.
        counts: Positive and all test records.
        marks: One a result.
        values: AUROC of each result as text.
    """

    label: str
    name: str
    counts: str
    marks: tuple[Mark, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class TaskPart:
    """A task's part of the page.

    Args:
        name: Of the task.
        title: In words.
        results: Its results.
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
    axis: Axis
    lines: tuple[ClassLine, ...]
    labels: dict[str, str]
    unscored: tuple[tuple[str, str, str], ...]
    warnings: tuple[tuple[str, tuple[str, ...]], ...]
    comparable: bool


@dataclass(frozen=True)
class Training:
    """The training of one run, as the first row that carries it has it."""

    run: str
    chart: Chart | None
    columns: tuple[str, ...]
    epochs: tuple[dict[str, object], ...]


def task_parts(rows: Sequence[tuple[Path, ResultRow]]) -> list[TaskPart]:
    """Group the rows by task, in the order in which tasks and rows come."""
    files = _short_paths([path for path, _ in rows])
    numbered = list(enumerate(zip(files, [row for _, row in rows], strict=True), start=1))
    names = dict.fromkeys(row.task for _, row in rows)
    return [_task_part([(n, file, row) for n, (file, row) in numbered if row.task == name]) for name in names]


def _task_part(entries: Sequence[tuple[int, str, ResultRow]]) -> TaskPart:
    rows = [row for _, _, row in entries]
    comparable = len({_test_part(row) for row in rows}) == 1
    best = _best(rows) if comparable else None
    results = tuple(
        Result(row, number, i, label, file, best is not None and row.macro_auroc == best)
        for i, ((number, file, row), label) in enumerate(zip(entries, _labels(rows), strict=True))
    )
    axis = figures.score_axis(_drawn(rows))
    labels = {score.label: score.name for row in rows for score in row.classes}
    lines = [_mean_line(results, axis)] + [_class_line(results, axis, label, name) for label, name in labels.items()]
    return TaskPart(
        name=rows[0].task,
        title=rows[0].task_title,
        results=results,
        axis=axis,
        lines=tuple(line for line in lines if any(mark.x is not None for mark in line.marks)),
        labels=labels,
        unscored=_unscored(results, labels),
        warnings=_warnings(results),
        comparable=comparable,
    )


def _test_part(row: ResultRow) -> tuple[object, ...]:
    """Return what two results must share before one of them can be called better."""
    counts = tuple((score.label, score.positives, score.negatives) for score in row.classes)
    return row.dataset, tuple(sorted(row.counts.get("test", {}).items())), counts


def _best(rows: Sequence[ResultRow]) -> float | None:
    """Return the highest AUROC; a single number is not the best of anything."""
    values = [row.macro_auroc for row in rows if row.macro_auroc is not None and wording.is_number(row.macro_auroc)]
    return max(values) if len(values) > 1 else None


def _drawn(rows: Iterable[ResultRow]) -> list[float]:
    """Return all numbers that the figure of a task shows."""
    pairs = [(row.macro_auroc, row.macro_interval) for row in rows]
    pairs += [(score.auroc, score.interval) for row in rows for score in row.classes]
    values = [value for auroc, bounds in pairs for value in (auroc, *(bounds or ()))]
    return [value for value in values if value is not None and wording.is_number(value)]


def _labels(rows: Sequence[ResultRow]) -> list[str]:
    """Name each row by its run and by what sets it apart from the other rows of its task."""
    telling = [(row.weights, row.head, _leads(row), _share(row)) for row in rows]
    labels = _join([row.run for row in rows], telling)
    if len(set(labels)) < len(labels):
        labels = _join(labels, [(row.store, f"seed {row.seed}") for row in rows])
    return [_numbered(labels, i) for i in range(len(labels))]


def _join(labels: Sequence[str], facts: Sequence[tuple[str, ...]]) -> list[str]:
    """Append to each label those facts that differ between rows; an empty one says nothing."""
    differs = [len(set(column)) > 1 for column in zip(*facts, strict=True)]
    pairs = zip(labels, facts, strict=True)
    return [", ".join([label, *(f for f, use in zip(own, differs, strict=True) if use and f)]) for label, own in pairs]


def _numbered(labels: Sequence[str], i: int) -> str:
    return labels[i] if labels.count(labels[i]) == 1 else f"{labels[i]} ({labels[: i + 1].count(labels[i])})"


def _leads(row: ResultRow) -> str:
    if set(row.leads) == set(STANDARD_LEADS):
        return ""
    return f"{len(row.leads)} leads" if len(row.leads) > 3 else "lead " * (len(row.leads) == 1) + " + ".join(row.leads)


def _share(row: ResultRow) -> str:
    if row.label_count is not None:
        return f"{row.counts['train']['records']:,} labelled"
    return "" if row.fraction == 1 else f"{100 * row.fraction:g} % of training"


def _mean_line(results: Sequence[Result], axis: Axis) -> ClassLine:
    rows = [result.row for result in results]
    marks = tuple(figures.mark(axis, i, row.macro_auroc, row.macro_interval) for i, row in enumerate(rows))
    return ClassLine("", "Mean over scored classes", "", marks, tuple(wording.percent(row.macro_auroc) for row in rows))


def _class_line(results: Sequence[Result], axis: Axis, label: str, name: str) -> ClassLine:
    scores = [result.score(label) for result in results]
    aurocs = [score.auroc if score else None for score in scores]
    marks = tuple(
        figures.mark(axis, i, auroc, score.interval if score else None)
        for i, (auroc, score) in enumerate(zip(aurocs, scores, strict=True))
    )
    counts = {(score.positives, score.positives + score.negatives) for score in scores if score}
    positives, total = counts.pop()
    text = "counts differ, see the numbers" if counts else f"{positives:,} of {total:,} positive"
    return ClassLine(label, name, text, marks, tuple(map(wording.percent, aurocs)))


def _unscored(results: Sequence[Result], labels: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    """List the classes that some result has no number for, each with the reasons."""
    found = []
    for label, name in labels.items():
        reasons: dict[str, list[str]] = {}
        for result in results:
            score = result.score(label)
            if score is None or not wording.is_number(score.auroc):
                reason = wording.why_unscored(score) if score else "not among the classes of the result"
                reasons.setdefault(reason, []).append(result.label)
        texts = [why if len(of) == len(results) else f"{why} ({'; '.join(of)})" for why, of in reasons.items()]
        if texts:
            found.append((label, name, ", ".join(texts)))
    return tuple(found)


def _warnings(results: Sequence[Result]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    texts = dict.fromkeys(warning for result in results for warning in result.row.warnings)
    named = {text: [result.label for result in results if text in result.row.warnings] for text in texts}
    return tuple((text, () if len(of) == len(results) else tuple(of)) for text, of in named.items())


def trainings(rows: Iterable[ResultRow]) -> list[Training]:
    """Return every training once, however many results a run has."""
    found: list[Training] = []
    for row in rows:
        if row.training and not any((known.run, known.epochs) == (row.run, row.training) for known in found):
            columns = tuple(dict.fromkeys(name for epoch in row.training for name in epoch))
            found.append(Training(row.run, figures.loss_chart(row.training), columns, row.training))
    return found


def _short_paths(paths: Sequence[Path]) -> list[str]:
    """Return the paths from the folder that all share, so that a page tells nothing of the machine it was made on."""
    folders = [os.path.abspath(path.parent) for path in paths]
    root = Path(os.path.commonpath(folders)).parent
    return [Path(os.path.abspath(path)).relative_to(root).as_posix() for path in paths]
