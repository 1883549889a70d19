"""Convert arrays to the form in which a store holds records: mV, leads by name, derived limb leads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgkit.datasets.channels import NO_UNIT, microvolts_of
from ecgkit.errors import LeadError, SignalError
from ecgkit.leads import LEADS, derive_limb_leads, find_lead, parse_leads
from ecgkit.signal.microvolts import UNITS_PER_MV

SHAPES = "[L, T] for one record or [B, L, T] for several, leads before samples"


@dataclass(frozen=True)
class Records:
    """Records of one sampling rate, length and lead set.

    Args:
        signal: float32 ``[B, L, T]`` in mV, NaN for a missing sample.
        fs: Sampling rate in Hz.
        leads: Canonical names of the L rows; derived leads come last.
        single: Whether one record was given without a batch axis.
    """

    signal: NDArray[np.float32]
    fs: float
    leads: tuple[str, ...]
    single: bool

    def __len__(self) -> int:
        return len(self.signal)

    @property
    def samples(self) -> int:
        """Number of samples per lead, T."""
        return self.signal.shape[-1]


def read_records(
    signal: ArrayLike, fs: float | None, leads: Sequence[str] | str | None, unit: str | None, *, derive: bool = True
) -> Records:
    """Check an array and its description, and convert it.

    Args:
        signal: ``[L, T]`` or ``[B, L, T]``, integers or floating point, NaN for a missing sample.
        fs: Sampling rate in Hz.
        leads: Names of the L rows, in any spelling that `ecgkit.leads.find_lead` knows, or a set such as ``12``. A row
            named with a minus, such as ``-aVR``, is inverted.
        unit: ``mV``, ``uV``, ``V``, or ``NU`` if the amplitude is not calibrated.
        derive: Whether to compute missing ones of III, aVR, aVL and aVF from I and II, as ingest does.

    Raises:
        SignalError: Shape, numbers, rate or unit are not valid.
        LeadError: A name is not a lead, or occurs twice.
    """
    values, single = _numbers(signal)
    rate = _rate(fs)
    names, signs = _lead_rows(leads, values.shape)
    scale = _scale(unit) * np.array(signs)[:, None]
    millivolts = values.astype(np.float64) * scale / UNITS_PER_MV
    # Without a unit each lead may have been scaled on its own, so no lead can be derived from I and II.
    if derive and str(unit).lower() != NO_UNIT:
        millivolts, names, _ = derive_limb_leads(millivolts, names)
    return Records(millivolts.astype(np.float32), rate, names, single)


def _numbers(signal: ArrayLike) -> tuple[NDArray[Any], bool]:
    try:
        values = np.asarray(signal)
    except ValueError:
        raise SignalError("rows of different lengths", f"an array {SHAPES}") from None
    if values.dtype.kind not in "fiu":
        raise SignalError(f"a signal of type {values.dtype}", "whole or floating numbers")
    single = values.ndim == 2
    batch = values[None] if single else values
    if batch.ndim != 3 or 0 in batch.shape:
        raise SignalError(f"a signal of shape {list(values.shape)}", SHAPES)
    if np.isinf(batch).any():
        raise SignalError("infinite samples", "numbers, and NaN where a sample is missing")
    missing = np.isnan(batch).all((1, 2))
    if missing.any():
        raise SignalError(f"every sample of record {int(np.flatnonzero(missing)[0])} is missing (NaN)")
    return batch, single


def _rate(fs: float | None) -> float:
    if fs is None:
        raise SignalError("the sampling rate fs is missing", remedy="Give it in Hz, such as fs=500.")
    if not isinstance(fs, int | float | np.integer | np.floating) or not (np.isfinite(fs) and fs > 0):
        raise SignalError(f"fs {fs!r}", "a positive number of Hz, such as fs=500")
    return float(fs)


def _lead_rows(leads: Sequence[str] | str | None, shape: tuple[int, ...]) -> tuple[tuple[str, ...], list[int]]:
    """Return the canonical name of each row and its sign."""
    L, T = shape[1:]
    if leads is None:
        raise LeadError("lead names are missing", remedy=f"Name the {L} rows: leads=['I', 'II', ...] or leads='12'.")
    given = parse_leads(leads) if isinstance(leads, str) else tuple(leads)
    if len(given) != L:
        turned = "The array seems to be [T, L]: transpose it." if len(given) == T else ""
        raise LeadError(f"{len(given)} lead names for a signal with {L} rows", "one per row", turned)
    found = [find_lead(name) if isinstance(name, str) else None for name in given]
    unknown = [name for name, lead in zip(given, found, strict=True) if lead is None]
    if unknown:
        raise LeadError(f"lead {unknown[0]!r} is unknown", "some of " + " ".join(LEADS))
    rows = [lead for lead in found if lead is not None]
    names = tuple(name for name, _ in rows)
    if len(set(names)) < L:
        raise LeadError(f"leads {', '.join(given)} name a lead twice")
    return names, [sign for _, sign in rows]


def _scale(unit: str | None) -> float:
    """Return microvolts per unit; for a unit that is not one of voltage, its thousandths per unit."""
    expected = "mV, uV, V, or NU for an amplitude without calibration"
    if unit is None:
        raise SignalError("the unit of the signal is missing", expected)
    scale = 1000 if str(unit).lower() == NO_UNIT else microvolts_of(str(unit))
    if not scale:
        raise SignalError(f"unit {unit!r}", expected)
    return float(scale)
