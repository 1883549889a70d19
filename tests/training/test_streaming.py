"""A training that reads its view in blocks: every record once per epoch, blocks in turn, resumed to the bit."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgkit.errors import RunError, StoreError
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.view_rows import VerifiedRows, copied_rows
from ecgkit.store.views import View, open_view
from ecgkit.training import read_ahead, streaming
from ecgkit.training.data import AsCounts, Epochs, lead_sets, loader
from ecgkit.training.options import Watcher
from ecgkit.training.plan import Plan
from ecgkit.training.read_ahead import ReadAhead
from ecgkit.training.streaming import Stream, chosen_stream
from tests.training.standins import PairConfig, assert_equal, train

SPEC = SignalSpec(fs=100, seconds=2, window=2)


def plain_view(present: np.ndarray) -> View:
    """Return a view of which only the leads are read."""
    shape = (*present.shape, 2)
    return View(SPEC, np.zeros(shape, np.float32), present, np.full(len(present), 200))


@given(
    n=st.integers(1, 300),
    block=st.integers(1, 20),
    buffer=st.integers(1, 5),
    processes=st.integers(1, 3),
    parts=st.integers(1, 2),
    batch=st.integers(6, 24),
    lead_sets=st.integers(1, 3),
)
def test_an_epoch_holds_each_record_once(n, block, buffer, processes, parts, batch, lead_sets) -> None:
    rows = np.random.default_rng(0).permutation(n + 50)[:n]
    present = np.zeros((n + 50, 12), bool)
    present[np.arange(n + 50), np.arange(n + 50) % lead_sets] = True
    recipe = Recipe(epochs=2, batch_size=batch, accumulate=parts)
    stream = Stream(block, buffer, processes, max(1, batch // (parts * processes)))
    plans = [Plan(plain_view(present), rows, recipe, 3, processes, rank, stream=stream) for rank in range(processes)]
    orders = []
    for epoch in (0, 1):
        steps = [plan.epoch(epoch) for plan in plans]
        counted = [p.rows[: p.counted] for plan in steps for pieces in plan for p in pieces]
        assert sorted(np.concatenate(counted).tolist()) == sorted(rows.tolist())
        assert all(len(np.unique(present[p.rows], axis=0)) == 1 for plan in steps for pieces in plan for p in pieces)
        orders.append(np.concatenate(counted).tolist())
    assert orders[0] != orders[1] or n < 10, "a few records may come in the same order by chance"
    again = Plan(plain_view(present), rows, recipe, 3, processes, 0, stream=stream)
    assert [e for e, _ in again.orders(0, 1)] == [e for e, _ in plans[0].orders(0, 1)]
    for (_, here), (_, there) in zip(again.orders(0, 1), plans[0].orders(0, 1), strict=True):
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_reads_few_blocks_at_a_time_and_none_of_the_others(processes: int) -> None:
    n, block, buffer = 6400, 32, 4
    recipe = Recipe(epochs=1, batch_size=32, accumulate=2)
    stream = Stream(block, buffer, processes, 16 // processes)
    view = plain_view(np.ones((n, 12), bool))
    seen: list[set[int]] = []
    for rank in range(processes):
        plan = Plan(view, np.arange(n), recipe, 0, processes, rank, stream=stream)
        pieces = [rows for _, rows in plan.orders(0, 0)]
        at_once = block * buffer // stream.unit  # pieces of the records that are mixed
        for first in range(0, len(pieces), at_once):
            blocks = np.unique(np.concatenate(pieces[first : first + at_once]) // block)
            assert len(blocks) == buffer
        seen.append({int(row) // block for rows in pieces for row in rows})
        assert len(np.unique(pieces[0] // block)) > 1, "records of several blocks are mixed"
    assert sum(map(len, seen)) == n // block == len(set.union(*seen))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BLOCK", 10 * 12 * 200 * 2)
    monkeypatch.setattr(streaming, "BUFFER", 3 * 10 * 12 * 200 * 2)


def test_a_streamed_training_goes_on_in_the_middle_of_an_epoch(
    cohort_store: Path, tmp_path: Path, small_blocks
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    config = PairConfig(noise=0.3)
    train(cohort_store, tmp_path / "whole", config=config, stream=True, workers=0)
    train(cohort_store, tmp_path / "other", config=config, workers=0)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(cohort_store, out, config=config, stream=True, workers=1, save_minutes=0, watcher=Watcher(step=stop))
    resumed: list[int] = []
    train(cohort_store, out, config=config, stream=True, resume=True, watcher=Watcher(resume=resumed.append))
    assert resumed == [4]
    assert_equal(out, tmp_path / "whole")
    with pytest.raises(AssertionError):
        assert_equal(out, tmp_path / "other")


def streamed(view: View, stream: Stream, recipe: Recipe, loaders: int = 0, epoch: int = 0, step: int = 0):
    """Yield the counts of a streamed training beside those of the same batches without streaming."""
    plan = Plan(view, np.arange(len(view.signal)), recipe, 0, stream=stream)
    ahead = ReadAhead(view, stream, plan.orders(epoch, step), loaders)
    batches = loader(AsCounts(Epochs(ahead.view, 0, {}), held=False), ahead.orders(), loaders)
    plain = loader(AsCounts(Epochs(view, 0, {}), held=False), plan.orders(epoch, step))
    return ahead.over(batches), plain


def assert_same(batches, plain) -> int:
    number = 0
    for here, there in zip(batches, plain, strict=True):
        assert here.batch.rows.tolist() == there.batch.rows.tolist()
        assert here.counts.equal(there.counts) and here.scale.equal(there.scale)
        number += 1
    return number


@pytest.mark.parametrize("loaders", [0, 2])
@pytest.mark.parametrize("more", [0.25, 0, -0.7, -1])  # below 0 there is no room for some blocks, or for any
def test_streamed_batches_hold_the_same_bytes(cohort_store: Path, small_blocks, monkeypatch, loaders, more) -> None:
    monkeypatch.setattr(read_ahead, "MORE", more)
    view = open_view(Store(cohort_store), SPEC)
    varied = replace(view, present=view.present & (np.arange(len(view.present)) % 7 > 0)[:, None])
    varied.present[::7, :3] = True
    recipe = Recipe(epochs=4, batch_size=8)
    stream = Stream.of(view, recipe, 1)
    assert (stream.block, stream.buffer, stream.unit) == (9, 3, 8)
    assert assert_same(*streamed(varied, stream, recipe, loaders)) == 4 * (13 + 3), "102 and 18 records of 2 lead sets"
    assert assert_same(*streamed(varied, stream, recipe, loaders, 2, 3)) > 0


@pytest.mark.parametrize("mixed", [3, 100])
def test_each_block_is_read_once_per_epoch_before_it_is_wanted(
    cohort_store: Path, small_blocks, monkeypatch, mixed: int
) -> None:
    view, fetched, wanted = open_view(Store(cohort_store), SPEC), [], []
    fetch, check = VerifiedRows.fetch, VerifiedRows.check
    monkeypatch.setattr(VerifiedRows, "fetch", lambda self, *rest: fetched.append(rest[0]) or fetch(self, *rest))
    monkeypatch.setattr(VerifiedRows, "check", lambda self, rows: wanted.append(rows) or check(self, rows))
    recipe = Recipe(epochs=3, batch_size=8)
    stream = replace(Stream.of(view, recipe, 1), buffer=mixed)
    for _ in streamed(view, stream, recipe)[0]:
        pass
    blocks = -(-len(view.signal) // stream.block)
    assert not wanted, "no batch reads the file itself"
    assert {first // stream.block for first in fetched} == set(range(blocks)) and len(fetched) <= 3 * blocks


def test_a_training_that_ends_early_leaves_no_thread(cohort_store: Path, small_blocks) -> None:
    view, recipe = open_view(Store(cohort_store), SPEC), Recipe(epochs=50, batch_size=8)
    before = threading.active_count()
    batches, _ = streamed(view, Stream.of(view, recipe, 1), recipe)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before


def damaged(view: View, folder: Path, change) -> View:
    """Return a view whose file was changed after it was opened."""
    rows = view.signal
    assert isinstance(rows, VerifiedRows)
    for name in ("signal.npy", "rows.npy", "view.json"):
        (folder / name).write_bytes((rows.folder / name).read_bytes())
    copy = VerifiedRows(folder, np.load(folder / "signal.npy", mmap_mode="r"), rows.lengths, rows.checksums)
    change(folder / "signal.npy", int(copy.records.offset) + 5 * copy.records.itemsize)
    return replace(view, signal=copy)


def test_a_damaged_or_shortened_file_is_refused(cohort_store: Path, tmp_path: Path, small_blocks) -> None:
    def flip(file: Path, place: int) -> None:
        with file.open("r+b") as stream:
            stream.seek(place + 100)
            stream.write(b"\x55\x55")

    view, recipe = open_view(Store(cohort_store), SPEC), Recipe(epochs=1, batch_size=8)
    for name, change, message in (
        ("flipped", flip, "row 5 .* is damaged"),
        ("short", os.truncate, "cannot be read: it is shorter"),
        ("gone", lambda file, _: file.unlink(), "cannot be read: No such file"),
    ):
        (tmp_path / name).mkdir()
        bad = damaged(view, tmp_path / name, change)
        with pytest.raises(StoreError, match=message):
            list(streamed(bad, Stream.of(view, recipe, 1), recipe)[0])
        assert (tmp_path / name / "view.json").exists() == (name != "flipped"), "a damaged view is made again"


def test_a_request_that_is_answered_in_pieces_is_continued(cohort_store: Path, small_blocks, monkeypatch) -> None:
    def piecewise(descriptor: int, arrays, place: int) -> int:
        content = os.pread(descriptor, min(3000, sum(map(len, arrays))), place)
        left = content
        for array in arrays:
            part, left = left[: len(array)], left[len(array) :]
            array[: len(part)] = part
        return len(content)

    view, recipe = open_view(Store(cohort_store), SPEC), Recipe(epochs=1, batch_size=8)
    monkeypatch.setattr(os, "preadv", piecewise)
    assert assert_same(*streamed(view, Stream.of(view, recipe, 1), recipe)) > 0


@given(leads=st.sampled_from([1, 3, 8, 9, 12, 64, 70]), n=st.integers(0, 40), kinds=st.integers(1, 6))
def test_lead_sets_are_numbered_in_the_order_of_their_leads(leads: int, n: int, kinds: int) -> None:
    rng = np.random.default_rng([leads, n, kinds])
    present = (rng.random((kinds, leads)) < 0.5)[rng.integers(0, kinds, n)]
    np.testing.assert_array_equal(lead_sets(present), np.unique(present, axis=0, return_inverse=True)[1].ravel())


def test_a_view_is_streamed_if_it_is_larger_than_memory_allows(cohort_store: Path, monkeypatch) -> None:
    view, recipe = open_view(Store(cohort_store), SPEC), Recipe(epochs=1, batch_size=8)
    assert chosen_stream(view, recipe, 1, None, None) is None
    assert chosen_stream(view, recipe, 1, True, None) is not None
    monkeypatch.setattr(streaming, "SHARE", 1e-9)
    assert chosen_stream(view, recipe, 1, None, None) is not None
    assert chosen_stream(view, recipe, 1, False, None) is None
    pairs = type("Pairs", (), {"group": 2})()
    assert chosen_stream(view, recipe, 1, None, pairs) is None
    with pytest.raises(RunError, match="--scratch DIR"):
        chosen_stream(view, recipe, 1, True, pairs)


def test_a_copy_on_a_disk_of_this_machine_is_made_once_and_verified(cohort_store: Path, tmp_path: Path) -> None:
    view, scratch = open_view(Store(cohort_store), SPEC), tmp_path / "scratch"
    copy = copied_rows(view.signal, scratch)
    assert copy.folder.is_relative_to(scratch)
    np.testing.assert_array_equal(np.array(copy), np.array(view.signal))
    made = copy.file.stat().st_mtime_ns
    assert copied_rows(view.signal, scratch).file.stat().st_mtime_ns == made
    assert [path.name for path in scratch.iterdir()] == [copy.folder.name]
    train(cohort_store, tmp_path / "a", config=PairConfig(), scratch=str(scratch), workers=0)
    train(cohort_store, tmp_path / "b", config=PairConfig(), workers=0)
    assert_equal(tmp_path / "a", tmp_path / "b")
    damaged = open_view(Store(cohort_store), SPEC).signal
    damaged.checksums = damaged.checksums + 1
    about = (damaged.folder / "view.json").read_bytes()
    with pytest.raises(StoreError, match="is damaged"):
        copied_rows(damaged, tmp_path / "other")
    (damaged.folder / "view.json").write_bytes(about)
    assert not list((tmp_path / "other").glob("[!.]*"))
