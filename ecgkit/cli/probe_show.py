"""What ``ecgkit probe`` prints: one result, a summary of several, and curves over training records."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgkit.cli.regression_view import show_target_lines, show_targets
from ecgkit.cli.render import print_table, say, warn
from ecgkit.wording import interval, percent

if TYPE_CHECKING:
    from ecgkit.evaluation.results.row import ClassScore, ResultRow

    Results = Sequence[tuple[Path, ResultRow]]

TOLD = ("trained on", "tested on", "shared classes", "classes left out")


def show_row(row: "ResultRow", folder: Path) -> None:
    """Print a result, its classes or its targets, and its warnings."""
    if row.targets:
        show_targets(row, folder)
        return
    say(
        f"{row.run}: macro AUROC {percent(row.macro_auroc)} (95 % {interval(row.macro_interval)}) "
        f"on {row.counts['test']['records']} test records, {row.seconds:.1f} s"
    )
    say(f"result: {folder}")
    for heading in TOLD:
        if heading in row.protocol:
            say(f"{heading}: {row.protocol[heading]}")
    title = f"{row.task_title}: {row.head} on {row.run}"
    print_table(title, [_class(score) for score in row.classes], numeric=["AUROC", "95 %", "AUPRC", "positives"])
    say(f"protocol: {row.protocol['protocol']}")
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


def show_results(results: "Results", details: Path) -> None:
    """Print one line per task and lead set, and write every class of every result as CSV.

    Args:
        results: Folder and row of each result.
        details: The CSV file.
    """
    rows = [row for _, row in results]
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        if own[0].targets:
            title = "leads" if any(row.lead_set for row in own) else "run"
            show_target_lines(title, own, [row.lead_set or row.run for row in own])
        else:
            _show_lead_sets(own)
    _show_common(rows)
    _write_details(results, details)
    say(f"{len(rows)} results below {_shared_folder(folder for folder, _ in results)}")
    say(f"every class of every result: {details}")


def _show_lead_sets(rows: "Sequence[ResultRow]") -> None:
    from ecgkit.reporting.tables.lead_matrix import summarise_leads

    lines = [
        {"leads": line.leads or "the model's own", "sets": line.sets, "macro AUROC (95 %)": line.text}
        for line in summarise_leads(rows, [_lead_group(row) for row in rows])
    ]
    several = any(line["sets"] != 1 for line in lines)
    shown = [{name: value for name, value in line.items() if several or name != "sets"} for line in lines]
    print_table(_title(rows[0]), shown, numeric=["sets", "macro AUROC (95 %)"])


def show_curves(results: "Results") -> None:
    """Print one table per task: one line per lead set and number of training records, over its seeds."""
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
    from ecgkit.evaluation.studies.learning_curve import curve

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
    say("AUROC: macro mean; over draws that differ ± one standard deviation, else (95 % interval)")


def _title(row: "ResultRow") -> str:
    return f"{row.task_title}: {row.head} on {row.run}"


def _lead_group(row: "ResultRow") -> str:
    """Return what a result's lead set is shown as: random sets of one size as one."""
    from ecgkit.evaluation.protocols.lead_sets import lead_set

    group = lead_set(row.lead_set).group if row.lead_set else ""
    return group if ":" in group else row.lead_set


def _show_common(rows: "Sequence[ResultRow]") -> None:
    """Print what several results say of themselves, each statement once."""
    for heading in ("protocol", *TOLD):
        for text, which in _counted(row.protocol[heading] for row in rows if heading in row.protocol).items():
            say(f"{heading}: {text}{_of(which, len(rows))}")
    for warning, which in _counted(warning for row in rows for warning in row.warnings).items():
        warn(f"{warning}{_of(which, len(rows))}")


def _counted(texts: Iterable[str]) -> Mapping[str, int]:
    return Counter(texts)


def _of(which: int, every: int) -> str:
    return "" if which == every else f" ({which} of {every} results)"


def _write_details(results: "Results", details: Path) -> None:
    from ecgkit.atomic import atomic_file
    from ecgkit.evaluation.results.row import ROW
    from ecgkit.reporting.tables.formats import to_csv

    with atomic_file(details) as staging:
        staging.write_text(to_csv([(folder / ROW, row) for folder, row in results]), encoding="utf-8")


def _shared_folder(folders: Iterable[Any]) -> Path:
    import os

    return Path(os.path.commonpath([*folders]))


def draw_lead_sets(rows: "Sequence[ResultRow]", picture: Path) -> None:
    """Draw the heat map of lead sets by task and share; nothing where only numbers are predicted."""
    from ecgkit.reporting.pictures.heat_map import draw_heat_map
    from ecgkit.reporting.tables.lead_matrix import lead_map

    scored = [row for row in rows if not row.targets]
    if scored:
        below = "95 % interval, or the standard deviation over seeds that differ"
        title = f"{scored[0].run}: {scored[0].head}\nAUROC × 100; below it the {below}"
        draw_heat_map(lead_map(scored), picture, title=title)
        say(f"heat map: {picture}")
