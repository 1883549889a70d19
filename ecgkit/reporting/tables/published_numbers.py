"""Published numbers from ``published_numbers.yaml``. They are shown apart from measured numbers.

A published and a measured number can only be compared if task, share of the training set, classes, protocol, head and
leads are the same. `disagreements` names what differs.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from ecgkit.evaluation.results.row import ResultRow

LEADS = 12  # of every published number here


@dataclass(frozen=True)
class PublishedNumber:
    """A number or a claim from the literature.

    Args:
        method: Name of the method in the publication.
        task: Name of the task.
        share: Share of the training set, such as ``10 %``; empty for a claim.
        label: The class; empty for the mean over classes.
        text: The number as printed, an AUROC in per cent; or the text of the claim.
        certainty: ``A``, ``B`` or ``C``; see the head of ``published_numbers.yaml``.
        source: Publication, with the table or page.
        protocol: Name of the protocol that the number follows.
        head: Head on the encoder.
        labels: Variant of the task's labels; empty for the task's own.
        note: What a reader must know about the number, or what is claimed.
    """

    method: str
    task: str
    share: str
    label: str
    text: str
    certainty: str
    source: str
    protocol: str = ""
    head: str = ""
    labels: str = ""
    note: str = ""

    @property
    def value(self) -> float | None:
        """The AUROC from 0 to 1; None for a claim."""
        return float(self.text) / 100 if self.share else None

    @property
    def line(self) -> tuple[str, str, str]:
        """The key of a line of the table: method, head and source."""
        return self.method, self.head, self.source


@functools.cache
def _file() -> dict[str, Any]:
    text = files("ecgkit.reporting.tables").joinpath("published_numbers.yaml").read_text(encoding="utf-8")
    # As text, so that every number is shown with the digits that were printed.
    return dict(yaml.load(text, yaml.BaseLoader))


@functools.cache
def published_numbers() -> tuple[PublishedNumber, ...]:
    """Return all published numbers and claims, in the order of the file."""
    return (*(entry for source in _file()["sources"] for entry in _entries(source)), *map(_claim, _claims()))


def _claims() -> list[tuple[str, dict[str, Any]]]:
    return [(task, claim) for claim in _file()["claims"] for task in claim["tasks"]]


def _claim(of: tuple[str, dict[str, Any]]) -> PublishedNumber:
    task, claim = of
    return PublishedNumber(
        claim["method"], task, "", "", claim["value"], claim["certainty"], claim["source"], note=claim["claim"]
    )


def _entries(source: dict[str, Any]) -> Iterator[PublishedNumber]:
    def entry(method: str, task: str, share: str, label: str, text: str) -> PublishedNumber:
        labels = source.get("labels", {}).get(task, "")
        common = (source["certainty"], source["source"], source["protocol"], source["head"], labels)
        return PublishedNumber(method, task, share, label, text, *common, note=source.get("note", ""))

    for method, tasks in source["values"].items():
        for task, shares in tasks.items():
            yield from (entry(method, task, share, "", text) for share, text in shares.items())
            classes = source.get("classes", {}).get(method, {})
            yield from (entry(method, task, "100 %", label, text) for label, text in classes.items())


def same_method(entry: PublishedNumber, row: ResultRow) -> bool:
    """Return whether the method of a run has the name of the method of a published number."""
    return row.weights == "pretrained" and _plain(entry.method.split()[0]) == _plain(row.method)


def disagreements(entry: PublishedNumber, row: ResultRow) -> tuple[str, ...]:
    """Return everything in which a measured result differs from a published number; empty if they can be compared."""
    share = "" if row.label_count is not None else f"{100 * row.fraction:g} %"
    checks = {
        "task": (entry.task, row.task),
        "share of the training part": (entry.share, share or f"{row.label_count} records"),
        "protocol": (entry.protocol, row.facts.protocol.name or "not stated"),
        "head": (entry.head, row.head),
        "leads": (f"{LEADS}", f"{len(row.leads)}"),
        "labels": (entry.labels, row.facts.labels.label_set),
        "training store": ("", row.facts.transfer.trained_on if row.facts.transfer else ""),
    }
    found = [
        f"{name}: {theirs or 'own'} there, {ours or 'own'} here"
        for name, (theirs, ours) in checks.items()
        if theirs != ours
    ]
    if not _same_classes(entry, row):
        found.append("the classes differ")
    return tuple(found)


def _same_classes(entry: PublishedNumber, row: ResultRow) -> bool:
    """Compare classes by their short labels, ignoring underscores and dots, which differ between releases."""
    if entry.label:
        return entry.label in [score.label for score in row.classes]
    known: Sequence[str] | None = _file()["label_sets"].get(entry.task)
    if known is None:
        own = (e for e in published_numbers() if (e.method, e.task, e.head) == (entry.method, entry.task, entry.head))
        known = [e.label for e in own if e.label]
    return {_plain(label) for label in known} == {_plain(score.label) for score in row.classes}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
