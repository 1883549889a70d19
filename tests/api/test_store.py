"""``ecgkit.open_store``: a store as a list of records, as a table, and as a torch Dataset; and the light import."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import ecgkit
from ecgkit.errors import StoreError
from ecgkit.signal.spec import SignalSpec, apply
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from tests.store.rounding import allowed

SPEC = SignalSpec(fs=250, seconds=2.5, leads=("V1", "I", "II"), eval_starts=(1.0, 3.0))


def test_it_reads_like_a_list(cohort_store: Path) -> None:
    store, plain = ecgkit.open_store(str(cohort_store)), Store(cohort_store)
    assert len(store) == len(plain) == len(store.table) == 120
    ecg = store[-1]
    assert (ecg.fs, ecg.unit, ecg.leads) == (500.0, "mV", plain.recording(119).leads)
    np.testing.assert_array_equal(ecg.signal, plain.recording(119).signal)
    ids = store.table["record_id"]
    assert store.signal(ids[7]).signal.shape == (12, 5000)
    np.testing.assert_array_equal(store.signal(ids[7]).signal, store[7].signal)
    part = store[10:20][[3, 1]]
    assert part.table["record_id"].tolist() == [ids[13], ids[11]]
    women = store[store.table["sex"] == "F"]
    assert set(women.table["sex"]) == {"F"}
    assert "of 120 records" in repr(women)
    assert len(store[[]]) == 0
    assert sum(1 for _ in store[:4]) == 4


def test_wrong_keys_are_said(cohort_store: Path) -> None:
    store = ecgkit.open_store(cohort_store)
    with pytest.raises(IndexError):
        store[120]
    with pytest.raises(StoreError, match=r"store\.signal\('a'\)"):
        store["a"]
    with pytest.raises(StoreError, match="the mask has 3 values for 120"):
        store[[True, False, True]]
    with pytest.raises(StoreError, match="has no record 'a'"):
        store.signal("a")
    with pytest.raises(StoreError, match="is not a store"):
        ecgkit.open_store(cohort_store.parent)


def test_a_torch_dataset_gives_what_the_contract_says(cohort_store: Path) -> None:
    store = ecgkit.open_store(cohort_store)[20:30]
    data = store.dataset(SPEC)
    ecg = store[4]
    rows = [ecg.leads.index(lead) for lead in SPEC.leads]
    expected = apply(ecg.signal[rows], ecg.fs, SPEC, start=1.0)
    deviation = apply(ecg.signal[rows], ecg.fs, replace(SPEC, normalize="none"), start=1.0).std()
    bound = allowed(open_view(store.store, SPEC), 24, deviation)
    assert bound < 5e-4  # of a signal whose deviation is 1
    np.testing.assert_allclose(data[4]["signal"], expected, rtol=0, atol=bound)
    assert data[4]["row"] == 24
    batch = next(iter(DataLoader(data, batch_size=4)))
    assert batch["signal"].shape == (4, 3, 625)
    assert batch["present"].all()
    first, second = store.dataset(SPEC, epoch=1), store.dataset(SPEC, epoch=2)
    assert not torch.equal(first[0]["signal"], second[0]["signal"])
    assert torch.equal(first[0]["signal"], store.dataset(SPEC, epoch=1)[0]["signal"])


def test_leads_that_a_record_lacks_are_marked(cohort_store: Path) -> None:
    spec = SignalSpec(fs=250, seconds=2.5, leads=("I", "VX", "II"))
    item = ecgkit.open_store(cohort_store).dataset(spec)[0]
    assert item["present"].tolist() == [True, False, True]
    assert not item["signal"][1].any()
    assert item["signal"][0].any()


@pytest.mark.slow
def test_importing_ecgkit_is_light() -> None:
    heavy = ("torch", "zarr", "wfdb", "sklearn", "aiohttp", "numba", "pandas")
    code = f"import ecgkit, sys; assert not set({heavy}) & set(sys.modules); ecgkit.load; assert 'torch' in sys.modules"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        ecgkit.lod  # noqa: B018
