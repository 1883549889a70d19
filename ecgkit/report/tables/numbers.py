"""Predicted numbers in the report: which results belong in one table, the best of it, and forms outside the page.

A table is a target of a task, in its own unit; a line is a model with its head, leads and share of the training part,
over all its seeds. Lowest mean absolute error is best, and the others are tested against it by a paired bootstrap over
patients, corrected by Holm.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecgkit.evaluation.results.row import ResultRow, TargetScore
from ecgkit.evaluation.scores.comparison import Comparison
from ecgkit.evaluation.scores.numbers import compare_errors
from ecgkit.report.elements.averages import Average, average
from ecgkit.report.elements.labels import lead_label, row_labels, share_label
from ecgkit.report.elements.predictions import has_predictions
from ecgkit.report.elements.section import Rows
from ecgkit.wording import METRICS, bounds, quantity

NOTE = (
    "In brackets the 95 % interval over test patients, or +- the standard deviation over seeds that differ. Bold: "
    "lowest mean absolute error. Dagger: not distinguishable from it (paired bootstrap, Holm, 5 %). Train mean: a "
    "predictor that says the training mean of every record."
)
BASELINE = "train mean"
_Scored = tuple[Path, ResultRow, TargetScore]


@dataclass(frozen=True)
class TargetLine:
    """What one model says of one target, over its seeds.

    Args:
        path: ``row.json`` of the first result.
        row: The first result.
        label: What tells it from the others of its task.
        score: Of the target, in the first result.
        metrics: By name, over seeds.
        baseline: Those of the mean predictor.
        seeds: How many results stand behind it.
        best: Whether its mean absolute error is the lowest of several that compare.
        comparison: The best against it, where both are single results with predictions of the same records.
    """

    path: Path
    row: ResultRow
    label: str
    score: TargetScore
    metrics: Mapping[str, Average]
    baseline: Mapping[str, Average]
    seeds: int
    best: bool = False
    comparison: Comparison | None = None

    @property
    def mark(self) -> str:
        """A dagger where the best is not distinguishable from this."""
        return "†" if self.comparison is not None and not self.comparison.distinguishable else ""

    @property
    def numbers(self) -> dict[str, Any]:
        """Every number of it, by the name that files have for it."""
        found: dict[str, Any] = {"mean": self.score.mean, "deviation": self.score.deviation}
        found |= {"records": self.score.records, "seeds": self.seeds}
        for name, metric in self.metrics.items():
            low, high = metric.interval or (None, None)
            ends = {f"{name}_low": low, f"{name}_high": high, f"{name}_deviation": metric.deviation}
            found |= {name: metric.value, **ends}
        found |= {f"train_mean_{name}": metric.value for name, metric in self.baseline.items()}
        names = ("behind_best", "behind_low", "behind_high", "p")
        if self.comparison is None:
            return {**found, **dict.fromkeys(names)}
        difference = self.comparison.difference
        low, high = difference.interval
        return {**found, **dict(zip(names, (-difference.value, -high, -low, self.comparison.p), strict=True))}


@dataclass(frozen=True)
class TargetTable:
    """The results of one target.

    Args:
        task: Name of the task.
        title: Its title.
        score: Of the first result: name and unit of the target.
        lines: The models.
        comparable: Whether all were scored on the same numbers.
    """

    task: str
    title: str
    score: TargetScore
    lines: tuple[TargetLine, ...]
    comparable: bool

    @property
    def heading(self) -> str:
        """The task with its target, or one of them where they say the same."""
        same = self.title.lower() == self.score.name.lower()
        return self.title if same else f"{self.title}: {self.score.name}"

    @property
    def best(self) -> TargetLine:
        """The model with the lowest mean absolute error."""
        return min(self.lines, key=_error)


def score_numbers(score: TargetScore) -> dict[str, Any]:
    """Return the metrics of a target with their intervals, by the name that files have for them."""
    found: dict[str, Any] = {"records": score.records}
    for name, estimate in score.metrics.items():
        low, high = estimate.interval or (None, None)
        found |= {name: estimate.value, f"{name}_low": low, f"{name}_high": high}
    return {**found, **{f"train_mean_{name}": estimate.value for name, estimate in score.baseline.items()}}


def _error(line: TargetLine) -> float:
    value = line.metrics["mae"].value
    return float("inf") if value is None else value


def target_tables(rows: Rows, *, tests: bool = True) -> list[TargetTable]:
    """Arrange the regressions among some results by task and target.

    Args:
        rows: Rows and their files; those with classes are passed over.
        tests: Test each result against the best.
    """
    tasks = dict.fromkeys(row.task for _, row in rows if row.targets)
    found = []
    for task in tasks:
        own = [(path, row, score) for path, row in rows if row.task == task for score in row.targets]
        for target in dict.fromkeys(score.target for _, _, score in own):
            lines = _lines([result for result in own if result[2].target == target])
            found.append(_table(lines, tests))
    return found


def _lines(results: Sequence[_Scored]) -> list[TargetLine]:
    """Gather the results of one target that differ in nothing but their seed."""
    groups: dict[tuple[Any, ...], list[_Scored]] = {}
    for path, row, score in results:
        model = (row.run, row.weights, row.head, lead_label(row), share_label(row))
        groups.setdefault((*model, *_measured_on(row, score)), []).append((path, row, score))
    labels = row_labels([group[0][1] for group in groups.values()])
    return [_line(group, label) for group, label in zip(groups.values(), labels, strict=True)]


def _line(group: Sequence[_Scored], label: str) -> TargetLine:
    (path, row, first), scores = group[0], [score for _, _, score in group]
    metrics = {
        name: average((s.metrics[name].value, s.metrics[name].interval) for s in scores) for name in first.metrics
    }
    baseline = {
        name: average((s.baseline[name].value, s.baseline[name].interval) for s in scores) for name in first.baseline
    }
    return TargetLine(path, row, label, first, metrics, baseline, len(group))


def _table(lines: Sequence[TargetLine], tests: bool) -> TargetTable:
    first = lines[0]
    same = len({_measured_on(line.row, line.score) for line in lines}) == 1
    table = TargetTable(first.row.task, first.row.task_title, first.score, tuple(lines), same)
    if not same or len(lines) < 2:
        return table
    best, found = table.best, dict[Path, Comparison]()
    if tests and all(line.metrics["mae"].deviation is None and has_predictions(line.path) for line in lines):
        found = compare_errors(best.path, [line.path for line in lines if line is not best], first.score.target)
    ranked = tuple(replace(line, best=line is best, comparison=found.get(line.path)) for line in lines)
    return TargetTable(table.task, table.title, table.score, ranked, same)


def _measured_on(row: ResultRow, score: TargetScore) -> tuple[Any, ...]:
    return row.dataset, row.hashes.get("store"), score.records, score.mean, score.unit


HEADINGS = ("run", "weights", "head", "leads", "training")


def _cells(line: TargetLine) -> list[str]:
    row = line.row
    return [row.run, row.weights, row.head, lead_label(row) or "12", share_label(row) or "all"]


def _texts(line: TargetLine, bold: Callable[[str], str]) -> list[str]:
    texts = [_text(line.metrics.get(name)) for name in METRICS]
    texts[0] = (bold(texts[0]) if line.best else texts[0]) + line.mark
    return texts


def _text(metric: Average | None) -> str:
    if metric is None:
        return ""
    if metric.deviation is not None:
        return f"{quantity(metric.value)} ± {quantity(metric.deviation)}"
    return quantity(metric.value) + (f" ({bounds(metric.interval)})" if metric.interval else "")


def _grid(table: TargetTable, bold: Callable[[str], str]) -> list[list[str]]:
    head = [*HEADINGS, *(title.format(unit=table.score.unit) for title in METRICS.values())]
    body = [[*_cells(line), *_texts(line, bold)] for line in table.lines]
    baseline = [
        BASELINE,
        *[""] * (len(HEADINGS) - 1),
        *(_text(table.best.baseline.get(name)) for name in METRICS),
    ]
    return [head, *body, baseline]


def to_markdown(tables: Sequence[TargetTable], safe: Callable[[str], str]) -> str:
    """Write a table a target as Markdown; nothing without any.

    Args:
        tables: The targets.
        safe: Makes a text inert.
    """
    parts = []
    for table in tables:
        head, *body = [[safe(cell) for cell in line] for line in _grid(table, lambda text: f"**{text}**")]
        rule = ["---"] * len(HEADINGS) + ["---:"] * len(METRICS)
        lines = "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *body))
        parts.append(f"{safe(table.heading)}\n\n{lines}\n")
    return "\n".join([*parts, f"{NOTE}\n"]) if parts else ""


def to_latex(tables: Sequence[TargetTable], safe: Callable[[str], str]) -> str:
    """Write a ``tabular`` a target for booktabs; nothing without any.

    Args:
        tables: The targets.
        safe: Escapes a text.
    """
    parts = []
    for table in tables:
        # Escaping comes before the bold, whose braces must stay.
        head, *body = [[cell if "textbf" in cell else safe(cell) for cell in line]
                       for line in _grid(table, lambda text: rf"\textbf{{{safe(text)}}}")]  # fmt: skip
        lines = [
            f"% {' '.join(table.heading.split())}",
            rf"\begin{{tabular}}{{{'l' * len(HEADINGS)}{'r' * len(METRICS)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *(" & ".join(line) + r" \\" for line in body),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, f"% {NOTE}\n"]) if parts else ""


def to_records(tables: Sequence[TargetTable]) -> list[dict[str, Any]]:
    """Return every result of every target as plain values, for JSON."""
    return [
        {
            **dict(zip(HEADINGS, _cells(line), strict=True)),
            "task": table.task,
            "target": line.score.target,
            "unit": line.score.unit,
            **line.numbers,
            "best": line.best,
        }
        for table in tables
        for line in table.lines
    ]
