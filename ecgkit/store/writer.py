"""Writing a store: records are appended in order, each shard is written once and whole."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from ecgkit.leads import limb_residuals
from ecgkit.recording import Recording
from ecgkit.store import format as fmt

RECORDS = "records.parquet"
LEDGER = "ledger.parquet"


@dataclass(frozen=True)
class LedgerRow:
    """A record that could not be taken in.

    Args:
        record_id: Its id in the dataset.
        path: Its path relative to the source folder.
        stage: Where it failed: ``table``, ``header``, ``signal`` or ``leads``.
        reason: Why, in words.
    """

    record_id: str
    path: str
    stage: str
    reason: str


class StoreWriter:
    """Appends recordings to a new store in an empty folder; `close` makes it readable.

    Args:
        folder: An empty folder.
        leads: Canonical names of the lead axis; a recording may lack some.
        samples: Length of the time axis, the longest recording's.
    """

    def __init__(self, folder: Path, *, leads: tuple[str, ...], samples: int) -> None:
        self.folder = folder
        self.leads = leads
        self.samples = samples
        chunk, self._shard = fmt.chunk_and_shard(len(leads), samples)
        self._group = zarr.open_group(folder, mode="w", zarr_format=3)
        self._array = self._group.create_array(
            "signal",
            shape=(0, len(leads), samples),
            chunks=(chunk, len(leads), samples),
            shards=(self._shard, len(leads), samples),
            dtype="int16",
            fill_value=int(fmt.MISSING),
            compressors=BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),
            dimension_names=("record", "lead", "time"),
        )
        self._pending: list[NDArray[np.int16]] = []
        self._rows: list[dict[str, Any]] = []
        self._ledger: list[LedgerRow] = []

    def append(self, recording: Recording, row: Mapping[str, Any]) -> None:
        """Add one recording with its row of the record table.

        Args:
            recording: Its leads must be among the store's and its length within the store's.
            row: Further columns: ids, labels, report and whatever the dataset has.
        """
        stored = np.full((len(self.leads), self.samples), fmt.MISSING)
        samples = recording.samples
        encoded, clipped = (recording.stored, 0) if recording.stored is not None else fmt.encode(recording.signal)
        stored[[self.leads.index(lead) for lead in recording.leads], :samples] = encoded
        self._rows.append(
            {
                **row,
                "fs": float(recording.fs),
                "samples": samples,
                "leads": list(recording.leads),
                "derived_leads": list(recording.derived),
                "source_leads": list(recording.source_leads),
                "other_signals": list(recording.other),
                "unit": recording.unit,
                "missing_samples": int(np.count_nonzero(encoded == fmt.MISSING)),
                "clipped_samples": clipped,
                "limb_residual": _limb_residual(recording),
                "sha256": fmt.waveform_hash(encoded),
                "rpeaks": None if recording.rpeaks is None else recording.rpeaks.astype(np.int32).tolist(),
            }
        )
        self._pending.append(stored)
        if len(self._pending) == self._shard:
            self._flush()

    def reject(self, row: LedgerRow) -> None:
        """Write down a record that could not be taken in."""
        self._ledger.append(row)

    def close(self, attributes: Mapping[str, Any]) -> str:
        """Write what is pending, the tables and the attributes; return the content hash of the store."""
        self._flush()
        table = pd.DataFrame(self._rows)
        table.to_parquet(self.folder / RECORDS, index=False)
        ledger = pd.DataFrame([asdict(row) for row in self._ledger], columns=list(LedgerRow.__annotations__))
        ledger.astype(str).to_parquet(self.folder / LEDGER, index=False)
        content = hashlib.sha256(json_lines(table)).hexdigest()
        self._group.attrs.update(
            {
                "format": fmt.FORMAT,
                "version": fmt.VERSION,
                **attributes,
                "leads": list(self.leads),
                "missing": int(fmt.MISSING),
                "scale": fmt.UNITS_PER_MV,
                "content_sha256": content,
            }
        )
        return content

    def _flush(self) -> None:
        if not self._pending:
            return
        start = self._array.shape[0]
        self._array.resize((start + len(self._pending), len(self.leads), self.samples))
        self._array[start:] = np.stack(self._pending)
        self._pending.clear()


def _limb_residual(recording: Recording) -> float:
    """Return how far the worst recorded limb lead is from what I and II say, NaN where none can be checked."""
    recorded = recording.only(tuple(lead for lead in recording.leads if lead not in recording.derived))
    return max(limb_residuals(recorded.signal, recorded.leads).values(), default=float("nan"))


def json_lines(table: pd.DataFrame) -> bytes:
    """Return the record table as JSON lines, the text over which a store's content hash is taken.

    The waveforms enter it by their own hashes.
    """
    return str(table.to_json(orient="records", lines=True, date_format="iso")).encode()
