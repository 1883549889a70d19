"""A trained encoder that takes arrays, as ``ecgkit.load(RUN)`` returns it.

An array is processed in the same way, and by the same functions, as a store's records in a probe: the contract's
window, crops, filter and normalisation, then the mean of the features over the evaluation crops.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgkit.arrays.records import read_records
from ecgkit.arrays.store import EcgStore
from ecgkit.arrays.supplies import supplies_of
from ecgkit.arrays.views import view_of
from ecgkit.download.hub import local_folder, run_name
from ecgkit.entries import MethodEntry
from ecgkit.errors import SignalError
from ecgkit.evaluation.features.extract import RecordFeatures, extract
from ecgkit.methods import Batch, Encoder
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.views import SHORTEST, open_view
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.run import open_run, pick_device
from ecgkit.training.supply import open_supplies


@dataclass(frozen=True)
class EcgFeatures:
    """Features of records. The features of a single record have no batch axis B.

    Args:
        pooled: Representation of each record, float32 ``[B, D]``.
        leads: The L leads of the model's signal contract.
        present: bool ``[B, L]``, which of these leads the model was given.
        per_lead: Representation of each lead, ``[B, L, D]``; 0 for a lead that was not given. None if the encoder has
            none.
        tokens: Representation of each token, float16 ``[B, N, D]``, of the given leads and of all crops, one after the
            other. None if the encoder has none.
        token_real: bool ``[B, N]``, False for padding tokens.
        logits: Logits of the classes of an encoder with its own classifier, ``[B, C]``.
    """

    pooled: NDArray[np.float32]
    leads: tuple[str, ...]
    present: NDArray[np.bool_]
    per_lead: NDArray[np.float32] | None = None
    tokens: NDArray[np.float16] | None = None
    token_real: NDArray[np.bool_] | None = None
    logits: NDArray[np.float32] | None = None


class TrainedEncoder:
    """The encoder of a run, to be called with arrays.

    Args:
        name: Name of the run.
        entry: Entry of the method family.
        encoder: The encoder, an `ecgkit.methods.Encoder`.
        spec: Its signal contract.
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
        """The fields of `EcgFeatures` that this encoder fills."""
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
        batch_size: int | None = None,
    ) -> EcgFeatures:
        """Return features of one or several records, computed as ``ecgkit probe`` computes them.

        Args:
            signal: ``[L, T]`` or ``[B, L, T]``, NaN for a missing sample. Leads that the model does not know are left
                out. Some of the model's leads may be missing.
            fs: Sampling rate in Hz.
            leads: Names of the L rows, in any order, or a set such as ``12``.
            unit: ``mV``, ``uV``, ``V``, or ``NU`` if the amplitude is not calibrated.
            rpeaks: R peaks of each record as sample indices at `fs`, for an encoder that needs beats. Found by the
                default detector if left out.
            age: Age in years, for an encoder that needs it.
            sex: ``F`` or ``M``, for an encoder that needs it.
            derive: Whether to compute missing limb leads from I and II, as ingest does.
            batch_size: Number of records per batch.

        Raises:
            SignalError: Shape, numbers, rate or unit are not valid, or a record is shorter than 1 s.
            LeadError: A name is not a lead, or the model has none of the leads.
        """
        records = read_records(signal, fs, leads, unit, derive=derive)
        view = view_of(records, self.spec)
        supplies = supplies_of(self.encoder.needs, records, self.spec, rpeaks=rpeaks, age=age, sex=sex)
        rows = np.arange(len(records))
        found = extract(self.encoder, view, rows, self.features, supplies=supplies, batch_size=batch_size)
        return self._features(found, single=records.single)

    def of_store(self, store: EcgStore, progress: Callable[[int, int], None] | None = None) -> EcgFeatures:
        """Return features of all records of a store, computed from the view that every probe shares.

        Args:
            store: A store that `ecgkit.open_store` returned, or a part of it.
            progress: Called with batches done and batches in total.

        Raises:
            LeadError: The store has none of the model's leads.
            SignalError: A record has none of the model's leads, or is too short.
            StoreError: The store lacks what the encoder needs, such as beats.
        """
        view = open_view(store.store, self.spec)
        unusable = store.rows[~view.usable[store.rows]]
        if len(unusable):
            shown = store.store.table["record_id"].iloc[int(unusable[0])]
            raise SignalError(
                f"{len(unusable)} records without the model's leads, or shorter than {SHORTEST:g} s (first {shown})",
                remedy="Leave them out: store[usable].",
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
        """Return the model's input, one batch per evaluation crop: for an exported model, or for inspection.

        Args:
            signal: Records; all arguments are those of calling the encoder.
            fs: Sampling rate in Hz.
            leads: Names of the L rows.
            unit: Unit of the amplitude.
            more: Optional `rpeaks`, `age`, `sex` and `derive`.

        Returns:
            `ecgkit.methods.Batch` with ``signal [B, L, T]`` of the given leads, in the contract's order.
        """
        records = read_records(signal, fs, leads, unit, derive=more.pop("derive", True))
        view = view_of(records, self.spec)
        supplies = supplies_of(self.encoder.needs, records, self.spec, **more)
        rows = np.arange(len(records))
        offsets = self.spec.eval_offsets
        return [Windows(view, evaluation_starts(view, offset), supplies)[rows] for offset in offsets]

    def _features(self, found: RecordFeatures, *, single: bool) -> EcgFeatures:
        values: dict[str, Any] = {"present": found.present, **found.fields}
        if single:
            values = {name: value[0] for name, value in values.items()}
        return EcgFeatures(leads=found.leads, **values)


def load(run: str | Path, device: str = "cpu") -> TrainedEncoder:
    """Load the encoder of a run, to be called with arrays.

    Args:
        run: A run folder of ``ecgkit pretrain`` or ``ecgkit import-weights``, a folder of ``ecgkit export --hub``, or
            the address of such a folder on a Hugging Face hub, such as ``hf://ORG/NAME``. It is then downloaded.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        RunError: The folder is not a finished run, its weights do not fit, or the device does not exist.
        DownloadError: The address cannot be downloaded.
    """
    opened = open_run(local_folder(run))
    encoder = opened.encoder().to(pick_device(device))
    return TrainedEncoder(run_name(opened.path), opened.entry, encoder, opened.config.signal)
