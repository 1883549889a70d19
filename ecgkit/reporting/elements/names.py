"""Names results by their run and by whatever distinguishes them from the other results shown."""

from collections.abc import Sequence

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.leads import STANDARD_LEADS


def result_names(rows: Sequence[ResultRow]) -> list[str]:
    """Name each row by its run and by what distinguishes it from the other rows."""
    telling = [(row.weights, row.head, _leads_in_words(row), share_name(row)) for row in rows]
    names = _join([row.run for row in rows], telling)
    if len(set(names)) < len(names):
        names = _join(names, [(row.store, f"seed {row.seed}") for row in rows])
    return [_numbered(names, i) for i in range(len(names))]


def leads_name(row: ResultRow) -> str:
    """Name the leads of a result; empty for all twelve."""
    if row.lead_set:
        return row.lead_set
    if set(row.leads) == set(STANDARD_LEADS):
        return ""
    return f"{len(row.leads)} leads" if len(row.leads) > 3 else "lead " * (len(row.leads) == 1) + " + ".join(row.leads)


def _leads_in_words(row: ResultRow) -> str:
    """Name the leads so that the name stands alone: ``12 leads``, ``lead V4``."""
    name = leads_name(row)
    if name.isdigit():
        return f"{name} lead{'s' if name != '1' else ''}"
    return f"lead {name}" if name in STANDARD_LEADS else name


def leads_or_all(row: ResultRow) -> str:
    """Name the leads of a result, even if they are all twelve."""
    return leads_name(row) or f"all {len(row.leads)}"


def share_name(row: ResultRow) -> str:
    """Name the share of the training set that was used; empty for all of it."""
    if row.label_count is not None:
        return f"{row.label_count:,} labels"
    return "" if row.fraction == 1 else f"{100 * row.fraction:g} % of training"


def task_and_share(row: ResultRow) -> str:
    """Name a result's task, and the share of the training set if not all of it was used."""
    return ", ".join(part for part in (row.task, share_name(row)) if part)


def _join(names: Sequence[str], facts: Sequence[tuple[str, ...]]) -> list[str]:
    """Append to each name those facts that differ between rows; an empty fact adds nothing."""
    differs = [len(set(column)) > 1 for column in zip(*facts, strict=True)]
    pairs = zip(names, facts, strict=True)
    return [", ".join([name, *(f for f, use in zip(own, differs, strict=True) if use and f)]) for name, own in pairs]


def _numbered(names: Sequence[str], i: int) -> str:
    return names[i] if names.count(names[i]) == 1 else f"{names[i]} ({names[: i + 1].count(names[i])})"
