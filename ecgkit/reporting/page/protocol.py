"""The protocol card of a result: everything that its numbers depend on, and the facts that its row lacks."""

from collections.abc import Mapping, Sequence
from typing import Any

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.page.sentences import sentences

Card = dict[str, dict[str, Any]]
# The facts that a reviewer asks for first. If a row lacks one of them, its card says so.
ASKED = ("protocol", "split", "labels", "checkpoint selection", "departures")


def card(row: ResultRow, file: str) -> Card:
    """Return everything that a result depends on, by heading."""
    result = {
        "run": row.run,
        "method": row.method,
        "preset": row.preset,
        "weights": row.weights,
        "head": row.head,
        "leads": row.leads,
        "lead set": row.lead_set or "the model's own",
        "training share": row.fraction,
        "training labels": "all of the share" if row.label_count is None else row.label_count,
        "seed": row.seed,
        "store": row.store,
        "dataset": row.dataset,
        "seconds": round(row.seconds, 2),
        "file": file,
    }
    parts: dict[str, Mapping[str, Any]] = {
        "Result": result,
        "Protocol": sentences(row),
        "Counts": row.counts,
        "Signal contract": row.contract,
        "Hashes": row.hashes,
        "Environment": row.environment,
    }
    return {heading: dict(part) for heading, part in parts.items() if part}


def unstated(row: ResultRow) -> list[str]:
    """Return the facts that a reviewer would ask for and the row does not state."""
    stated = {name.lower() for name in sentences(row)}
    return [name for name in ASKED if name not in stated]


def shared(cards: Sequence[Card]) -> Card:
    """Return the entries that several cards have in common; empty for a single card."""
    if len(cards) < 2:
        return {}
    first, *others = cards
    common = {
        heading: {
            name: value for name, value in part.items() if all(_has(other, heading, name, value) for other in others)
        }
        for heading, part in first.items()
    }
    return {heading: part for heading, part in common.items() if part}


def own(card: Card, common: Card) -> Card:
    """Return the entries of a card that are not common to all cards."""
    rest = {
        heading: {name: value for name, value in part.items() if name not in common.get(heading, {})}
        for heading, part in card.items()
    }
    return {heading: part for heading, part in rest.items() if part}


def _has(card: Card, heading: str, name: str, value: Any) -> bool:
    part = card.get(heading, {})
    return name in part and part[name] == value
