"""What a store holds, in numbers."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ecgkit.store.reader import Store

# Half the power of the derived lead: far above noise, far below a swap or an inversion.
CONTRADICTION = 0.5


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
        missing: Records with missing samples.
        clipped: Records with samples beyond the range of the format.
        contradictory: Records whose limb leads are far from Einthoven's and Goldberger's relations.
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
    missing: int
    clipped: int
    contradictory: int
    rejected: dict[str, int]
    sha256: str


def summarize(store: Store) -> StoreSummary:
    """Count what a store holds."""
    table = store.table
    seconds = table["samples"] / table["fs"]
    leads = _count_members(table["leads"])
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
        missing=int((table["missing_samples"] > 0).sum()),
        clipped=int((table["clipped_samples"] > 0).sum()),
        contradictory=int((table["limb_residual"] > CONTRADICTION).sum()),
        rejected={str(stage): int(n) for stage, n in store.ledger["stage"].value_counts().items()},
        sha256=store.content_hash,
    )


def _count_members(lists: Any) -> dict[str, int]:
    return dict(Counter(member for members in lists for member in members))
