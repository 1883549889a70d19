"""Quality measures of the records of a chunk, whatever their rates, lengths and scalings."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.signal.microvolts import LIMIT, UNITS_PER_MV, Scaling, decode, encode
from ecgkit.signal.quality import MEASURES, Measures, measure
from ecgkit.store import format as fmt
from ecgkit.store.chunk import Signals


def record_quality(signals: Signals, leads: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Measures:
    """Measure records.

    Args:
        signals: int16 ``[R, L, T]``, or a list of ``[L, T]``.
        leads: Canonical names of the L rows.
        rows: Rows of the record table, one per record: fs, samples, leads, derived leads, unit and scaling.

    Returns:
        Each measure as float32 ``[R, L]``, NaN for a lead that a record lacks.
    """
    shape = (len(rows), len(leads))
    quality = {name: np.full(shape, np.nan, np.float32) for name in MEASURES}
    scalings = [fmt.scaling_of(row) for row in rows]
    kinds = [(row["fs"], row["samples"], scaling is None) for row, scaling in zip(rows, scalings, strict=True)]
    for fs, samples, is_plain in sorted(set(kinds)):
        same = [n for n, kind in enumerate(kinds) if kind == (fs, samples, is_plain)]
        if is_plain:
            _put(quality, same, measure(_block(signals, same)[..., :samples], fs, leads))
            continue
        for n in same:
            scaling = _on_axis(scalings[n], rows[n]["leads"], leads)
            _put(quality, [n], _measure_scaled(signals[n][:, :samples], scaling, fs, leads))
    # Leads derived from I and II cannot contradict them. Leads without a unit may be scaled one by one.
    told = _among(leads, [() if row["unit"] != "mV" else row["leads"] for row in rows])
    told &= ~_among(leads, [row["derived_leads"] for row in rows])
    quality["residual"][~told] = np.nan
    present = _among(leads, [row["leads"] for row in rows])
    for values in quality.values():
        values[~present] = np.nan
    return quality


def _put(quality: Measures, rows: list[int], measured: Measures) -> None:
    for name, values in measured.items():
        quality[name][rows] = values


def _block(signals: Signals, rows: list[int]) -> NDArray[np.int16]:
    if isinstance(signals, list):
        return signals[rows[0]][None] if len(rows) == 1 else np.stack([signals[row] for row in rows])
    return signals if len(rows) == len(signals) else signals[rows]  # usually all are alike, and nothing is copied


def _on_axis(scaling: Scaling | None, own: Sequence[str], leads: Sequence[str]) -> Scaling:
    """Return a record's scaling for each lead of the store; whole microvolts for a lead that the record lacks."""
    known = scaling or Scaling.plain(len(own))
    rows = {lead: row for row, lead in enumerate(own)}
    parts = [known.of([rows[lead]]) if lead in rows else Scaling.plain(1) for lead in leads]
    return sum(parts, Scaling((), ()))


def _measure_scaled(stored: NDArray[np.int16], scaling: Scaling, fs: float, leads: Sequence[str]) -> Measures:
    """Measure one record ``[L, T]``: each lead on its own counts, and how leads agree on counts of one common step."""
    each = [
        measure(stored[None, n : n + 1], fs, (lead,), UNITS_PER_MV / max(scaling.steps[n], 1e-9))
        for n, lead in enumerate(leads)
    ]
    measured = {name: np.concatenate([one[name] for one in each], axis=1) for name in MEASURES}
    signal = decode(stored, np.float64, scaling=scaling)
    known = np.isfinite(signal).sum(1, keepdims=True)
    around = signal - np.nansum(signal, 1, keepdims=True) / np.maximum(known, 1)
    largest = float(np.nanmax(np.abs(around), initial=0.0))
    common, _ = encode(around, LIMIT / largest if largest else UNITS_PER_MV)
    measured["residual"] = measure(common[None], fs, leads)["residual"]
    return measured


def _among(leads: Sequence[str], named: Sequence[Collection[str]]) -> NDArray[np.bool_]:
    """Return bool ``[R, L]``: whether a record names a lead. Most records name the same leads."""
    known = {key: [lead in key for lead in leads] for key in {tuple(names) for names in named}}
    return np.array([known[tuple(names)] for names in named], bool).reshape(len(named), len(leads))
