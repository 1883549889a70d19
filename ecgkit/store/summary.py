"""What a store holds, in numbers: records, labels, quality, and what two stores have in common."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.signal.quality import FLAGS, flagged
from ecgkit.store.identity import JOINED
from ecgkit.store.reader import Store


@dataclass(frozen=True)
class StoreSummary:
    """Counts over a store's record table.

    Args:
        dataset: The layout that it was made from.
        records: Number of records.
        patients: Number of patients, or 0 where no ids are known.
        leads: Records by lead.
        derived: Records in which a lead was computed from I and II, by lead.
        rates: Records by sampling rate in Hz.
        seconds: Shortest and longest record in s.
        units: Records by unit.
        folds: Records by fold.
        code_system: What the labels are written in.
        labels: Records by code, the most frequent first.
        reports: Records with a report.
        rpeaks: Records with reference R peaks.
        clipped: Records with samples beyond the range of the format.
        flags: Records by quality flag.
        duplicates: Records whose waveform an earlier record has too.
        rejected: Ledger rows by stage.
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
        flags={flag: flags[flag] for flag in FLAGS if flag in flags},
        duplicates=int(table["sha256"].duplicated().sum()),
        rejected={str(stage): int(n) for stage, n in store.ledger["stage"].value_counts().items()},
        sha256=store.content_hash,
    )


@dataclass(frozen=True)
class FlagCount:
    """How often a quality flag was raised.

    Args:
        flag: Its name.
        meaning: When it is raised.
        records: Records with it, in any lead.
        leads: Records with it by lead, those without left out.
    """

    flag: str
    meaning: str
    records: int
    leads: dict[str, int]


def lead_flags(store: Store) -> dict[str, NDArray[np.bool_]]:
    """Return each of `FLAGS` as bool ``[R, L]``, from the measures that the store keeps."""
    table = store.table
    return flagged(store.quality, (table["samples"] / table["fs"]).to_numpy(), (table["unit"] == "mV").to_numpy())


def count_flags(store: Store) -> list[FlagCount]:
    """Count the quality flags of a store, all of them in the order of `FLAGS`."""
    counts = []
    for flag, on in lead_flags(store).items():
        leads = {lead: int(n) for lead, n in zip(store.leads, on.sum(0), strict=True) if n}
        counts.append(FlagCount(flag, FLAGS[flag], int(on.any(1).sum()), leads))
    return counts


@dataclass(frozen=True)
class Overlap:
    """What two stores have in common.

    Args:
        waveforms: Pairs of record ids, of the first and the second store, whose waveforms are the same.
        patients: Patients that are in both, as ``DATASET:ID``, since ids of different datasets mean different people.
        records: Records of these patients in each store.
        comparable: Whether both may hold records of one dataset.
    """

    waveforms: list[tuple[str, str]]
    patients: list[str]
    records: tuple[int, int]
    comparable: bool


def overlap(first: Store, second: Store) -> Overlap:
    """Find records that are in both stores, by waveform, and patients, by id.

    A waveform is the same if rate, leads and every stored sample are: of stores cut or resampled otherwise only the
    patients tell.
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


def _count_members(lists: Any) -> dict[str, int]:
    return dict(Counter(member for members in lists for member in members))
