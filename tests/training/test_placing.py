"""Batches made on a device equal those made in the loading process, and a view that lives there gives the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgkit.errors import RunError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.published_filters import NotchBandMedian
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.views import View, open_view
from ecgkit.training.data import AsCounts, Epochs, Windows, evaluation_starts, loader, plan_batches
from ecgkit.training.placing import CountsBatch, Placed, Placing, held_rows
from tests.conftest import synthetic_signal
from tests.store.test_store import make_store

CPU = torch.device("cpu")
PLAIN = SignalSpec(fs=100, seconds=3, window=5, normalize="record-zscore")
SPECS = {
    "z-score": PLAIN,
    "each lead": replace(PLAIN, normalize="lead-zscore"),
    "minmax": replace(PLAIN, normalize="lead-minmax"),
    "symmetric": replace(PLAIN, normalize="lead-symmetric-low"),
    "unscaled": replace(PLAIN, normalize="none"),
    "filtered crops": replace(PLAIN, filter=Butterworth(0.67, 40.0, 5)),
    "cascade": replace(PLAIN, filter=Butterworth(0.67, 40.0, 5, cascade=True), normalize="none"),
    "filtered window": replace(PLAIN, filter=Butterworth(), filter_first=True),
    "median": replace(PLAIN, fs=250, filter=NotchBandMedian(50.0, 30.0, Butterworth(0.67, 40.0, 4, "ba"), 0.4)),
}


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    """Records of two lead sets, one far from zero, one with a flat lead, two too short for the window or the crop."""
    found = []
    for n in range(12):
        signal = synthetic_signal({9: 800, 10: 1700}.get(n, 2500), seed=n)
        if n == 3:
            signal += 25.0
        if n == 4:
            signal[5] = 0.4
        found.append(Recording(signal[: 8 + 4 * (n % 2)], 500.0, STANDARD_LEADS[: 8 + 4 * (n % 2)]))
    return found


def opened(recordings: list[Recording], folder: Path, spec: SignalSpec) -> tuple[View, list[np.ndarray]]:
    view = open_view(make_store(folder / "s.zarr", recordings), spec)
    return view, plan_batches(view, np.arange(len(recordings)), 4, (0, 0))


@pytest.mark.parametrize("name", SPECS)
def test_both_roads_give_the_same_batches(recordings, tmp_path: Path, name: str) -> None:
    view, batches = opened(recordings, tmp_path, SPECS[name])
    held = held_rows(view, CPU, wanted=True)
    assert held is not None
    assert held_rows(view, CPU, wanted=None) is None, "on a CPU the memory map is as good"
    epochs = Epochs(view, 7, {})
    for sent in (None, held):
        placing = Placing(view, CPU, sent)
        loaded = AsCounts(epochs, held=sent is not None)
        for rows in batches:
            usual, other = epochs[2, rows], placing(loaded[2, rows])
            is_counts = isinstance(loaded[2, rows], CountsBatch)
            short = bool((view.lengths[rows] < view.spec.samples).any())
            assert is_counts == (
                name != "median" and not (short and "crops" in name) and not (short and name == "cascade")
            )
            assert torch.equal(usual.rows, other.rows) and torch.equal(usual.lead_ids, other.lead_ids)
            assert (usual.lengths is None) == (other.lengths is None)
            scale = max(1.0, float(usual.signal.abs().max()))
            torch.testing.assert_close(other.signal, usual.signal, rtol=0, atol=1e-5 * scale)


def test_counts_come_through_loading_processes(recordings, tmp_path: Path) -> None:
    view, batches = opened(recordings, tmp_path, PLAIN)
    windows = Windows(view, evaluation_starts(view, 50))
    placed = Placed(loader(AsCounts(windows, held=False), batches, workers=1), Placing(view, CPU))
    for _ in range(2):  # it can be iterated again
        for rows, batch in zip(batches, placed, strict=True):
            usual = windows[rows].signal
            torch.testing.assert_close(batch.signal, usual, rtol=0, atol=1e-5 * float(usual.abs().max()))


def test_a_view_that_does_not_fit_stays_where_it_is(recordings, tmp_path: Path, monkeypatch) -> None:
    view, _ = opened(recordings, tmp_path, PLAIN)
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (view.signal.nbytes, 10**12))
    assert held_rows(view, gpu, wanted=None) is None
    assert held_rows(view, gpu, wanted=False) is None
    with pytest.raises(RunError, match="--view-on-device"):
        held_rows(view, gpu, wanted=True)
