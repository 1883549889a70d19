"""Runs without a result: losses by epoch, settings, data, and what the training cost."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecgkit.reporting.elements.section import Figure, Section, Table
from ecgkit.reporting.sections.training import loss_figure
from ecgkit.wording import is_number

TITLE = "Runs without a result"
NOTE = (
    "No result of these runs is on this page. A loss says how well a method solves its own training task. It does not "
    "say how good the features are, and losses of different methods cannot be compared."
)
LEARNT = (
    *("run", "method", "preset", "state", "epochs", "training records", "validation records"),
    *("first validation loss", "lowest validation loss", "in epoch"),
)
COST = ("run", "batch", "training s", "training records/s", "peak memory (GiB)", "precision", "device")
LEFT_OUT = ("method", "preset", "store.path")  # those in the tables, and a place on the disk of this machine


@dataclass(frozen=True)
class Trained:
    """A run, finished or unfinished.

    Args:
        name: Name of the run on the page.
        state: ``finished``, ``unfinished`` or ``imported``.
        details: Contents of its ``config.yaml``; see `ecgkit.training.run`.
        epochs: Metrics of each finished epoch.
    """

    name: str
    state: str
    details: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]]

    @property
    def store(self) -> str:
        """Name and dataset of the store that it was trained on; empty if the run names none."""
        store = self.details.get("store") or {}
        return f"{store['name']} ({store.get('dataset', 'unknown dataset')})" if store.get("name") else ""


def runs_section(runs: Sequence[Trained]) -> Section | None:
    """Return a table of the runs, and the losses and settings of each; None if there is no run."""
    if not runs:
        return None
    tables = {"Data and losses": Table(LEARNT, tuple(map(_learnt, runs))), "Cost": Table(COST, tuple(map(_cost, runs)))}
    figures = [Figure(title, f"{title} of each run", None, table) for title, table in tables.items()]
    return Section(TITLE, (*figures, *(figure for run in runs for figure in _figures(run))), NOTE)


def _learnt(run: Trained) -> tuple[Any, ...]:
    details, records = run.details, _part(run.details, "records")
    losses = {epoch.get("epoch"): epoch["val_loss"] for epoch in run.epochs if is_number(epoch.get("val_loss"))}
    best = min(losses, key=lambda epoch: losses[epoch], default=None)
    return (
        *(run.name, details.get("method"), details.get("preset") or None, run.state),
        _epochs(run),
        *(records.get("train"), records.get("val")),
        *(next(iter(losses.values()), None), None if best is None else losses[best], best),
    )


def _epochs(run: Trained) -> str | None:
    planned = _part(run.details, "config", "recipe").get("epochs")
    return None if run.state == "imported" else f"{len(run.epochs)} of {planned}"


def _cost(run: Trained) -> tuple[Any, ...]:
    """Return what all epochs cost: their seconds, the median throughput, and the highest memory."""
    spent, rates, memory = (
        [epoch[name] for epoch in run.epochs if is_number(epoch.get(name))]
        for name in ("seconds", "records_per_second", "peak_memory_gib")
    )
    return (
        *(run.name, _part(run.details, "config", "recipe").get("batch_size")),
        round(sum(spent), 1) if spent else None,
        round(statistics.median(rates), 1) if rates else None,
        round(max(memory), 3) if memory else None,
        *(run.details.get("precision"), _part(run.details, "environment").get("device")),
    )


def _figures(run: Trained) -> Iterator[Figure]:
    if run.epochs:
        yield loss_figure(run.name, run.epochs)
    table = Table(("setting", "value"), tuple(pair for pair in _flat(run.details) if pair[0] not in LEFT_OUT))
    yield Figure(f"{run.name}: settings and data", f"Settings and data of {run.name}", None, table, folded=True)


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each setting with its full name, such as ``config.recipe.lr``."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + str(name), ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _part(details: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return a mapping inside a config, empty if it is not there."""
    found: Any = details
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
