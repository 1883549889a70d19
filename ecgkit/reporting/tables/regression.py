"""Tables of predicted numbers. They group comparable results and find the best result.

Each table shows one target of a task, in its own unit. A line is a model with its head, leads and share of the training
set, over all its seeds. The result with the lowest mean absolute error is the best. The others are tested against it by
a paired test over patients that allows for the choice of the best.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecgkit.evaluation.results.averages import Average, average_over_seeds, model_names, seed_of
from ecgkit.evaluation.results.predictions import has_predictions
from ecgkit.evaluation.results.row import Estimate, ResultRow, TargetScore
from ecgkit.evaluation.scores.comparison import Comparison, compare_errors
from ecgkit.reporting.elements.names import leads_name, result_names, share_name
from ecgkit.reporting.elements.section import Rows

BASELINE = "train mean"
_Scored = tuple[Path, ResultRow, TargetScore]


@dataclass(frozen=True)
class TargetLine:
    """The results of one model on one target, over its seeds.

    Args:
        path: Path of the ``row.json`` of the first result.
        row: The first result.
        model: The run, or the name of runs that differ only in their seed.
        name: Name that distinguishes it from the other lines of its task.
        score: Score of the target in the first result.
        metrics: Averages over seeds of each metric, by name.
        baseline: Metrics of the mean predictor, by name.
        seeds: Number of results in the average.
        best: Whether its mean absolute error is the lowest of several comparable results.
        comparison: Comparison with the best, if both are single results with predictions of the same records.
    """

    path: Path
    row: ResultRow
    model: str
    name: str
    score: TargetScore
    metrics: Mapping[str, Average]
    baseline: Mapping[str, Average]
    seeds: int
    best: bool = False
    comparison: Comparison | None = None

    @property
    def mark(self) -> str:
        """A dagger if the best is not significantly better than this line."""
        return "†" if self.comparison is not None and not self.comparison.distinguishable else ""

    @property
    def numbers(self) -> dict[str, Any]:
        """All numbers of the line, by the names used in files."""
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
        title: Title of the task.
        score: Score of the first result; it gives the name and unit of the target.
        lines: The models.
        comparable: Whether all results were scored on the same numbers.
    """

    task: str
    title: str
    score: TargetScore
    lines: tuple[TargetLine, ...]
    comparable: bool

    @property
    def heading(self) -> str:
        """Name of the task with its target; only the task if both have the same name."""
        same = self.title.lower() == self.score.name.lower()
        return self.title if same else f"{self.title}: {self.score.name}"

    @property
    def best(self) -> TargetLine:
        """The line with the lowest mean absolute error."""
        return min(self.lines, key=_error)


def score_numbers(score: TargetScore) -> dict[str, Any]:
    """Return the metrics of a target with their intervals, by the names used in files."""
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
        rows: Rows and their files; rows with classes are left out.
        tests: Whether to test each result against the best.

    Raises:
        ResultsError: Predictions cannot be read.
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
    """Group the results of one target that differ only in their seed."""
    groups: dict[tuple[Any, ...], list[_Scored]] = {}
    models = model_names([row for _, row, _ in results])
    for (path, row, score), name in zip(results, models, strict=True):
        model = (name, row.weights, row.head, leads_name(row), share_name(row))
        groups.setdefault((*model, *_measured_on(row, score)), []).append((path, row, score))
    names = result_names([replace(group[0][1], run=key[0]) for key, group in groups.items()])
    return [_line(group, key[0], name) for (key, group), name in zip(groups.items(), names, strict=True)]


def _line(group: Sequence[_Scored], model: str, name: str) -> TargetLine:
    (path, row, first), scores = group[0], [score for _, _, score in group]
    seeds = [seed_of(row) for _, row, _ in group]
    metrics, baseline = _averages(seeds, [s.metrics for s in scores]), _averages(seeds, [s.baseline for s in scores])
    return TargetLine(path, row, model, name, first, metrics, baseline, len(set(seeds)))


def _averages(seeds: Sequence[Hashable], estimates: Sequence[Mapping[str, Estimate]]) -> dict[str, Average]:
    """Return each metric over seeds."""
    return {
        metric: average_over_seeds(
            (seed, of[metric].value, of[metric].interval) for seed, of in zip(seeds, estimates, strict=True)
        )
        for metric in estimates[0]
    }


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
