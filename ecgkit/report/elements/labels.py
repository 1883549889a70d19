"""What results are called on the page: by their run, and by whatever sets them apart from those beside them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ecgkit.leads import STANDARD_LEADS

if TYPE_CHECKING:
    from ecgkit.evaluation.results.row import ResultRow


def row_labels(rows: Sequence["ResultRow"]) -> list[str]:
    """Name each row by its run and by what sets it apart from the other rows."""
    telling = [(row.weights, row.head, lead_label(row), share_label(row)) for row in rows]
    labels = _join([row.run for row in rows], telling)
    if len(set(labels)) < len(labels):
        labels = _join(labels, [(row.store, f"seed {row.seed}") for row in rows])
    return [_numbered(labels, i) for i in range(len(labels))]


def lead_label(row: "ResultRow") -> str:
    """Name the leads of a result; empty for all twelve."""
    if row.lead_set:
        return row.lead_set
    if set(row.leads) == set(STANDARD_LEADS):
        return ""
    return f"{len(row.leads)} leads" if len(row.leads) > 3 else "lead " * (len(row.leads) == 1) + " + ".join(row.leads)


def share_label(row: "ResultRow") -> str:
    """Name how much of the training part was used; empty for all of it."""
    if row.label_count is not None:
        return f"{row.label_count:,} labels"
    return "" if row.fraction == 1 else f"{100 * row.fraction:g} % of training"


def _join(labels: Sequence[str], facts: Sequence[tuple[str, ...]]) -> list[str]:
    """Append to each label those facts that differ between rows; an empty one says nothing."""
    differs = [len(set(column)) > 1 for column in zip(*facts, strict=True)]
    pairs = zip(labels, facts, strict=True)
    return [", ".join([label, *(f for f, use in zip(own, differs, strict=True) if use and f)]) for label, own in pairs]


def _numbered(labels: Sequence[str], i: int) -> str:
    return labels[i] if labels.count(labels[i]) == 1 else f"{labels[i]} ({labels[: i + 1].count(labels[i])})"
