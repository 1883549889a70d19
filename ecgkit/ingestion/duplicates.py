"""Records with the same waveform: they are told, can be left out, and share a fold where no patient is known.

Two records are duplicates if rate, leads and every stored sample are equal. Records without any deflection are not
compared: two silent windows are no sign that one patient was recorded twice.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ecgkit.datasets.base import hashed_fold
from ecgkit.parquet import as_frame, read_table
from ecgkit.store.assembly import NO_CHANGES, Changes
from ecgkit.store.writer import LedgerRow

_COLUMNS = ["record_id", "patient_id", "fold", "slot", "sha256", "fs", "path"]
_WINDOW = re.compile(r"#\d+$")


@dataclass(frozen=True)
class Duplicates:
    """The duplicates among the records of a store.

    Args:
        groups: Record ids of each waveform that occurs more than once, in the order of the store.
        changes: What changes in the store's tables because of them.
        dropped: Ledger rows of the records that are left out.
    """

    groups: list[tuple[str, ...]] = field(default_factory=list)
    changes: Changes = NO_CHANGES
    dropped: list[LedgerRow] = field(default_factory=list)


def find_duplicates(rows: Sequence[Path], quality: Sequence[Path], *, drop: bool) -> Duplicates:
    """Find duplicates in the finished parts of a store.

    Args:
        rows: The parts' tables of records.
        quality: The parts' tables of quality measures.
        drop: Whether to leave out all records of a waveform but the first.
    """
    files = list(zip(rows, quality, strict=True))
    several = _several(files)
    if not several:
        return Duplicates()
    twice = _gather(files, lambda part: part[~part["silent"] & _waveforms(part).isin(several)])
    twice = twice[twice.duplicated(["sha256", "fs"], keep=False)]  # all of them, unless 64 bits were equal by chance
    grouped = [group for _, group in twice.groupby(["sha256", "fs"], sort=False)]
    groups = [tuple(group["record_id"]) for group in grouped]
    if not drop:
        return Duplicates(groups, Changes(folds=_joined_folds(files, twice, grouped)))
    later = {slot: group["record_id"].iloc[0] for group in grouped for slot in group["slot"].iloc[1:]}
    left_out = twice[twice["slot"].isin(later)]
    dropped = [
        LedgerRow(record, str(path), "dropped", f"the same waveform as record {later[slot]}")
        for record, path, slot in zip(left_out["record_id"], left_out["path"], left_out["slot"], strict=True)
    ]
    return Duplicates(groups, Changes(dropped=frozenset(int(slot) for slot in later)), dropped)


Files = Sequence[tuple[Path, Path]]


def _several(files: Files) -> set[int]:
    """Return hashes of the waveforms that occur more than once. Memory holds 8 bytes per record."""
    found = np.concatenate([_waveforms(part[~part["silent"]]).to_numpy(np.uint64) for part in _parts(files)])
    found.sort()
    return set(found[1:][found[1:] == found[:-1]].tolist())


def _waveforms(part: pd.DataFrame) -> pd.Series:
    """Return a hash of each record's waveform: the first 64 bits of its SHA-256, mixed with its rate."""
    rates = pd.util.hash_array(part["fs"].to_numpy(np.float64))
    firsts = [int(text[:16], 16) for text in part["sha256"]]
    return pd.Series(np.array(firsts, np.uint64) ^ rates, index=part.index)


def _parts(files: Files) -> Iterator[pd.DataFrame]:
    """Yield the records of each part; their index is the slot."""
    for rows, quality in files:
        yield _part(rows, quality)


def _gather(files: Files, chosen: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """Return some of the records of all parts, in the order of the store."""
    return pd.concat([chosen(part) for part in _parts(files)])


def _part(rows: Path, quality: Path) -> pd.DataFrame:
    names = pq.read_schema(rows).names
    if not set(_COLUMNS) <= set(names):  # no record of the part was taken
        return pd.DataFrame({name: [] for name in [*_COLUMNS, "silent"]}).astype({"silent": bool})
    frame = as_frame(read_table(rows, _COLUMNS))
    frame = frame.set_index("slot", drop=False).rename_axis(None)
    ranges = [name for name in pq.read_schema(quality).names if name.startswith("range ")]
    loudest = as_frame(read_table(quality, ranges)).max(axis=1)
    return frame.assign(silent=~(loudest > 0).to_numpy())


def _joined_folds(files: Files, twice: pd.DataFrame, groups: Sequence[pd.DataFrame]) -> dict[int, int]:
    """Return the new folds by slot: duplicates share one, unless their patients are known or their folds published."""
    keys = _keys(twice)
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader.get(key, key) != key:
            key = leader[key]
        return key

    for group in groups:
        first, *others = keys.loc[group.index]
        for other in others:
            a, b = find(first), find(other)
            leader[max(a, b)] = min(a, b)
    joined = set(keys)

    def members_of(part: pd.DataFrame) -> pd.DataFrame:
        keyed = part.assign(key=_keys(part))
        return keyed[keyed["key"].isin(joined)]

    members = _gather(files, members_of)
    folds = _fold_of_each(members, [find(key) for key in members["key"]])
    free = members["patient_id"].isna() & (members["fold"] == [hashed_fold(key) for key in members["key"]])
    return {
        int(slot): fold
        for slot, old, fold, may in zip(members["slot"], members["fold"], folds, free, strict=True)
        if may and fold != old
    }


def _fold_of_each(members: pd.DataFrame, joined: Sequence[str]) -> list[int]:
    """Return the fold of each record's group: that of its first record with a known patient, else of its first."""
    of_group: dict[str, int] = {}
    known = members["patient_id"].notna()
    for is_wanted in (known, ~known):
        for group, fold, wanted in zip(joined, members["fold"], is_wanted, strict=True):
            if wanted:
                of_group.setdefault(group, int(fold))
    return [of_group[group] for group in joined]


def _keys(table: pd.DataFrame) -> pd.Series:
    """Return what the fold of each record was computed from: its id, without the number of a window."""
    ids = table["record_id"]
    whole = ids.str.replace(_WINDOW, "", regex=True)
    of_window = [hashed_fold(key) for key in whole] == table["fold"]
    return whole.where(of_window & (whole != ids), ids)
