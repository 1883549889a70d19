"""What ``ecgkit probe`` prints: one result, curves over training records, the table of lead sets."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgkit.cli.regression_view import show_target_lines, show_targets
from ecgkit.cli.render import print_table, say, warn
from ecgkit.wording import interval, percent

if TYPE_CHECKING:
    import pandas as pd

    from ecgkit.api.probe import ProbeResults
    from ecgkit.api.study import StudyResults
    from ecgkit.evaluation.results.row import ClassScore, ResultRow
    from ecgkit.evaluation.suites.run import SuiteResult


def show_row(row: "ResultRow", folder: Path) -> None:
    """Print a result, its classes or its targets, and its warnings."""
    from ecgkit.report.page.sentences import protocol_words, transfer_words

    if row.targets:
        show_targets(row, folder)
        return
    low, high = row.macro_interval or (None, None)
    say(
        f"{row.run}: macro AUROC {percent(row.macro_auroc)} (95 % interval {percent(low)} to {percent(high)}) "
        f"on {row.counts['test']['records']} test records, {row.seconds:.1f} s; written to {folder}"
    )
    for heading, text in (transfer_words(row.facts.transfer) if row.facts.transfer else {}).items():
        say(f"{heading}: {text}")
    title = f"{row.task_title}: {row.head} on {row.run}"
    print_table(title, [_class(score) for score in row.classes], numeric=["AUROC", "95 %", "AUPRC", "positives"])
    say(f"protocol: {protocol_words(row.facts)}")
    for warning in row.warnings:
        warn(warning)


def _class(score: "ClassScore") -> dict[str, str]:
    return {
        "class": score.label,
        "name": score.name,
        "AUROC": percent(score.auroc),
        "95 %": interval(score.interval),
        "AUPRC": percent(score.auprc),
        "positives": f"{score.positives} of {score.positives + score.negatives}",
        **({} if score.seen is None else {"seen as": score.seen or "unseen"}),
    }


def show_curves(rows: "Sequence[ResultRow]", folder: Path) -> None:
    """Print a table a task: one line a lead set and number of training records, over its seeds."""
    from ecgkit.report.elements.labels import share_label
    from ecgkit.report.page.sentences import protocol_words

    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        if own[0].targets:
            facts = [(row.lead_set, share_label(row) or "all", f"seed {row.seed}") for row in own]
            show_target_lines("training", own, [", ".join(filter(None, fact)) for fact in facts])
        else:
            _show_aurocs(own)
    for protocol in dict.fromkeys(protocol_words(row.facts) for row in rows):
        say(f"protocol: {protocol}")
    say(f"{len(rows)} results in {folder}")
    counted = Counter(warning for row in rows for warning in row.warnings)
    for warning, n in counted.items():
        warn(warning if n == len(rows) else f"{warning} ({n} of {len(rows)} results)")


def _show_aurocs(rows: "Sequence[ResultRow]") -> None:
    from ecgkit.evaluation.studies.learning_curve import curve

    sets: dict[str, list[ResultRow]] = {}
    for row in rows:
        sets.setdefault(_lead_group(row), []).append(row)
    shown = [
        {
            **({"leads": leads} if leads else {}),
            "training": point.asked,
            "records": "-".join(map(str, sorted({min(point.records), max(point.records)}))),
            "draws": len(point.aurocs),
            "AUROC": percent(point.mean),
            "sd": percent(point.deviation),
            "lowest": percent(min(point.known, default=None)),
            "highest": percent(max(point.known, default=None)),
        }
        for leads, own in sets.items()
        for point in curve(own)
    ]
    first = rows[0]
    title = f"{first.task_title}: {first.head} on {first.run} by labelled training records"
    print_table(title, shown, numeric=[name for name in shown[0] if name != "leads"])


def _lead_group(row: "ResultRow") -> str:
    """Return what a result's lead set is shown as: random subsets of one size as one."""
    from ecgkit.evaluation.protocols.lead_sets import lead_set

    group = lead_set(row.lead_set).group if row.lead_set else ""
    return group if ":" in group else row.lead_set


def show_lead_sets(rows: "Sequence[ResultRow]") -> None:
    """Print one line a lead set, means over random subsets."""
    from ecgkit.report.tables.lead_matrix import summarise

    scored = [row for row in rows if not row.targets]
    for task in dict.fromkeys(row.task for row in rows if row.targets):
        own = [row for row in rows if row.task == task]
        show_target_lines("leads", own, [row.lead_set for row in own])
    if scored:
        lines = summarise(scored, [_lead_group(row) for row in scored])
        print_table("Leads", [line.as_row() for line in lines], numeric=["macro AUROC", "95 %"])


def show_results(found: "ProbeResults", *, by_amount: bool) -> None:
    """Print results: each with its classes, or one table by lead set and amount of labels."""
    rows = [row for _, row in found.rows]
    if by_amount:
        show_curves(rows, Path(os.path.commonpath([folder.parent for folder, _ in found.rows])))
    else:
        for folder, row in found.rows:
            say(f"input: {row.contract['input']}, built from {row.store}{_given(row)}")
            show_row(row, folder)
        if found.heat_map is not None or any(row.lead_set for row in rows):
            show_lead_sets(rows)
    if found.skipped:
        say(f"{found.skipped} of them were done before")
    if found.heat_map is not None:
        say(f"heat map: {found.heat_map}")


def _given(row: "ResultRow") -> str:
    return f"; leads {row.lead_set}" if row.lead_set else ""


def show_study(found: "StudyResults") -> None:
    """Print the table of a study."""
    for warning in found.warnings:
        warn(warning)
    if found.layers is not None:
        forms = {"layer": "g", "val_auroc": ".4f", "test_auroc": ".4f", "similarity": ".3f", "entropy": ".3f"}
        _print_frame(f"Layers of {found.title}", found.table, forms)
        if found.layers.best is not None:
            say(f"best on val: layer {found.layers.best}; the test column is for looking, not for choosing")
        say(f"similarity and entropy over {found.layers.records} test records; written to {found.folder}")
    if found.disturbances is not None:
        forms = {
            "perturbation": "", "level": "g", "auroc": ".4f", "auroc_change": "+.4f", "loss": ".4f",
            "loss_change": "+.4f",
        }  # fmt: skip
        _print_frame(f"{found.title}: {found.disturbances.kind.axis}", found.table, forms)
        say(f"head fitted on clean records, test records disturbed before crop and filter; written to {found.folder}")


def _print_frame(title: str, table: "pd.DataFrame", columns: dict[str, str]) -> None:
    cells = [[_cell(value, form) for value in table[name].tolist()] for name, form in columns.items()]
    rows = [dict(zip(columns, line, strict=True)) for line in zip(*cells, strict=True)]
    print_table(title, rows, numeric=[name for name, form in columns.items() if form])


def _cell(value: object, form: str) -> str:
    return "-" if isinstance(value, float) and not math.isfinite(value) else format(value, form)


def show_suite(result: "SuiteResult", title: str) -> None:
    """Print the summary of a suite, and why probes failed."""
    from ecgkit.evaluation.suites.run import summary

    print_table(title, list(summary(result)), numeric=["% of labels", "AUROC", "sd", "seeds"])
    again = f", {result.skipped} of them done before" if result.skipped else ""
    say(f"{len(result.rows)} results{again}; one table: {result.table}")
    for name, why in result.failed.items():
        warn(f"{name}: {why}")
    if result.failed:
        warn(f"{len(result.failed)} probes failed; the same command tries them again")
