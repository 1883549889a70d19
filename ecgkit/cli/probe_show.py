"""What ``ecgkit probe`` prints: one result, curves over training records, the table of lead sets."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgkit.cli.regression_view import show_target_lines, show_targets
from ecgkit.cli.render import print_table, say, warn
from ecgkit.wording import interval, percent

if TYPE_CHECKING:
    from ecgkit.evaluation.results.row import ClassScore, ResultRow


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


def draw_lead_sets(rows: "Sequence[ResultRow]", picture: Path) -> None:
    """Draw the heat map of lead sets by task and share; none where only numbers are predicted."""
    from ecgkit.report.tables.lead_matrix import draw_matrix

    scored = [row for row in rows if not row.targets]
    if scored:
        draw_matrix(scored, picture)
        say(f"heat map: {picture}")
