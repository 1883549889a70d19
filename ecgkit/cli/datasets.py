"""``ecgkit datasets``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.render import JsonOption, next_is, print_facts, print_json, print_table, say

if TYPE_CHECKING:
    from ecgkit.api.datasets import ArchiveDetails

UNKNOWN = "unknown"


def datasets(
    name: Annotated[
        str,
        typer.Argument(
            help="Archive to show in full, such as ptb-xl. Default: list all.", autocompletion=completion.archives
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List published archives of ECGs: their size, leads, rates and licences, and how to get and cite them."""
    found = ecgkit.list_datasets(name)
    if as_json:
        print_json([_as_json(archive) for archive in found])
    elif name:
        print_facts(f"{name}: {found[0].card.title}", _facts(found[0]))
    else:
        print_table(f"{len(found)} archives", [_row(archive) for archive in found], numeric=["records", "patients"])
        say("Show one in full: ecgkit datasets NAME")
    next_is(f"ecgkit download {name or 'NAME'}")


def _row(archive: "ArchiveDetails") -> dict[str, Any]:
    card = archive.card
    access = card.physionet.access if card.physionet else "open"
    return {
        "name": card.name,
        "records": _count(card.records),
        "patients": _count(card.patients),
        "leads": card.leads.partition(" (")[0],
        "Hz": _rates(card.fs) or "-",
        "licence": (card.licence or UNKNOWN) if access == "open" else access,
    }


def _facts(archive: "ArchiveDetails") -> dict[str, Any]:
    card = archive.card
    at = card.physionet
    facts = {
        "records": _count(card.records),
        "patients": _count(card.patients),
        "leads": card.leads,
        "rate": f"{_rates(card.fs)} Hz" if card.fs else "",
        "duration": card.duration,
        "labels": card.labels,
        "licence": card.licence or UNKNOWN,
        "access": at.access if at else "",
        "recognised by": card.recognised_by,
        "get it": f"ecgkit download {card.name}" if at else card.url or UNKNOWN,
        "page": card.page if at else "",
        "cite": card.citation,
        "doi": card.doi,
        "overlaps": "; ".join(f"{other}: {what}" for other, what in archive.overlaps.items()) or "none known",
        "notes": card.notes,
        "figures read at": ", ".join(card.read_at),
        "from": archive.distribution,
    }
    return {key: value for key, value in facts.items() if value}


def _as_json(archive: "ArchiveDetails") -> dict[str, Any]:
    card = archive.card
    at = card.physionet
    return {
        "name": card.name,
        "title": card.title,
        "records": card.records,
        "patients": card.patients,
        "leads": card.leads,
        "fs": list(card.fs),
        "duration": card.duration,
        "labels": card.labels,
        "licence": card.licence,
        "citation": card.citation,
        "doi": card.doi,
        "physionet": None if at is None else {"slug": at.slug, "version": at.version, "access": at.access},
        "page": card.page,
        "recognised_by": card.recognised_by,
        "overlaps": dict(archive.overlaps),
        "notes": card.notes,
        "read_at": list(card.read_at),
        "distribution": archive.distribution,
    }


def _count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def _rates(rates: tuple[float, ...]) -> str:
    return ", ".join(f"{fs:g}" for fs in rates)
