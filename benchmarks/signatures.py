"""How many copies of a recording its signature finds, by kind of change, and how many false alarms it gives.

    python benchmarks/signatures.py STORE...

Each record is changed as datasets are changed when they are published again, and looked up among the signatures of all
records. Then all records of all stores are compared with each other: the pairs that are found are printed, to be looked
at. One thread.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from ecgkit.signal.resample import resample_with_gaps
from ecgkit.signatures.bits import LEADS, grid_points
from ecgkit.signatures.compare import copies, find_copies
from ecgkit.signatures.make import store_signatures
from ecgkit.signatures.table import Signatures, join, make_table, sign
from ecgkit.store.reader import Store

Record = tuple[NDArray[np.floating], Sequence[str], float]  # signal [L, T] in mV, leads, fs
EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def at(fs_out: float) -> Callable[[Record], Record]:
    """Return the change of the rate, as an ingest makes it: resampled and rounded to microvolts."""

    def change(record: Record) -> Record:
        signal, leads, fs = record
        return np.round(resample_with_gaps(signal, fs, fs_out), 3), leads, fs_out

    return change


def only(wanted: Sequence[str]) -> Callable[[Record], Record]:
    """Return the change that keeps some leads."""

    def change(record: Record) -> Record:
        signal, leads, fs = record
        kept = [lead for lead in leads if lead in wanted]
        return signal[[list(leads).index(lead) for lead in kept]], kept, fs

    return change


def cropped(before: float, after: float) -> Callable[[Record], Record]:
    """Return the change that cuts off some seconds."""
    return lambda r: (r[0][:, round(before * r[2]) : r[0].shape[1] - round(after * r[2])], r[1], r[2])


def scaled(by: float, step: float = 0.001) -> Callable[[Record], Record]:
    """Return the change of the scale, rounded to steps in mV."""
    return lambda r: (np.round(r[0] * by / step) * step, r[1], r[2])


def without_unit(record: Record) -> Record:
    """Return each lead with a mean of 0 and a standard deviation of 1."""
    signal, leads, fs = record
    spread = np.nanstd(signal, axis=1, keepdims=True)
    return (signal - np.nanmean(signal, axis=1, keepdims=True)) / np.where(spread > 0, spread, 1), leads, fs


def filtered(record: Record) -> Record:
    """Return the band from 0.5 to 40 Hz."""
    signal, leads, fs = record
    sections = butter(4, (0.5, 40), "bandpass", fs=fs, output="sos")
    return sosfiltfilt(sections, np.nan_to_num(signal), axis=1), leads, fs


def all_of(*changes: Callable[[Record], Record]) -> Callable[[Record], Record]:
    """Return several changes, one after the other."""

    def change(record: Record) -> Record:
        for one in changes:
            record = one(record)
        return record

    return change


CHANGES: dict[str, Callable[[Record], Record]] = {
    "100 Hz": at(100),
    "250 Hz": at(250),
    "400 Hz": at(400),
    "8 of 12 leads": only(EIGHT),
    "limb leads alone": only(("I", "II", "III", "aVR", "aVL", "aVF")),
    "lead II alone": only(("II",)),
    "first second cut off": cropped(1, 0),
    "first 0.733 s and last 1 s cut off": cropped(0.733, 1),
    "x 1.001": scaled(1.001),
    "x 0.5 in steps of 5 uV": scaled(0.5, 0.005),
    "z-scored, no unit": without_unit,
    "filtered 0.5-40 Hz": filtered,
    "filtered, 100 Hz, 8 leads, z-scored, 1 s cut off": all_of(
        filtered, at(100), only(EIGHT), without_unit, cropped(0.5, 0.5)
    ),
}


def changed(store: Store, change: Callable[[Record], Record]) -> Signatures:
    """Return the signatures of changed copies of a store's records."""
    ids, points, rows = [], [], []
    for row in range(len(store)):
        fs, samples = float(store.table["fs"].iloc[row]), int(store.table["samples"].iloc[row])
        signal, leads, fs = change((store.signals(row, row + 1)[0, :, :samples].astype(float), store.leads, fs))
        ids.append(f"copy of {store.table['record_id'].iloc[row]}")
        points.append(grid_points(signal.shape[1], fs))
        rows.append(sign(signal, list(leads), fs))
    return Signatures(make_table(ids, points, list(zip(*rows, strict=True))))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stores", type=Path, nargs="+")
    stores = [Store(path) for path in parser.parse_args().stores]
    began = time.perf_counter()
    whole = join([store_signatures(store) for store in stores], 200)
    made = time.perf_counter() - began
    thin = whole.thin()
    bytes_each = sum(thin.table[lead].nbytes for lead in LEADS) / len(thin)
    print(f"{len(whole)} records, {int(whole.known.sum())} with a signature; made or read in {made:.1f} s")
    print(f"{bytes_each:.0f} bytes per record in a run\n")
    print("| change | copies | found | another record found |\n|---|---|---|---|")
    starts = np.cumsum([0, *map(len, stores)])
    for name, change in CHANGES.items():
        total = found = other = 0
        for store, start in zip(stores, starts, strict=False):
            tested = changed(store, change)
            hit = np.full(len(tested), False)
            met = np.full(len(tested), False)
            for row, known in copies(tested, thin):
                hit[row] |= known == start + row
                met[row] |= known != start + row
            total, found, other = (
                total + int(tested.known.sum()),
                found + int(hit.sum()),
                other + int((met & ~hit).sum()),
            )
        print(f"| {name} | {total} | {found} ({100 * found / max(total, 1):.2f} %) | {other} |", flush=True)
    began = time.perf_counter()
    pairs = sorted({(min(p), max(p)) for p in copies(whole, thin) if p[0] != p[1]})
    took = time.perf_counter() - began
    names = [f"{store.name} {record}" for store in stores for record in store.table["record_id"]]
    print(f"\n{len(whole) * (len(whole) - 1) // 2} pairs compared in {took:.1f} s, {len(pairs)} found to be copies:")
    for a, b in pairs:
        print(f"  {names[a]} = {names[b]}")
    print(f"{int((find_copies(whole, thin) >= 0).sum())} records find themselves")


if __name__ == "__main__":
    main()
