"""Supplies: the contents of a batch besides the signal, one supply per need, read from the store by row.

A method names its needs in its entry, and an encoder in its class. The loader supplies only these.
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.beats.peaks import Peaks, read_peaks
from ecgkit.entries import SupplyEntry
from ecgkit.errors import StoreError
from ecgkit.knowledge.labels import read_labels
from ecgkit.knowledge.source import EntitySource
from ecgkit.plugins import host
from ecgkit.store.pair import StorePair
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.text.reports import report_table
from ecgkit.training.preparation import command_of, extraction_for, setting_of

THE_ONLY = EntitySource()  # the only extraction of a store
UNREAD = 255  # of an entity: nothing is known of it in this record


class Supply(Protocol):
    """The values of one need."""

    def at(self, rows: NDArray[np.int64], starts: NDArray[np.int64]) -> Any:
        """Return the value in `Batch.extra` for these rows of the store, cropped at `starts` (view samples)."""


@dataclass(frozen=True)
class Labels:
    """Targets of a task.

    Args:
        targets: float ``[R, C]`` of 0 and 1 over all rows of the store; rows outside the task are never read.
    """

    targets: Tensor

    @classmethod
    def of(cls, data: TaskData, records: int) -> "Labels":
        """Spread a task's targets over the rows of its store."""
        targets = torch.zeros(records, len(data.labels))
        targets[torch.from_numpy(data.rows)] = torch.from_numpy(data.targets).float()
        return cls(targets)

    def at(self, rows: NDArray[np.int64], starts: NDArray[np.int64]) -> Tensor:
        """Return float ``[B, C]``."""
        return self.targets[torch.from_numpy(rows)]


@dataclass(frozen=True)
class Beats:
    """R peaks of a store.

    Args:
        peaks: The peaks.
        samples: Length of a crop.
        fs: Rate of the crops in Hz.
    """

    peaks: Peaks
    samples: int
    fs: float

    def at(self, rows: NDArray[np.int64], starts: NDArray[np.int64]) -> Tensor:
        """Return int ``[B, P]``, positions inside the crops, -1 for none."""
        return torch.from_numpy(self.peaks.at(rows, starts, self.samples, self.fs))


@dataclass(frozen=True)
class OfTwo:
    """The supply of one need for two stores that are read as one.

    Args:
        first: Supply of the first store.
        other: Supply of the second store, whose rows follow those of the first.
        begins: Number of rows of the first store.
    """

    first: Supply
    other: Supply
    begins: int

    def at(self, rows: NDArray[np.int64], starts: NDArray[np.int64]) -> Tensor:
        """Return ``[B, n]``; if the stores give different widths, as for beats, the shorter rows are padded with -1."""
        parts = []
        for supply, here, begins in (
            (self.first, rows < self.begins, 0),
            (self.other, rows >= self.begins, self.begins),
        ):
            if here.any():
                parts.append((torch.from_numpy(here), supply.at(rows[here] - begins, starts[here])))
        width = max(values.shape[1] for _, values in parts)
        out = parts[0][1].new_full((len(rows), width), -1)
        for at, values in parts:
            out[at, : values.shape[1]] = values
        return out


@dataclass(frozen=True)
class ByRow:
    """A supply of fixed values per record, such as the index of its report or its entities.

    Args:
        values: ``[R, ...]`` over all rows of the store.
    """

    values: Tensor

    def at(self, rows: NDArray[np.int64], starts: NDArray[np.int64]) -> Tensor:
        """Return ``[B, ...]``."""
        return self.values[torch.from_numpy(rows)]


def demographics(store: Store) -> Tensor:
    """Return float ``[R, 2]``: age in years, and 1 for female, 0 for male; NaN where it is not known."""
    sex = store.table["sex"].map({"F": 1.0, "M": 0.0})
    columns = [store.table["age"].to_numpy(np.float32, na_value=np.nan), sex.to_numpy(np.float32, na_value=np.nan)]
    return torch.from_numpy(np.stack(columns, axis=1))


def entity_values(store: Store, source: EntitySource = THE_ONLY) -> NDArray[np.uint8]:
    """Return uint8 ``[R, Q]``: 0 absent, 1 present, 2 uncertain, `UNREAD` for a record without a whole report.

    Raises:
        StoreError: The store lacks the extraction, holds several and `source` names none, or the extraction holds other
            entities than `source`.
    """
    name = extraction_for(store, source)
    entities = read_labels(store, name)
    if source.names and source.names != entities.names:
        raise StoreError(
            f"extraction {name} of {store.path} holds other entities than the model was trained on",
            remedy="Give a store that was read with the same vocabulary.",
        )
    return np.where(entities.complete[:, None], entities.values, np.uint8(UNREAD))


def open_beats(store: Store, view: View, data: TaskData | None) -> Supply:
    """Open the R peaks of a store."""
    return Beats(read_peaks(store), view.spec.samples, view.spec.fs)


def open_reports(store: Store, view: View, data: TaskData | None) -> Supply:
    """Open the index of each record's unique report, int64 ``[B]``; see `ecgkit.text.reports`."""
    return ByRow(torch.from_numpy(report_table(store).index))


def open_entities(store: Store, view: View, data: TaskData | None, source: EntitySource) -> Supply:
    """Open the state of each entity in the reports; see `entity_values`."""
    return ByRow(torch.from_numpy(entity_values(store, source)))


def open_labels(store: Store, view: View, data: TaskData | None) -> Supply:
    """Open the targets of a task.

    Raises:
        StoreError: No task is named.
    """
    if data is None:
        raise StoreError(
            "the method is trained on the labels of a task, and no task is named",
            remedy=f"Name one with: pretrain --task NAME. List those that fit the store with: "
            f"ecgkit tasks --data {shlex.quote(str(store.path))}",
        )
    return Labels.of(data, len(store))


def open_demographics(store: Store, view: View, data: TaskData | None) -> Supply:
    """Open age and sex; see `demographics`."""
    return ByRow(demographics(store))


def open_patients(store: Store, view: View, data: TaskData | None) -> Supply:
    """Open the patient index of each record, int64 ``[B]``; see `patient_numbers`."""
    return ByRow(torch.from_numpy(patient_numbers(store)))


def patient_numbers(store: Store) -> NDArray[np.int64]:
    """Return the patient index of each record, int64 ``[R]``; a recording of unknown patient has its own index."""
    return np.unique(store.units, return_inverse=True)[1].ravel().astype(np.int64)


def supply_entries() -> dict[str, SupplyEntry]:
    """Return the entries of all registered supplies by name."""
    return host().entries(SupplyEntry)


def open_supplies(
    needs: Iterable[str],
    store: Store,
    view: View,
    data: TaskData | None = None,
    *,
    owner: str = "the model",
    config: Any = None,
) -> dict[str, Supply]:
    """Open a supply for every need besides the signal.

    Args:
        needs: ``signal``, and names of supplies (`ecgkit.entries.SupplyEntry`).
        store: The store.
        view: The store under the model's contract.
        data: The task that gives the labels, if any.
        owner: Name of the method or encoder that needs them, for the error.
        config: The method's config, which may choose among the values of a store.

    Raises:
        StoreError: The store lacks a need; the message names the command that adds it.
        PluginError: No supply has this name.
    """
    if isinstance(store, StorePair):
        return _join_supplies(list(needs), store, view, owner)
    supplies: dict[str, Supply] = {}
    for need in needs:
        if need != "signal":
            entry = host().get(SupplyEntry, need)
            supply = entry.load()(store, view, data, *setting_of(entry, config))
            if supply is None:
                raise StoreError(
                    f"{store.path} holds no {need}, which {owner} needs",
                    remedy=f"Add them with: {command_of(entry, store)}",
                )
            supplies[need] = supply
    return supplies


def _join_supplies(needs: Sequence[str], store: StorePair, view: View, owner: str) -> dict[str, Supply]:
    """Open the supplies of two stores that are read as one."""
    entries = supply_entries()
    refused = sorted(need for need in set(needs) - {"signal"} if not (need in entries and entries[need].joinable))
    if refused:
        joinable = ", ".join(name for name, entry in entries.items() if entry.joinable)
        raise StoreError(
            f"{owner} reads {', '.join(refused)}, whose values cannot be compared between the stores {store.name}",
            remedy=f"A test on another store needs a model that reads only signals, {joinable}.",
        )
    first, other = (open_supplies(needs, part, view, owner=owner) for part in (store.first, store.other))
    return {need: OfTwo(first[need], other[need], len(store.first)) for need in first}
