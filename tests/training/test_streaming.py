"""A training that reads its view in blocks: every record once per epoch, blocks in turn, resumed to the bit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgkit.errors import RunError, StoreError
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.view_rows import copied_rows
from ecgkit.store.views import View, open_view
from ecgkit.training import streaming
from ecgkit.training.options import Watcher
from ecgkit.training.plan import Plan
from ecgkit.training.streaming import ReadAhead, Stream, chosen_stream
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
    assert orders[0] != orders[1] or n <= block
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


def test_a_thread_reads_each_block_before_it_is_wanted(cohort_store: Path, small_blocks, monkeypatch) -> None:
    view = open_view(Store(cohort_store), SPEC)
    recipe = Recipe(epochs=2, batch_size=8)
    stream = Stream.of(view, recipe, 1)
    assert (stream.block, stream.buffer, stream.unit) == (9, 3, 8)
    plan = Plan(view, np.arange(len(view.signal)), recipe, 0, stream=stream)
    ahead, blocks = ReadAhead.of(view, stream), []
    monkeypatch.setattr(ahead, "_read", lambda block, real=ahead._read: blocks.append(block) or real(block))
    for number, (_, rows) in enumerate(ahead.over(iter(list(plan.orders(0, 0))), plan.orders(0, 0))):
        if number == 0:
            assert set((rows // stream.block).tolist()) <= set(blocks)
    assert blocks.count(0) <= 2 and set(blocks) == set(range(-(-len(view.signal) // stream.block)))
    # A training that ends early leaves no thread behind, and a file that cannot be read is no error here.
    gone = ReadAhead(Path("absent"), 0, 10, 100, Stream(10, 2, 1, 4))
    batches = gone.over(iter(range(9)), iter([(0, np.arange(4))] * 9))
    assert next(batches) == 0
    batches.close()


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
