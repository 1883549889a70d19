"""What ``ecgkit probe`` prints: one result, a summary of several, and curves over training records."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgkit.cli.regression_view import show_target_lines, show_targets
from ecgkit.cli.render import print_table, say, warn
from ecgkit.wording import interval, percent

if TYPE_CHECKING:
    import pandas as pd

    from ecgkit.api.analysis import AnalysisResults
    from ecgkit.api.probe import ProbeResults
    from ecgkit.evaluation.results.row import ClassScore, ResultRow
    from ecgkit.evaluation.suites.run import SuiteResult

    Results = Sequence[tuple[Path, ResultRow]]

MOST_KINDS = 4  # sentences of one kind below the summary of several results
TOLD = ("trained on", "tested on", "shared classes", "classes left out")


def show_row(row: "ResultRow", folder: Path) -> None:
    """Print a result, its classes or its targets, and its warnings."""
    from ecgkit.reporting.page.sentences import sentences

    say(
        f"input: {row.contract.get('input', 'not recorded')}, built from {row.store}"
        + (f"; leads {row.lead_set}" * bool(row.lead_set))
    )
    if row.targets:
        show_targets(row, folder)
        return
    say(
        f"{row.run}: macro AUROC {percent(row.macro_auroc)} (95 % {interval(row.macro_interval)}) "
        f"on {row.counts['test']['records']} test records, {row.seconds:.1f} s"
    )
    say(f"result: {folder}")
    told = sentences(row)
    for heading in TOLD:
        if heading in told:
            say(f"{heading}: {told[heading]}")
    title = f"{row.task_title}: {row.head} on {row.run}"
    print_table(title, [_class(score) for score in row.classes], numeric=["AUROC", "95 %", "AUPRC", "positives"])
    say(f"protocol: {told['protocol']}")
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


def show_results(found: "ProbeResults") -> None:
    """Print one result with its classes, or a summary of several with the paths of their details."""
    if found.by_amount:
        _show_curves(found.rows)
    elif len(found.rows) == 1:
        show_row(found.rows[0][1], found.rows[0][0])
    else:
        _show_summary(found.rows)
    if found.skipped:
        say(f"{found.skipped} of them are from an earlier run")
    if found.details is not None:
        say(f"every class of every result: {found.details}")
    if found.heat_map is not None:
        say(f"heat map: {found.heat_map}")


def _show_summary(results: "Results") -> None:
    """Print one line per task and lead set."""
    rows = [row for _, row in results]
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        if own[0].targets:
            title = "leads" if any(row.lead_set for row in own) else "run"
            show_target_lines(title, own, [row.lead_set or row.run for row in own])
        else:
            _show_lead_sets(own)
    _show_common(rows)
    say(f"{len(rows)} results below {_shared_folder(folder for folder, _ in results)}")


def _show_lead_sets(rows: "Sequence[ResultRow]") -> None:
    from ecgkit.reporting.tables.lead_matrix import summarise_leads

    lines = [
        {"leads": line.leads or "the model's own", "sets": line.sets, "macro AUROC (95 %)": line.text}
        for line in summarise_leads(rows, [_lead_group(row) for row in rows])
    ]
    several = any(line["sets"] != 1 for line in lines)
    shown = [{name: value for name, value in line.items() if several or name != "sets"} for line in lines]
    print_table(_title(rows[0]), shown, numeric=["sets", "macro AUROC (95 %)"])


def _show_curves(results: "Results") -> None:
    """Print one table per task, with one row per lead set and number of training records, over all seeds."""
    from ecgkit.reporting.elements.names import share_name

    rows = [row for _, row in results]
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        if own[0].targets:
            facts = [(row.lead_set, share_name(row) or "all", f"seed {row.seed}") for row in own]
            show_target_lines("training", own, [", ".join(filter(None, fact)) for fact in facts])
        else:
            _show_curve(own)
    _show_common(rows)
    say(f"{len(rows)} results below {_shared_folder(folder.parent for folder, _ in results)}")


def _show_curve(rows: "Sequence[ResultRow]") -> None:
    from ecgkit.evaluation.analyses.learning_curve import curve

    sets: dict[str, list[ResultRow]] = {}
    for row in rows:
        sets.setdefault(_lead_group(row), []).append(row)
    lines = [
        {
            **({"leads": leads} if leads else {}),
            "training": point.asked,
            "records": "-".join(map(str, sorted({min(point.records), max(point.records)}))),
            "draws": len(point.records),
            "AUROC": point.auroc.percent,
            "lowest": percent(point.lowest),
            "highest": percent(point.highest),
        }
        for leads, own in sets.items()
        for point in curve(own)
    ]
    print_table(
        f"{_title(rows[0])} by labelled training records", lines, numeric=[name for name in lines[0] if name != "leads"]
    )
    for line in lines:
        if line["draws"] != 1 and line["lowest"] == line["highest"] and "±" not in str(line["AUROC"]):
            warn(f"training {line['training']}: all {line['draws']} draws gave the same number; it counts as one seed")
    say("Macro AUROC. Over different draws: ± one standard deviation. Otherwise: (95 % confidence interval)")


def _title(row: "ResultRow") -> str:
    return f"{row.task_title}: {row.head} on {row.run}"


def _lead_group(row: "ResultRow") -> str:
    """Return the label of a result's lead set; all random sets of one size share a label."""
    from ecgkit.evaluation.protocols.lead_sets import lead_set

    group = lead_set(row.lead_set).group if row.lead_set else ""
    return group if ":" in group else row.lead_set


def _show_common(rows: "Sequence[ResultRow]") -> None:
    """Print the warnings and notes of several results, each one once."""
    from ecgkit.reporting.page.sentences import sentences

    told = [sentences(row) for row in rows]
    for heading in ("protocol", *TOLD):
        kinds = _counted(of[heading] for of in told if heading in of)
        if len(kinds) > MOST_KINDS:
            say(f"{heading}: differs between the results; the folder of each result says it")
            continue
        for text, which in kinds.items():
            say(f"{heading}: {text}{_of(which, len(rows))}")
    warnings = _counted(warning for row in rows for warning in row.warnings)
    for warning, which in warnings.most_common(MOST_KINDS):
        warn(f"{warning}{_of(which, len(rows))}")
    if len(warnings) > MOST_KINDS:
        warn(f"{len(warnings) - MOST_KINDS} other warnings stand in the folders of single results")


def _counted(texts: Iterable[str]) -> Counter[str]:
    return Counter(texts)


def _of(which: int, every: int) -> str:
    return "" if which == every else f" ({which} of {every} results)"


def _shared_folder(folders: Iterable[Any]) -> Path:
    return Path(os.path.commonpath([*folders]))


def show_analysis(found: "AnalysisResults") -> None:
    """Print the table of an analysis."""
    for warning in found.warnings:
        warn(warning)
    if found.layers is not None:
        forms = {"layer": "g", "val_auroc": ".4f", "test_auroc": ".4f", "similarity": ".3f", "entropy": ".3f"}
        _print_frame(f"Layers of {found.title}", found.table, forms)
        if found.layers.best is not None:
            say(f"best layer on the validation set: {found.layers.best}. Do not choose a layer by the test column")
        say(f"similarity and entropy are measured on {found.layers.records} test records. Written to {found.folder}")
    if found.disturbances is not None:
        forms = {
            "perturbation": "",
            "level": "g",
            "auroc": ".4f",
            "auroc_change": "+.4f",
            "loss": ".4f",
            "loss_change": "+.4f",
        }
        _print_frame(f"{found.title}: {found.disturbances.kind.axis}", found.table, forms)
        say(
            "the head is fitted on clean records; test records are perturbed before crop and filter. "
            f"Written to {found.folder}"
        )


def _print_frame(title: str, table: "pd.DataFrame", columns: dict[str, str]) -> None:
    cells = [[_cell(value, form) for value in table[name].tolist()] for name, form in columns.items()]
    rows = [dict(zip(columns, line, strict=True)) for line in zip(*cells, strict=True)]
    print_table(title, rows, numeric=[name for name, form in columns.items() if form])


def _cell(value: object, form: str) -> str:
    return "-" if isinstance(value, float) and not math.isfinite(value) else format(value, form)


def show_suite(result: "SuiteResult", title: str) -> None:
    """Print the summary of a suite, and the reasons why probes failed."""
    from ecgkit.evaluation.suites.run import summary

    lines = list(summary(result))
    for task in dict.fromkeys(line["task"] for line in lines):
        own = [line for line in lines if line["task"] == task]
        shown = [{name: value for name, value in line.items() if name != "task"} for line in own]
        print_table(f"{title}: {task}", shown, numeric=["% of labels", "AUROC", "seeds"])
    again = f", {result.skipped} of them from an earlier run" if result.skipped else ""
    say(f"{len(result.rows)} results{again}; one table: {result.table}")
    for name, why in result.failed.items():
        warn(f"{name}: {why}")
    if result.failed:
        warn(f"{len(result.failed)} probes failed. Run the same command again to retry them")
