"""A view holds counts: its error is at most half a step, a view at the store's own rate loses nothing."""

import ast
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ecgkit.arrays.records import Records
from ecgkit.arrays.views import view_of
from ecgkit.config import source_hash
from ecgkit.evaluation.features import cache as features
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store import view_rows
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


def signal_modules(name: str, found: set[str]) -> set[str]:
    """Return all modules of `ecgkit.signal` that a module imports, and those that they import."""
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None, f"{name} is gone, and its code would count no more"
    for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ecgkit.signal"):
            inner = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "ecgkit.signal" else []
            for module in {*inner, *([] if inner else [str(node.module)])} - found:
                found.add(module)
                signal_modules(module, found)
    return found


def test_the_hash_of_a_view_covers_all_code_that_decides_its_content() -> None:
    assert signal_modules("ecgkit.store.views", set()) <= {*view_rows.CODE}
    for name in (*view_rows.CODE, *features.CODE):
        assert find_spec(name) is not None, f"{name} is gone, and its code would count no more"
    before = source_hash(view_rows.CODE)
    for left_out in view_rows.CODE:
        assert source_hash(tuple(name for name in view_rows.CODE if name != left_out)) != before
