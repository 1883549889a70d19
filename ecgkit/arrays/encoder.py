"""A trained encoder that takes arrays: ``ecgkit.load(RUN)``.

The array goes the way that a probe sends a store's records: the contract's window, crops, filter and scaling, and the
mean of the features over its evaluation crops, by the same functions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgkit.arrays.records import Records, read_records
from ecgkit.arrays.store import EcgStore
from ecgkit.arrays.supplies import supplies_of
from ecgkit.entries import MethodEntry
from ecgkit.errors import LeadError, SignalError
from ecgkit.evaluation.features.extract import RecordFeatures, extract
from ecgkit.methods import Batch, Encoder
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store.views import SHORTEST, View, open_view
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.run import open_run, pick_device
from ecgkit.training.supply import open_supplies


@dataclass(frozen=True)
class EcgFeatures:
    """Features of records; of one record without the batch axis B.

    Args:
        pooled: float32 ``[B, D]``, the representation of a record.
        leads: The L leads of the model's contract.
        present: bool ``[B, L]``, which of them the model was given.
        per_lead: ``[B, L, D]``, 0 for a lead that was not given; None where the encoder has none.
        tokens: float16 ``[B, N, D]``, of the leads that were given and of all crops, one after the other; None where
            the encoder has none.
        token_real: bool ``[B, N]``, which of them are no padding.
        logits: ``[B, C]``, of the classes of an encoder with a classifier of its own.
    """

    pooled: NDArray[np.float32]
    leads: tuple[str, ...]
    present: NDArray[np.bool_]
    per_lead: NDArray[np.float32] | None = None
    tokens: NDArray[np.float16] | None = None
    token_real: NDArray[np.bool_] | None = None
    logits: NDArray[np.float32] | None = None


class TrainedEncoder:
    """The encoder of a run, called with arrays.

    Args:
        name: Of the run.
        entry: The method family.
        encoder: The encoder, an `ecgkit.methods.Encoder`.
        spec: Its contract.
    """

    def __init__(self, name: str, entry: MethodEntry, encoder: Encoder, spec: SignalSpec) -> None:
        self.name = name
        self.entry = entry
        self.encoder = encoder.eval()
        self.spec = spec

    def __repr__(self) -> str:
        return f"<{self.entry.name} encoder {self.name!r}: {self.spec}; features {', '.join(self.features)}>"

    @property
    def width(self) -> int:
        """Width D of the features."""
        return self.encoder.width

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of `EcgFeatures.logits`; empty for an encoder without a classifier."""
        return self.encoder.classes

    @property
    def features(self) -> tuple[str, ...]:
        """Which fields of `EcgFeatures` it fills."""
        declared = self.entry.features
        has = {
            "pooled": True,
            "per_lead": "per_lead" in declared or {"tokens", "token_leads"} <= set(declared),
            "tokens": "tokens" in declared,
            "logits": bool(self.classes) and "logits" in declared,
        }
        return tuple(name for name, there in has.items() if there)

    def __call__(
        self,
        signal: ArrayLike,
        fs: float | None = None,
        leads: Sequence[str] | str | None = None,
        unit: str | None = None,
        *,
        rpeaks: Sequence[ArrayLike] | None = None,
        age: ArrayLike | None = None,
        sex: str | Sequence[str] | None = None,
        derive: bool = True,
        batch_size: int = 64,
    ) -> EcgFeatures:
        """Return features of one record or several, made as ``ecgkit probe`` makes them.

        Args:
            signal: ``[L, T]`` or ``[B, L, T]``, NaN where a sample is missing; leads that the model does not know are
                left out, and it may be given fewer than it knows.
            fs: Sampling rate in Hz.
            leads: Names of the L rows, in any order, or a set such as ``12``.
            unit: ``mV``, ``uV``, ``V``, or ``NU`` where the amplitude is not calibrated.
            rpeaks: For an encoder that needs beats, R peaks of each record as sample indices at `fs`; found by the
                default detector if left out.
            age: For an encoder that needs it, years.
            sex: For an encoder that needs it, ``F`` or ``M``.
            derive: Compute missing limb leads from I and II, as ingest does.
            batch_size: Records at a time.

        Raises:
            SignalError: Shape, numbers, rate or unit cannot be, or a record is shorter than 1 s.
            LeadError: A name is no lead, or none of them is the model's.
        """
        records = read_records(signal, fs, leads, unit, derive=derive)
        view = self._view(records)
        supplies = supplies_of(self.encoder.needs, records, self.spec, rpeaks=rpeaks, age=age, sex=sex)
        rows = np.arange(len(records))
        found = extract(self.encoder, view, rows, self.features, supplies=supplies, batch_size=batch_size)
        return self._features(found, single=records.single)

    def of_store(self, store: EcgStore, progress: Callable[[int, int], None] | None = None) -> EcgFeatures:
        """Return features of all records of a store, through the view that every probe shares.

        Args:
            store: What `ecgkit.open_store` gave, or a part of it.
            progress: Called with batches done and in all.

        Raises:
            LeadError: The store has none of the model's leads.
            SignalError: A record has none of them, or hardly any signal.
            StoreError: The store lacks what the encoder needs, such as beats.
        """
        view = open_view(store.store, self.spec)
        unusable = store.rows[~view.usable[store.rows]]
        if len(unusable):
            shown = store.store.table["record_id"].iloc[int(unusable[0])]
            raise SignalError(
                f"{len(unusable)} records without the model's leads, or shorter than {SHORTEST:g} s (first {shown})",
                "records that the model can read",
                "Leave them out: store[usable].",
            )
        supplies = open_supplies(self.encoder.needs, store.store, view, owner=self.entry.name)
        found = extract(self.encoder, view, store.rows, self.features, supplies=supplies, progress=progress)
        return self._features(found, single=False)

    def input(
        self,
        signal: ArrayLike,
        fs: float | None = None,
        leads: Sequence[str] | str | None = None,
        unit: str | None = None,
        **more: Any,
    ) -> list[Batch]:
        """Return what the model eats, a batch an evaluation crop: for an exported model, or to look at.

        Args:
            signal: As for calling the encoder, as all others are.
            fs: Sampling rate in Hz.
            leads: Names of the rows.
            unit: Of the amplitude.
            more: `rpeaks`, `age`, `sex` and `derive`.

        Returns:
            `ecgkit.methods.Batch` with ``signal [B, L, T]`` of the leads that are there, in the contract's order.
        """
        records = read_records(signal, fs, leads, unit, derive=more.pop("derive", True))
        view = self._view(records)
        supplies = supplies_of(self.encoder.needs, records, self.spec, **more)
        rows = np.arange(len(records))
        offsets = self.spec.eval_offsets
        return [Windows(view, evaluation_starts(view, offset), supplies)[rows] for offset in offsets]

    def _view(self, records: Records) -> View:
        """Return the records as the contract sees them, before the crop, as `open_view` does of a store."""
        spec, B = self.spec, len(records)
        present = np.isin(spec.leads, records.leads)
        if not present.any():
            raise LeadError(f"leads {', '.join(records.leads)}", f"at least one of {', '.join(spec.leads)}")
        if records.samples < SHORTEST * records.fs:
            raise SignalError(f"records of {records.samples / records.fs:.3g} s", f"at least {SHORTEST:g} s")
        rows = [records.leads.index(lead) for lead in np.array(spec.leads)[present]]
        window, length = window_of(records.signal[:, rows], records.fs, spec)
        signal = np.zeros((B, len(spec.leads), spec.window_samples), np.float32)
        signal[:, present] = window
        return View(spec, signal, np.tile(present, (B, 1)), np.full(B, length))

    def _features(self, found: RecordFeatures, *, single: bool) -> EcgFeatures:
        values: dict[str, Any] = {"present": found.present, **found.fields}
        if single:
            values = {name: value[0] for name, value in values.items()}
        return EcgFeatures(leads=found.leads, **values)


def load(run: str | Path, device: str = "cpu") -> TrainedEncoder:
    """Load the encoder of a run, to be called with arrays.

    Args:
        run: A run folder of ``ecgkit pretrain`` or ``ecgkit import-weights``, or a folder of
            ``ecgkit export --hub``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        RunError: It is not a finished run, its weights do not fit, or there is no such device.
    """
    opened = open_run(Path(run))
    encoder = opened.encoder().to(pick_device(device))
    return TrainedEncoder(opened.path.resolve().name, opened.entry, encoder, opened.config.signal)
