"""A view holds counts: its error is at most half a step, a view at the store's own rate loses nothing."""

import numpy as np
import pytest

from ecgkit.arrays.records import Records
from ecgkit.arrays.views import view_of
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view, preview
from tests.conftest import synthetic_signal
from tests.store.test_store import make_store

SPECS = {
    "as stored": SignalSpec(fs=500, seconds=5, window=5),
    "resampled": SignalSpec(fs=100, seconds=5, window=5),
    "filtered": SignalSpec(fs=250, seconds=5, window=5, filter=Butterworth(), filter_first=True),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    recordings = []
    for seed in range(6):
        signal = synthetic_signal(2500, seed=seed)
        if seed == 2:
            signal[4, 100:160] = np.nan
        if seed == 3:
            signal *= 20  # beyond what whole microvolts hold
        recordings.append(Recording(signal, 500.0, STANDARD_LEADS))
    return make_store(tmp_path_factory.mktemp("store") / "s.zarr", recordings)


@pytest.mark.parametrize("name", SPECS)
def test_a_view_is_off_by_at_most_half_a_step(store: Store, name: str) -> None:
    spec = SPECS[name]
    view = open_view(store, spec)
    for row in range(len(store)):
        exact, _ = window_of(store.recording(row).signal.astype(np.float64), 500.0, spec)
        places = [store.leads.index(lead) for lead in spec.leads]
        step = view.signal.records["scale"][row, :, :1]
        assert (np.abs(view.signal[row] - exact[places]) <= 0.5 * step + 1e-5).all()
        assert (step <= np.maximum(1.001e-3, np.ptp(exact[places], axis=1, keepdims=True) / 65_000)).all()
        if name == "as stored" and row != 2:
            assert np.abs(view.signal[row] - exact[places]).max() < 1e-6 * max(1, np.abs(exact).max())


@pytest.mark.parametrize("name", SPECS)
def test_every_road_gives_the_same_bits(store: Store, name: str) -> None:
    spec = SPECS[name]
    view, looked_at = open_view(store, spec), preview(store, spec)
    signal = np.stack([store.recording(row).signal for row in range(len(store))])
    in_memory = view_of(Records(signal.astype(np.float32), 500.0, store.leads, single=False), spec)
    for row in range(len(store)):
        np.testing.assert_array_equal(looked_at.signal[row], view.signal[row])
        np.testing.assert_array_equal(in_memory.signal[row], view.signal[row])
