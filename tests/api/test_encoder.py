"""``ecgkit.load``: arrays in, the features of a probe out; and everything that can be said wrong of an array."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import ecgkit
from ecgkit.beats.find import find_beats
from ecgkit.errors import EcgkitError, LeadError, SignalError
from ecgkit.evaluation.features.extract import extract
from ecgkit.leads import STANDARD_LEADS
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training.run import open_run
from ecgkit.training.supply import open_supplies
from tests.api.runs import FAMILIES, make_run
from tests.conftest import synthetic_signal

ROWS = np.array([5, 0, 17, 3])


@pytest.fixture(scope="module")
def beats_store(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "beats.zarr"
    shutil.copytree(cohort_store, path, ignore=shutil.ignore_patterns("views"))
    find_beats(Store(path))
    return path


@pytest.fixture(scope="module")
def stmem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("api") / "stmem", "stmem")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_features_of_arrays_are_those_of_a_probe(family: str, beats_store: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", family)
    encoder = ecgkit.load(run)
    store = Store(beats_store)
    opened = open_run(run)
    view = open_view(store, opened.config.signal)
    module = opened.encoder()
    supplies = open_supplies(module.needs, store, view)
    probed = extract(module, view, ROWS, encoder.features, supplies=supplies, batch_size=2)
    ecgs = [store.recording(int(row)) for row in ROWS]
    sexes, ages = (store.table[name].iloc[ROWS].tolist() for name in ("sex", "age"))
    found = encoder(
        np.stack([ecg.signal for ecg in ecgs]), ecgs[0].fs, ecgs[0].leads, "mV", age=ages, sex=sexes, batch_size=3
    )
    for name in encoder.features:
        # Tokens are kept in float16: what differs in float32's last places may round to its neighbour.
        near = np.finfo(np.float16).eps if name == "tokens" else 1e-5
        np.testing.assert_allclose(getattr(found, name), probed[name], rtol=near, atol=1e-5, err_msg=name)
    assert found.pooled.shape == (4, encoder.width)
    assert found.pooled.std(0).max() > 0  # records differ
    assert (found.tokens is None) == ("tokens" not in opened.entry.features)
    whole = encoder.of_store(ecgkit.open_store(beats_store)[ROWS])
    np.testing.assert_allclose(whole.pooled, probed["pooled"], rtol=1e-5, atol=1e-5)


def test_one_record_microvolts_order_and_derived_leads(stmem: Path, cohort_store: Path) -> None:
    encoder = ecgkit.load(stmem)
    signal, fs, leads, unit = ecgkit.open_store(cohort_store)[2]
    one = encoder(signal, fs, leads, unit)
    assert (one.pooled.ndim, one.per_lead.shape, one.present.all()) == (1, (12, encoder.width), True)
    microvolts = np.rint(signal * 1000).astype(np.int16)
    same = encoder(microvolts[::-1], fs, [f"lead {name.lower()}" for name in leads[::-1]], "uV")
    np.testing.assert_array_equal(same.pooled, one.pooled)
    eight = [leads.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
    derived = encoder(signal[eight], fs, [leads[i] for i in eight], "mV")
    lead_1, lead_2 = signal[leads.index("I")], signal[leads.index("II")]
    limb = [lead_2 - lead_1, -(lead_1 + lead_2) / 2, lead_1 - lead_2 / 2, lead_2 - lead_1 / 2]
    twelve = np.stack([lead_1, lead_2, *limb, *signal[eight[2:]]])
    np.testing.assert_allclose(derived.pooled, encoder(twelve, fs, STANDARD_LEADS, "mV").pooled, atol=1e-5)
    assert derived.present.all()
    few = encoder(signal[eight], fs, [leads[i] for i in eight], "mV", derive=False)
    assert few.present.sum() == 8
    assert not few.per_lead[2:6].any()
    assert np.abs(few.pooled - one.pooled).max() > 1e-3
    inverted = encoder(-signal, fs, [f"-{name}" for name in leads], "mV")
    np.testing.assert_array_equal(inverted.pooled, one.pooled)


def test_crops_are_averaged_and_input_shows_them(stmem: Path) -> None:
    import torch

    encoder = ecgkit.load(stmem)
    assert len(encoder.spec.eval_starts) > 1
    signal = synthetic_signal(5000)
    batches = encoder.input(signal, 500, "12", "mV")
    assert [tuple(b.signal.shape) for b in batches] == [(1, 12, encoder.spec.samples)] * len(encoder.spec.eval_starts)
    with torch.no_grad():
        mean = torch.stack([encoder.encoder.encode(b).pooled[0] for b in batches]).mean(0)
    np.testing.assert_allclose(encoder(signal, 500, "12", "mV").pooled, mean, atol=1e-5)


def test_peaks_may_be_given(tmp_path: Path) -> None:
    encoder = ecgkit.load(make_run(tmp_path / "run", "clear"))
    signal = synthetic_signal(5000)
    peaks = np.arange(200, 5000, 400)
    given = encoder(signal, 500, "12", "mV", rpeaks=peaks)
    assert np.abs(given.pooled - encoder(signal, 500, "12", "mV", rpeaks=peaks[::2]).pooled).max() > 1e-4
    with pytest.raises(SignalError, match="outside its 5000 samples"):
        encoder(signal, 500, "12", "mV", rpeaks=[7000])
    with pytest.raises(SignalError, match="given for 1 records, not for 2"):
        encoder(np.stack([signal, signal]), 500, "12", "mV", rpeaks=[peaks])


GOOD = {"signal": synthetic_signal(1000), "fs": 500, "leads": STANDARD_LEADS, "unit": "mV"}
NAN = np.full((2, 12, 1000), np.nan)
NAN[0] = 0.0
WRONG = {
    "one axis": ({"signal": np.zeros(1000)}, SignalError, r"shape \[1000\]; expected \[L, T\]"),
    "four axes": ({"signal": np.zeros((1, 1, 12, 1000))}, SignalError, "leads before samples"),
    "no samples": ({"signal": np.zeros((12, 0))}, SignalError, r"shape \[12, 0\]"),
    "ragged": ({"signal": [[1.0], [1.0, 2.0]]}, SignalError, "rows of different lengths"),
    "text": ({"signal": np.full((12, 1000), "x")}, SignalError, "whole or floating numbers"),
    "turned": ({"signal": np.zeros((1000, 12))}, LeadError, "transpose it"),
    "infinite": ({"signal": np.full((12, 1000), np.inf)}, SignalError, "infinite samples"),
    "all missing": ({"signal": NAN}, SignalError, "every sample of record 1 is missing"),
    "short": ({"signal": np.zeros((12, 400))}, SignalError, "records of 0.8 s; expected at least 1 s"),
    "no fs": ({"fs": None}, SignalError, "the sampling rate fs is missing. Give it in Hz"),
    "fs of 0": ({"fs": 0}, SignalError, "fs 0; expected a positive number"),
    "fs as text": ({"fs": "500"}, SignalError, "fs '500'"),
    "no leads": ({"leads": None}, LeadError, "lead names are missing. Name the 12 rows"),
    "few names": ({"leads": ("I", "II")}, LeadError, "2 lead names for a signal with 12 rows"),
    "unknown lead": ({"leads": (*STANDARD_LEADS[:11], "Q")}, LeadError, "lead 'Q' is unknown"),
    "a lead twice": ({"leads": (*STANDARD_LEADS[:11], "I")}, LeadError, "name a lead twice"),
    "none of the model's": ({"signal": np.zeros((1, 1000)), "leads": ["VX"]}, LeadError, "at least one of I, II"),
    "no unit": ({"unit": None}, SignalError, "the unit of the signal is missing; expected mV"),
    "strange unit": ({"unit": "mmHg"}, SignalError, "unit 'mmHg'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case: str, stmem: Path) -> None:
    change, kind, message = WRONG[case]
    with pytest.raises(kind, match=message):
        ecgkit.load(stmem)(**{**GOOD, **change})


def test_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(EcgkitError, match="does not exist"):
        ecgkit.load(tmp_path / "absent")
