"""Supplies of encoders (inputs besides the signal), computed from arrays instead of a store."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ecgkit.arrays.records import Records
from ecgkit.beats.detector import Detector
from ecgkit.beats.peaks import Peaks
from ecgkit.errors import RunError, SignalError
from ecgkit.signal.spec import SignalSpec
from ecgkit.training.supply import Beats, ByRow, Supply

SEXES = {"F": 1.0, "M": 0.0}


def supplies_of(
    needs: Sequence[str],
    records: Records,
    spec: SignalSpec,
    *,
    rpeaks: Sequence[ArrayLike] | None = None,
    age: ArrayLike | None = None,
    sex: str | Sequence[str] | None = None,
) -> dict[str, Supply]:
    """Return the supply for every need of an encoder.

    Args:
        needs: Needs of the encoder.
        records: The records.
        spec: The signal contract.
        rpeaks: R peaks of each record as sample indices at its own rate. Found by the default detector if left out.
        age: Age of each record's patient in years; unknown if left out.
        sex: Sex of each record's patient, ``F`` or ``M``; anything else is unknown.

    Raises:
        RunError: The encoder has a need that arrays cannot provide.
        SignalError: Peaks, ages or sexes do not fit the records.
    """
    known: dict[str, Supply] = {}
    if "beats" in needs:
        known["beats"] = Beats(_peaks(records, rpeaks), spec.samples, spec.fs)
    if "demographics" in needs:
        known["demographics"] = ByRow(_demographics(len(records), age, sex))
    strange = [need for need in needs if need not in known and need != "signal"]
    if strange:
        raise RunError(
            f"arrays cannot provide {', '.join(strange)}, which the encoder reads", remedy="Probe it on a store."
        )
    return known


def _peaks(records: Records, rpeaks: Sequence[ArrayLike] | None) -> Peaks:
    found = _detect(records) if rpeaks is None else _given(records, rpeaks)
    offsets = np.concatenate([[0], np.cumsum([len(peaks) for peaks in found])]).astype(np.int64)
    rates = np.full(len(records), records.fs)
    return Peaks(np.concatenate(found), offsets, rates, np.full(len(records), ""))


def _detect(records: Records) -> list[NDArray[np.int64]]:
    """Find R peaks in the way of ``ecgkit beats`` with its default detector."""
    detector = Detector()
    leads = detector.choose_leads(records.leads)
    signal = records.signal[:, [records.leads.index(lead) for lead in leads]]
    return [peaks for peaks, _ in detector.find(signal, records.fs, leads)]


def _given(records: Records, rpeaks: Sequence[ArrayLike]) -> list[NDArray[np.int64]]:
    # The peaks of a single record may be given without a list around them, like the record itself.
    lists = [rpeaks] if records.single and (len(rpeaks) == 0 or np.ndim(rpeaks[0]) == 0) else list(rpeaks)
    if len(lists) != len(records):
        raise SignalError(f"R peaks are given for {len(lists)} records, not for {len(records)}")
    peaks = [np.unique(np.asarray(one, np.float64).astype(np.int64)) for one in lists]
    for number, one in enumerate(peaks):
        if len(one) and not 0 <= one[0] <= one[-1] < records.samples:
            raise SignalError(f"an R peak of record {number} is outside its {records.samples} samples")
    return peaks


def _demographics(records: int, age: ArrayLike | None, sex: str | Sequence[str] | None) -> torch.Tensor:
    """Return float ``[B, 2]``: age in years, and sex as 1 for female, 0 for male; NaN if unknown."""
    ages = np.full(records, np.nan) if age is None else np.atleast_1d(np.asarray(age, np.float64))
    sexes = [""] * records if sex is None else [sex] if isinstance(sex, str) else list(sex)
    if len(ages) != records or len(sexes) != records:
        raise SignalError(f"{len(ages)} ages and {len(sexes)} sexes for {records} records", "one of each per record")
    coded = [SEXES.get(str(one), np.nan) for one in sexes]
    return torch.from_numpy(np.stack([ages, coded], axis=1).astype(np.float32))
