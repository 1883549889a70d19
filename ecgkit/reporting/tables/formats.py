"""Writes the tables of a report as Markdown, LaTeX, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ecgkit.evaluation.results.averages import Average, model_names
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.scores.comparison import Comparison
from ecgkit.reporting.elements.names import leads_name, share_name
from ecgkit.reporting.elements.section import Rows, inert
from ecgkit.reporting.tables.grid import Grid, Text, safe_markdown
from ecgkit.reporting.tables.regression import BASELINE, TargetLine, TargetTable, score_numbers
from ecgkit.reporting.tables.report_tables import ReportTables
from ecgkit.reporting.tables.summary import Line, SummaryTable
from ecgkit.wording import REGRESSION_METRICS

SPREAD = "in brackets the 95 % interval over test patients, or +- the standard deviation over seeds that differ."
DAGGER = "Dagger: not distinguishable from it (paired test over patients, corrected for the choice of the best, 5 %)."
SUMMARY_NOTE = f"Macro AUROC x 100; {SPREAD} Bold: highest of its column. {DAGGER}"
TARGET_NOTE = (
    f"{SPREAD[0].upper()}{SPREAD[1:]} Bold: lowest mean absolute error. {DAGGER} Train mean: a predictor that says the "
    "training mean of every record."
)
MODEL = ("model", "weights", "head", "leads")
TARGET_MODEL = (*MODEL, "training")
CSV_COLUMNS = (
    *("run", "model", "method", "preset", "weights", "store", "dataset", "task", "head", "leads", "fraction", "seed"),
    *("training_seed", "class"),
    *("auroc", "auroc_low", "auroc_high", "auprc", "f1", "threshold", "sensitivity", "positives", "negatives"),
    *("unit", "records", *(f"{metric}{end}" for metric in REGRESSION_METRICS for end in ("", "_low", "_high"))),
    *(f"train_mean_{metric}" for metric in ("mae", "rmse", "r2")),
    *("behind_best", "p", "p_delong"),
)


def summary_grid(table: SummaryTable) -> Grid:
    """Return the summary as texts."""

    def cells(line: Line) -> Iterator[Text]:
        for column in table.columns:
            found = table.cells.get((line, column))
            yield Text("") if found is None else Text(found.auroc.percent, found.best, found.mark)

    head = (*MODEL, *(f"{task} {share}" for task, share in table.columns))
    return Grid(head, tuple((*map(Text, line), *cells(line)) for line in table.lines), len(MODEL))


def target_grid(table: TargetTable) -> Grid:
    """Return the table of a predicted number as texts, with the mean predictor as last line."""
    head = (*TARGET_MODEL, *(title.format(unit=table.score.unit) for title in REGRESSION_METRICS.values()))
    body = [(*map(Text, _model(line)), *_metrics(line.metrics, line)) for line in table.lines]
    blank = [Text("")] * (len(TARGET_MODEL) - 1)
    return Grid(head, (*body, (Text(BASELINE), *blank, *_metrics(table.best.baseline))), len(TARGET_MODEL))


def _model(line: TargetLine) -> list[str]:
    row = line.row
    return [line.model, row.weights, row.head, leads_name(row) or "12", share_name(row) or "all"]


def _metrics(found: Mapping[str, Average], line: TargetLine | None = None) -> list[Text]:
    first, *others = (found[name].quantity if name in found else "" for name in REGRESSION_METRICS)
    shown = Text(first) if line is None else Text(first, line.best, line.mark)
    return [shown, *map(Text, others)]


def to_markdown(tables: ReportTables) -> str:
    """Write the summary as Markdown, and below it one table per predicted number."""
    parts = [f"{summary_grid(tables.summary).markdown()}\n\n{SUMMARY_NOTE}\n"] * bool(tables.summary.lines)
    parts += [f"{safe_markdown(table.heading)}\n\n{target_grid(table).markdown()}\n" for table in tables.targets]
    return "\n".join(parts + [f"{TARGET_NOTE}\n"] * bool(tables.targets))


def to_latex(tables: ReportTables) -> str:
    """Write the summary as a LaTeX ``tabular`` for booktabs, and below it one per predicted number."""
    parts = [f"{summary_grid(tables.summary).latex()}\n% {SUMMARY_NOTE}\n"] * bool(tables.summary.lines)
    parts += [f"% {' '.join(table.heading.split())}\n{target_grid(table).latex()}\n" for table in tables.targets]
    return "\n".join(parts + [f"% {TARGET_NOTE}\n"] * bool(tables.targets))


def to_csv(rows: Rows, tables: ReportTables | None = None) -> str:
    """Write one CSV line, with full precision, per class of each result, per mean and per predicted number.

    Args:
        rows: Rows and their files.
        tables: Tables of the rows with the tests; None leaves the columns of tests empty.
    """
    comparisons = tables.summary.comparisons if tables is not None else {}
    lines = {
        (line.path, line.score.target): line for table in (tables.targets if tables else ()) for line in table.lines
    }
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    models = model_names([row for _, row in rows])
    for (path, row), model in zip(rows, models, strict=True):
        seed = row.facts.checkpoint.training_seed
        shared = {**asdict(row), "leads": " ".join(row.leads), "model": model, "training_seed": seed}
        own = _target_lines(path, row, lines) if row.targets else _class_lines(row, comparisons.get(path))
        for line in own:
            values = {**shared, **line}
            writer.writerow({name: inert(values.get(name)) for name in CSV_COLUMNS})
    return out.getvalue()


def _target_lines(path: Path, row: ResultRow, lines: Mapping[tuple[Path, str], TargetLine]) -> Iterator[dict[str, Any]]:
    for score in row.targets:
        line = lines.get((path, score.target))
        tested = {name: line.numbers[name] for name in ("behind_best", "p")} if line is not None else {}
        yield {"class": score.target, "unit": score.unit, **score_numbers(score), **tested}


def _class_lines(row: ResultRow, comparison: Comparison | None) -> Iterator[dict[str, Any]]:
    """Yield the mean over classes, and then each class."""
    mean = {name: value.value for name, value in row.means.items()}
    tested = {"behind_best": comparison.difference.value, "p": comparison.p} if comparison is not None else {}
    macro = {**mean, "class": "mean", "auroc": row.macro_auroc, "auprc": row.macro_auprc}
    yield macro | _ends(row.macro_interval) | tested
    for score in row.classes:
        yield asdict(score) | {"class": score.label} | _ends(score.interval) | _behind(comparison, score.label)


def _ends(interval: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {"auroc_low": low, "auroc_high": high}


def _behind(comparison: Comparison | None, label: str) -> dict[str, float | None]:
    """Return the difference between a class's score and that of the best of its column, and DeLong's p value."""
    found = comparison.classes.get(label) if comparison is not None else None
    return {"behind_best": found.value if found else None, "p_delong": found.p if found else None}


def to_json(tables: ReportTables) -> str:
    """Write the summary, and every predicted number, as JSON."""
    numbers = {"regression": target_records(tables.targets)} if tables.targets else {}
    values = {"note": SUMMARY_NOTE, "cells": summary_records(tables.summary), **numbers}
    return json.dumps(values, indent=1) + "\n"


def summary_records(table: SummaryTable) -> list[dict[str, Any]]:
    """Return every cell of the summary as plain values."""
    found = []
    for (line, (task, share)), cell in table.cells.items():
        tested, auroc = cell.comparison, cell.auroc
        spread = {"auroc": auroc.value, "deviation": auroc.deviation, "interval": auroc.interval}
        test = {"p": tested.p if tested else None, "behind_best": tested.difference.value if tested else None}
        classes = [{"class": label, **_behind(tested, label)} for label in (tested.classes if tested else ())]
        model = {**dict(zip(MODEL, line, strict=True)), "task": task, "training": share}
        found.append({**model, **spread, "seeds": cell.seeds, "best": cell.best, **test, "classes": classes})
    return found


def target_records(tables: Sequence[TargetTable]) -> list[dict[str, Any]]:
    """Return every line of every predicted number as plain values."""
    return [
        {
            **dict(zip(TARGET_MODEL, _model(line), strict=True)),
            "task": table.task,
            "target": line.score.target,
            "unit": line.score.unit,
            **line.numbers,
            "best": line.best,
        }
        for table in tables
        for line in table.lines
    ]
