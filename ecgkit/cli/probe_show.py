"""What ``ecgkit probe`` prints: one result, the curve over training records, the table of lead sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgkit.cli.render import print_table, say, warn
from ecgkit.report.wording import interval, percent

if TYPE_CHECKING:
    from ecgkit.evaluation.results import ClassScore, ResultRow


def show_row(row: "ResultRow", folder: Path) -> None:
    """Print a result, its classes and its warnings."""
    low, high = row.macro_interval or (None, None)
    say(
        f"{row.run}: macro AUROC {percent(row.macro_auroc)} (95 % interval {percent(low)} to {percent(high)}) "
        f"on {row.counts['test']['records']} test records, {row.seconds:.1f} s; written to {folder}"
    )
    title = f"{row.task_title}: {row.head} on {row.run}"
    print_table(title, [_class(score) for score in row.classes], numeric=["AUROC", "95 %", "AUPRC", "positives"])
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


def show_curve(rows: "Sequence[ResultRow]", folder: Path) -> None:
    """Print one line a number of training records, over its seeds."""
    from ecgkit.evaluation.label_counts import curve, spread

    shown = []
    for point in curve(rows):
        low, high = spread(point.aurocs) or (None, None)
        shown.append(
            {
                "asked": point.count,
                "records": "-".join(map(str, sorted({min(point.records), max(point.records)}))),
                "seeds": len(point.aurocs),
                "AUROC": percent(point.mean),
                "lowest": percent(low),
                "highest": percent(high),
            }
        )
    first = rows[0]
    print_table(
        f"{first.task_title}: {first.head} on {first.run} by labelled training records", shown, numeric=list(shown[0])
    )
    say(f"{len(rows)} results in {folder}")
    for warning in dict.fromkeys(warning for row in rows for warning in row.warnings if warning.startswith("LEAK")):
        warn(warning)


def show_lead_sets(rows: "Sequence[ResultRow]", picture: Path) -> None:
    """Print one line a lead set, means over random subsets, and draw the heat map."""
    from ecgkit.evaluation.lead_sets import lead_set
    from ecgkit.report.lead_matrix import draw_matrix, summarise

    groups = [lead_set(row.lead_set).group for row in rows]
    print_table("Leads", [line.as_row() for line in summarise(rows, groups)], numeric=["macro AUROC", "95 %"])
    draw_matrix(rows, picture)
    say(f"heat map: {picture}")
