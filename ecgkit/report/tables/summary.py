"""The summary table in the literature's layout, and its forms outside the page: Markdown, LaTeX, CSV and JSON.

A line is a model with its head and leads, a column a task and a share of its training records. A cell is the macro
AUROC x 100: of one result with its interval, of several seeds their mean with their standard deviation.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.scores.comparison import Comparison, comparable, compare
from ecgkit.report.elements.averages import average
from ecgkit.report.elements.predictions import has_predictions
from ecgkit.report.elements.section import Rows, inert
from ecgkit.report.tables import numbers as regression
from ecgkit.report.tables.numbers import TargetTable
from ecgkit.wording import DASH, METRICS, interval, percent

Line = tuple[str, str, str, str]  # run, weights, head, leads
Column = tuple[str, str]  # task, share of the training part


@dataclass(frozen=True)
class Cell:
    """One model on one task.

    Args:
        value: Macro AUROC, the mean over seeds; this and the next two as of `ecgkit.report.elements.averages.Average`.
        deviation: Standard deviation over seeds.
        interval: 95 % interval.
        seeds: How many results stand behind it.
        best: Whether it is the highest of its column; False in a column of one, or of results that do not compare.
        comparison: Against the best of its column, where both hold predictions of the same records.
    """

    value: float | None
    deviation: float | None
    interval: tuple[float, float] | None
    seeds: int
    best: bool = False
    comparison: Comparison | None = None

    @property
    def text(self) -> str:
        """The number with its spread."""
        if self.value is None:
            return DASH
        if self.seeds > 1 and self.deviation is not None:
            return f"{percent(self.value)} ± {percent(self.deviation)}"
        return percent(self.value) + (f" ({interval(self.interval)})" if self.interval else "")

    @property
    def mark(self) -> str:
        """A dagger where the best of the column is not distinguishable from this."""
        return "†" if self.comparison is not None and not self.comparison.distinguishable else ""


@dataclass(frozen=True)
class SummaryTable:
    """The table.

    Args:
        lines: Models, in the order in which they come.
        columns: Tasks and shares.
        cells: By line and column; absent where there is no result.
        comparisons: By ``row.json``, every result that was tested against the best of its column.
    """

    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    cells: Mapping[tuple[Line, Column], Cell]
    comparisons: Mapping[Path, Comparison]


def summary_table(
    rows: Rows, *, tests: bool = True, progress: Callable[[int, int], None] = lambda done, total: None
) -> SummaryTable:
    """Arrange results by model and task.

    Args:
        rows: Rows and their files; regressions are passed over.
        tests: Test every single result against the best of its column, where all of a column have predictions.
        progress: Called with columns done and in all.
    """
    groups: dict[tuple[Line, Column], list[tuple[Path, ResultRow]]] = {}
    for path, row in rows:
        if row.targets:  # in their own units, and in tables of their own: `ecgkit.report.tables.numbers`
            continue
        groups.setdefault((line_of(row), column_of(row)), []).append((path, row))
    lines = tuple(dict.fromkeys(line for line, _ in groups))
    columns = tuple(dict.fromkeys(column for _, column in groups))
    cells: dict[tuple[Line, Column], Cell] = {}
    comparisons: dict[Path, Comparison] = {}
    for done, column in enumerate(columns, 1):
        members = {line: groups[line, column] for line in lines if (line, column) in groups}
        own, found = _column(members, tests)
        cells |= {(line, column): cell for line, cell in own.items()}
        comparisons |= found
        progress(done, len(columns))
    return SummaryTable(lines, columns, cells, comparisons)


def line_of(row: ResultRow) -> Line:
    """Return what makes results one line of the table."""
    leads = row.lead_set or ("12" if len(row.leads) == 12 else " ".join(row.leads))
    return row.run, row.weights, row.head, leads


def column_of(row: ResultRow) -> Column:
    """Return what makes results one column of the table."""
    return row.task, f"{100 * row.fraction:g} %" if row.label_count is None else f"{row.label_count:,} labels"


def same_test(rows: Sequence[ResultRow]) -> bool:
    """Return whether results were scored on the same test records and classes, as far as rows tell."""
    counts = {
        (*sorted(row.counts.get("test", {}).items()), *((c.label, c.positives, c.negatives) for c in row.classes))
        for row in rows
    }
    return len(counts) <= 1 and comparable(rows)


def _column(
    members: Mapping[Line, Sequence[tuple[Path, ResultRow]]], tests: bool
) -> tuple[dict[Line, Cell], dict[Path, Comparison]]:
    cells = {line: _cell([row for _, row in group]) for line, group in members.items()}
    scored = {line: cell.value for line, cell in cells.items() if cell.value is not None}
    if len(scored) < 2 or not same_test([row for group in members.values() for _, row in group]):
        return cells, {}
    best = max(scored, key=lambda line: scored[line])
    found: dict[Path, Comparison] = {}
    single = all(cells[line].deviation is None and has_predictions(group[0][0]) for line, group in members.items())
    if tests and single:
        found = compare(members[best][0][0], [members[line][0][0] for line in scored if line != best])
    out = {}
    for line, cell in cells.items():
        comparison = found.get(members[line][0][0])
        out[line] = Cell(cell.value, cell.deviation, cell.interval, cell.seeds, line == best, comparison)
    return out, found


def _cell(rows: Sequence[ResultRow]) -> Cell:
    found = average((row.macro_auroc, row.macro_interval) for row in rows)
    return Cell(found.value, found.deviation, found.interval, len(rows))


NOTE = (
    "Macro AUROC x 100; in brackets the 95 % interval over test patients, or +- the standard deviation over seeds that "
    "differ. Bold: highest of its column. Dagger: not distinguishable from it (paired bootstrap, Holm, 5 %)."
)
HEADINGS = ("run", "weights", "head", "leads")
CSV_COLUMNS = (
    "run", "method", "preset", "weights", "store", "dataset", "task", "head", "leads", "fraction", "seed", "class",
    "auroc", "auroc_low", "auroc_high", "auprc", "f1", "threshold", "sensitivity", "positives", "negatives",
    "unit", "records", *(f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")),
    *(f"train_mean_{metric}" for metric in ("mae", "rmse", "r2")), "behind_best", "p", "p_delong",
)  # fmt: skip


def to_markdown(table: SummaryTable, targets: Sequence[TargetTable] = ()) -> str:
    """Write the table as Markdown, and below it that of each predicted number."""

    def safe(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

    def cell(line: Line, column: Column) -> str:
        found = table.cells.get((line, column))
        if found is None:
            return ""
        return (f"**{found.text}**" if found.best else found.text) + found.mark

    head = [*HEADINGS, *(f"{task} {share}" for task, share in table.columns)]
    body = [[*map(safe, line), *(cell(line, column) for column in table.columns)] for line in table.lines]
    rule = ["---"] * len(HEADINGS) + ["---:"] * len(table.columns)
    lines = "\n".join("| " + " | ".join(cells) + " |" for cells in (map(safe, head), rule, *body))
    parts = [f"{lines}\n\n{NOTE}\n"] * bool(table.lines) + [regression.to_markdown(targets, safe)] * bool(targets)
    return "\n".join(parts)


def to_latex(table: SummaryTable, targets: Sequence[TargetTable] = ()) -> str:
    """Write the table as a LaTeX ``tabular`` for booktabs, and below it that of each predicted number."""
    special = {**{c: "\\" + c for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"\\": r"\textbackslash{}", "–": "--", "±": r"$\pm$", "†": r"$^\dagger$"}

    def safe(text: str) -> str:
        return "".join(special.get(c, c) for c in text)

    def cell(line: Line, column: Column) -> str:
        found = table.cells.get((line, column))
        if found is None:
            return ""
        return (rf"\textbf{{{safe(found.text)}}}" if found.best else safe(found.text)) + safe(found.mark)

    head = [*HEADINGS, *(f"{task} {share}" for task, share in table.columns)]
    lines = [
        rf"\begin{{tabular}}{{{'l' * len(HEADINGS)}{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(map(safe, head)) + r" \\",
        r"\midrule",
        *(
            " & ".join([*map(safe, line), *(cell(line, column) for column in table.columns)]) + r" \\"
            for line in table.lines
        ),
        r"\bottomrule",
        r"\end{tabular}",
        f"% {NOTE}",
    ]
    parts = ["\n".join(lines) + "\n"] * bool(table.lines) + [regression.to_latex(targets, safe)] * bool(targets)
    return "\n".join(parts)


def to_csv(
    rows: Rows, comparisons: Mapping[Path, Comparison] = MappingProxyType({}), targets: Sequence[TargetTable] = ()
) -> str:
    """Write every class of every result, its mean, and every predicted number as a CSV line with full precision.

    Args:
        rows: Rows and their files.
        comparisons: By file, of those that were tested: of the mean by a paired bootstrap, of classes by DeLong's test.
        targets: Predicted numbers with their comparisons.
    """
    behind = {(line.path, line.score.target): line.numbers for table in targets for line in table.lines}
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for path, row in rows:
        key = {**asdict(row), "leads": " ".join(row.leads)}
        if row.targets:
            for score in row.targets:
                tested = behind.get((path, score.target), {})
                values = {**key, "class": score.target, "unit": score.unit, **regression.score_numbers(score)}
                values |= {name: tested.get(name) for name in ("behind_best", "p")}
                writer.writerow({name: inert(values.get(name)) for name in CSV_COLUMNS})
            continue
        mean = {name: value.value for name, value in row.means.items()}
        lines: list[dict[str, Any]] = [{**mean, "class": "mean", "auroc": row.macro_auroc, "auprc": row.macro_auprc}]
        lines[0]["interval"] = row.macro_interval
        found = comparisons.get(path)
        if found is not None:
            lines[0] |= {"behind_best": found.difference.value, "p": found.p}
        lines += [{**asdict(score), "class": score.label, **_behind(found, score.label)} for score in row.classes]
        for line in lines:
            low, high = line["interval"] or (None, None)
            values = {**key, **line, "auroc_low": low, "auroc_high": high}
            writer.writerow({name: inert(values.get(name)) for name in CSV_COLUMNS})
    return out.getvalue()


def _behind(comparison: Comparison | None, label: str) -> dict[str, float | None]:
    """Return how far a class is behind the best result of its column, and DeLong's p."""
    found = comparison.classes.get(label) if comparison is not None else None
    return {"behind_best": found.value if found else None, "p_delong": found.p if found else None}


def to_json(table: SummaryTable, targets: Sequence[TargetTable] = ()) -> str:
    """Write the summary table, and every predicted number, as JSON."""
    cells = [
        {
            **dict(zip(HEADINGS, line, strict=True)),
            "task": task,
            "training": share,
            "auroc": cell.value,
            "deviation": cell.deviation,
            "interval": cell.interval,
            "seeds": cell.seeds,
            "best": cell.best,
            "p": cell.comparison.p if cell.comparison else None,
            "behind_best": cell.comparison.difference.value if cell.comparison else None,
            "classes": [
                {"class": label, **_behind(cell.comparison, label)}
                for label in (cell.comparison.classes if cell.comparison else ())
            ],
        }
        for (line, (task, share)), cell in table.cells.items()
    ]
    numbers = {"regression": regression.to_records(targets)} if targets else {}
    return json.dumps({"note": NOTE, "cells": cells, **numbers}, indent=1) + "\n"
