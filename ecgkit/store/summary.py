"""Counts over a store: records, labels, quality, and the overlap of two stores."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.parquet import WideTable
from ecgkit.signal.quality import FLAGS, flagged
from ecgkit.store.format import OFFSETS, STEPS
from ecgkit.store.identity import JOINED
from ecgkit.store.reader import Store


@dataclass(frozen=True)
class StoreSummary:
    """Counts over a store's record table.

    Args:
        dataset: Layout that the store was made from.
        records: Number of records.
        patients: Number of patients; 0 if no ids are known.
        leads: Number of records by lead.
        derived: Number of records by lead that was computed from I and II.
        rates: Number of records by sampling rate in Hz.
        seconds: Lengths of the shortest and the longest record in s.
        units: Number of records by unit.
        folds: Number of records by fold.
        code_system: Code system of the labels.
        labels: Number of records by code, the most frequent first.
        reports: Number of records with a report.
        rpeaks: Number of records with reference R peaks.
        clipped: Number of records with infinite samples, or, in a store of an earlier release, with samples beyond
            +-32.767 mV. They were clipped.
        rescaled: Number of records with a lead in steps other than a microvolt.
        offset: Number of records with a lead that has an offset of its own.
        flags: Number of records by quality flag.
        duplicates: Number of records with the same waveform as an earlier record.
        rejected: Number of ledger rows by stage.
        sha256: Content hash.
    """

    dataset: str
    records: int
    patients: int
    leads: dict[str, int]
    derived: dict[str, int]
    rates: dict[str, int]
    seconds: tuple[float, float]
    units: dict[str, int]
    folds: dict[str, int]
    code_system: str
    labels: dict[str, int]
    reports: int
    rpeaks: int
    clipped: int
    rescaled: int
    offset: int
    flags: dict[str, int]
    duplicates: int
    rejected: dict[str, int]
    sha256: str


def summarize(store: Store) -> StoreSummary:
    """Count what a store holds."""
    table = store.table
    seconds = table["samples"] / table["fs"]
    leads, flags = _count_members(table["leads"]), _count_members(table["flags"])
    return StoreSummary(
        dataset=str(store.attributes["dataset"]),
        records=len(table),
        patients=int(table["patient_id"].nunique()),
        leads={lead: leads.get(lead, 0) for lead in store.leads},
        derived=_count_members(table["derived_leads"]),
        rates={f"{fs:g}": int(n) for fs, n in table["fs"].value_counts().sort_index().items()},
        seconds=(float(seconds.min()), float(seconds.max())),
        units={str(unit): int(n) for unit, n in table["unit"].value_counts().items()},
        folds={str(fold): int(n) for fold, n in table["fold"].value_counts().sort_index().items()},
        code_system=store.code_system,
        labels=dict(Counter(_count_members(table["labels"])).most_common()),
        reports=int(table["report"].notna().sum()),
        rpeaks=int(table["rpeaks"].notna().sum()),
        clipped=int((table["clipped_samples"] > 0).sum()),
        rescaled=_count_other(table, STEPS, 1.0),
        offset=_count_other(table, OFFSETS, 0.0),
        flags={flag: flags[flag] for flag in FLAGS if flag in flags},
        duplicates=int(table["sha256"].duplicated().sum()),
        rejected={str(stage): int(n) for stage, n in store.ledger["stage"].value_counts().items()},
        sha256=store.content_hash,
    )


@dataclass(frozen=True)
class FlagCount:
    """Number of records with a quality flag.

    Args:
        flag: Name of the flag.
        meaning: Condition under which it is raised.
        records: Number of records with the flag in any lead.
        leads: Number of records with the flag by lead; leads without it are left out.
    """

    flag: str
    meaning: str
    records: int
    leads: dict[str, int]


def lead_flags(store: Store) -> dict[str, NDArray[np.bool_]]:
    """Return each of `FLAGS` as bool ``[R, L]``, computed from the stored quality measures."""
    table = store.table
    return flagged(store.quality, (table["samples"] / table["fs"]).to_numpy(), (table["unit"] == "mV").to_numpy())


def count_flags(store: Store) -> list[FlagCount]:
    """Count all quality flags of a store, in the order of `FLAGS`."""
    counts = []
    for flag, on in lead_flags(store).items():
        leads = {lead: int(n) for lead, n in zip(store.leads, on.sum(0), strict=True) if n}
        counts.append(FlagCount(flag, FLAGS[flag], int(on.any(1).sum()), leads))
    return counts


@dataclass(frozen=True)
class Overlap:
    """The overlap of two stores.

    Args:
        waveforms: Pairs of record ids, from the first and the second store, with the same waveform.
        patients: Patients in both stores, as ``DATASET:ID``, since ids of different datasets mean different people.
        records: Number of records of these patients in each store.
        comparable: Whether both stores may hold records of one dataset.
    """

    waveforms: list[tuple[str, str]]
    patients: list[str]
    records: tuple[int, int]
    comparable: bool


def overlap(first: Store, second: Store) -> Overlap:
    """Find the overlap of two stores: records by waveform, and patients by id.

    Two waveforms are the same if rate, leads and every stored sample are equal. If the stores were cut or resampled
    differently, only the patients can show an overlap.
    """
    columns = ["sha256", "fs", "record_id"]
    same = first.table[columns].merge(second.table[columns], on=["sha256", "fs"])
    of_first, of_second = pd.Series(first.patients), pd.Series(second.patients)
    shared = sorted(set(of_first.dropna()) & set(of_second.dropna()))
    datasets = {first.attributes["dataset"], second.attributes["dataset"]}
    return Overlap(
        waveforms=list(zip(same["record_id_x"], same["record_id_y"], strict=True)),
        patients=shared,
        records=(int(of_first.isin(shared).sum()), int(of_second.isin(shared).sum())),
        comparable=len(datasets) == 1 or JOINED in datasets,
    )


def _count_other(table: WideTable, column: str, plain: float) -> int:
    """Return the number of rows whose list in a column has a value other than that of whole microvolts."""
    lists = table[column].dropna() if column in table else ()
    return sum(any(value != plain for value in values) for values in lists)


def _count_members(lists: Any) -> dict[str, int]:
    return dict(Counter(member for members in lists for member in members))
