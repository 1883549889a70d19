"""Copies of a recording are found by their signature, and different recordings are not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgkit.entries import MethodEntry
from ecgkit.errors import LeakError
from ecgkit.evaluation.features.encoder import ProbedEncoder, untrained_encoder
from ecgkit.evaluation.probe.leaks import find_leak, leak_warnings, refuse_leak
from ecgkit.evaluation.probe.parts import copies_words, find_overlap, refuse_overlap
from ecgkit.ingestion import IngestOptions, ingest
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import method_config
from ecgkit.plugins import host
from ecgkit.signal.resample import resample
from ecgkit.signatures.bits import LEADS, RATE, THIN, grid_points, lead_bits
from ecgkit.signatures.compare import EDGE, SAME, find_copies
from ecgkit.signatures.make import has_signatures, store_signatures
from ecgkit.signatures.table import Signatures, make_table, read_signatures, sign, write_signatures
from ecgkit.store.pair import StorePair
from ecgkit.store.reader import Store
from ecgkit.training.run import SIGNATURES

Signal = NDArray[np.float64]
FS = 500.0


def recording(seed: int, seconds: float = 10.0) -> Signal:
    """Beats at irregular intervals and noise, ``[12, T]`` in mV at 500 Hz."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * FS)) / FS
    beats = np.cumsum(rng.normal(0.8, 0.06, round(seconds * 2)))
    shape = np.array([np.exp(-(((at - beat) / 0.012) ** 2)) for beat in beats]).sum(0)
    noise = rng.normal(0, 0.02, (12, len(at) + 14))
    smooth = np.stack([np.convolve(row, np.ones(15) / 4, "valid") for row in noise])  # as that of muscles and movement
    return np.outer(rng.normal(0, 1, 12), shape) + smooth


def signatures(signals: list[Signal], fs: float = FS, leads: tuple[str, ...] = STANDARD_LEADS) -> Signatures:
    columns = list(zip(*(sign(signal, leads, fs) for signal in signals), strict=True))
    points = [grid_points(signal.shape[1], fs) for signal in signals]
    return Signatures(make_table([f"r{n}" for n in range(len(signals))], points, columns))


RECORDS = [recording(seed) for seed in range(24)]
CHANGES: dict[str, Callable[[Signal], tuple[Signal, float, tuple[str, ...]]]] = {
    "another rate": lambda x: (np.round(resample(x, FS, 100), 3), 100.0, STANDARD_LEADS),
    "a rate that divides nothing": lambda x: (np.round(resample(x, FS, 360), 3), 360.0, STANDARD_LEADS),
    "eight leads": lambda x: (x[[0, 1, *range(6, 12)]], FS, ("I", "II", *STANDARD_LEADS[6:])),
    "one lead": lambda x: (x[[10]], FS, ("V5",)),
    "the first second cut off": lambda x: (x[:, 500:], FS, STANDARD_LEADS),
    "both ends cut off": lambda x: (x[:, 333:-401], FS, STANDARD_LEADS),
    "rescaled": lambda x: (np.round(x * 1.001, 3), FS, STANDARD_LEADS),
    "without a unit": lambda x: ((x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True), FS, STANDARD_LEADS),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_changed_copies_are_found_and_others_are_not(kind: str) -> None:
    known = signatures(RECORDS[12:]).thin()
    changed = [CHANGES[kind](signal) for signal in RECORDS]
    tested = signatures([signal for signal, _, _ in changed], changed[0][1], changed[0][2])
    assert find_copies(tested, known).tolist() == [-1] * 12 + list(range(12))


def test_a_copy_is_what_a_slow_comparison_of_all_shifts_calls_one() -> None:
    tested = [lead_bits(signal[1], FS) for signal in RECORDS[2:6]] + [lead_bits(RECORDS[5][1][700:], FS)]
    known = [lead_bits(signal[1], FS) for signal in RECORDS[3:7]]

    def slow(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> bool:
        thin, best, k = theirs[::THIN], 0.0, np.arange(len(theirs[::THIN]))
        inner = (k >= EDGE) & (k < len(thin) - EDGE)
        for shift in range(-len(theirs), len(ours)):
            place = shift + THIN * k
            met = inner & (place >= EDGE * THIN) & (place < len(ours) - EDGE * THIN)
            if met.sum() >= 300:
                best = max(best, float((ours[place[met]] == thin[met]).mean()))
        return best >= SAME

    wanted = [next((k for k, theirs in enumerate(known) if slow(ours, theirs)), -1) for ours in tested]
    leads = ("II",)
    fast = find_copies(
        signatures([s[[1]] for s in RECORDS[2:6]] + [RECORDS[5][[1], 700:]], leads=leads),
        signatures([s[[1]] for s in RECORDS[3:7]], leads=leads).thin(),
    )
    assert fast.tolist() == wanted == [-1, 0, 1, 2, 2]


def test_flat_and_missing_stretches_are_no_sign_of_a_copy() -> None:
    assert lead_bits(np.zeros(5000), FS) is None
    assert lead_bits(np.full(5000, np.nan), FS) is None
    assert lead_bits(np.ones(5000), 40.0) is None  # the rate has no such band
    half = [signal.copy() for signal in RECORDS[:2]]
    half[0][:, 2700:], half[1][:, 2700:] = 0, np.nan  # most of the words of both are of silence
    assert find_copies(signatures(half), signatures(half[::-1]).thin()).tolist() == [1, 0]
    three, other = RECORDS[0].copy(), RECORDS[1].copy()
    three[:, 2000:] = other[:, 2000:] = 0
    assert not signatures([three, other]).known.any()


def test_signatures_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = signatures(RECORDS[:3])
    write_signatures(tmp_path / "a.parquet", made)
    write_signatures(tmp_path / "b.parquet", made)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    read = read_signatures(tmp_path / "a.parquet")
    assert read is not None and read.table.equals(made.table) and read.rate == RATE
    assert made.thin().rate == RATE // THIN
    for lead in LEADS:
        for whole, thin in zip(made.bits(lead), made.thin().bits(lead), strict=True):
            assert np.array_equal(whole[::THIN], thin)


def seen_in(run: Path, store: Store) -> ProbedEncoder:
    """An encoder that says it was pretrained on a store."""
    import pandas as pd

    run.mkdir()
    write_signatures(run / SIGNATURES, store_signatures(store).thin())
    table = store.table[["record_id", "patient_id", "sha256"]].assign(part="train", dataset="theirs")
    pd.DataFrame(table).to_parquet(run / "records.parquet")
    entry = host().get(MethodEntry, "stmem")
    encoder = untrained_encoder(entry, *method_config(entry, "tiny"), weights="random-init", seed=0)
    return replace(encoder, run=run, checkpoint="c", seen=frozenset(store.table["sha256"]))


def test_the_leak_guard_knows_a_store_again_that_was_ingested_in_another_way(
    cohort: Path, cohort_store: Path, tmp_path: Path
) -> None:
    options = IngestOptions(fs=100, limit=40)
    ingest(cohort, tmp_path / "again.zarr", options)
    again, store = Store(tmp_path / "again.zarr"), Store(cohort_store)
    assert not set(again.table["sha256"]) & set(store.table["sha256"])
    leak = find_leak(seen_in(tmp_path / "run", store), again, np.arange(len(again)))
    assert has_signatures(again) and (leak.records, leak.copies, leak.compared) == (0, 40, 40)
    assert "copies of 40 more" in leak_warnings(leak)[0]
    with pytest.raises(LeakError, match="copies of 40 more"):
        refuse_leak(seen_in(tmp_path / "run2", store), again, leak)


def test_a_copy_of_a_training_record_in_the_test_part_is_named(
    cohort: Path, cohort_store: Path, tmp_path: Path
) -> None:
    """The copies have another rate, so no hash finds them; a signature alone does not refuse the probe."""
    ingest(cohort, tmp_path / "again.zarr", IngestOptions(fs=100, limit=40))
    again, store = Store(tmp_path / "again.zarr"), Store(cohort_store)
    both, n = StorePair(store, again), len(store)
    rows = np.concatenate([np.arange(30), n + np.arange(10), np.arange(20, 30)])
    parts = {"train": np.arange(20), "val": np.arange(20, 30), "test": np.arange(30, 40)}
    found = find_overlap(both, SimpleNamespace(rows=rows, parts=parts))  # type: ignore[arg-type]
    ids = again.table["record_id"].tolist()
    assert (found.records, found.copies) == (0, 10)
    assert found.pairs == tuple(f"{name} = {name}" for name in ids[:5])
    assert f"{ids[4]} = {ids[4]}, ..." in copies_words(found)
    refuse_overlap(both, "task", replace(found, patients=0))
    apart = find_overlap(store, SimpleNamespace(rows=np.arange(40), parts=parts))  # type: ignore[arg-type]
    assert (apart.copies, apart.pairs) == (0, ())


def test_records_of_the_pretrainings_own_store_are_compared_by_their_samples_alone(
    cohort_store: Path, tmp_path: Path
) -> None:
    """Two very regular rhythms of two patients may have one signature; the folds of a store keep patients apart."""
    store = Store(cohort_store)
    encoder = replace(seen_in(tmp_path / "run", store), store=store.content_hash, seen=frozenset({"of another record"}))
    leak = find_leak(encoder, store, np.arange(len(store)))
    assert (leak.records, leak.copies, leak.compared, leak.same_store) == (0, 0, 0, True)
    other = find_leak(replace(encoder, store="another"), store, np.arange(len(store)))
    assert other.copies == other.compared > 0 and not other.same_store


def test_signatures_are_made_again_where_they_are_damaged(cohort: Path, tmp_path: Path) -> None:
    ingest(cohort, tmp_path / "s.zarr", IngestOptions(limit=5))
    store = Store(tmp_path / "s.zarr")
    made = store_signatures(store)
    (file,) = (store.path / "signatures").glob("*.parquet")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert store_signatures(store).table.equals(made.table) and file.read_bytes() == content


def test_real_recordings_at_their_two_rates(shared: Path, tmp_path: Path) -> None:
    stores = []
    for fs in (100, 500):
        ingest(shared / "data" / "ptb-xl", tmp_path / f"{fs}.zarr", IngestOptions(fs=fs, limit=80))
        stores.append(Store(tmp_path / f"{fs}.zarr"))
    low, high = map(store_signatures, stores)
    assert find_copies(low, high.thin()).tolist() == list(range(80))
    halves = low.take(slice(0, 40)), high.take(slice(40, 80)).thin()
    assert (find_copies(*halves) == -1).all()
