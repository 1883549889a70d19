import json
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from ecgkit.config import build, to_dict
from ecgkit.errors import ConfigError, SignalError
from ecgkit.leads import select_leads
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.normalize import normalize
from ecgkit.signal.repair import fill_gaps, interpolate_gaps
from ecgkit.signal.resample import resample, resample_with_gaps
from ecgkit.signal.spec import SignalSpec, apply, finish, window_of
from tests.conftest import synthetic_signal
from tests.reference_vectors import Reference


def test_stmem_transforms_equal_the_reference(golden: Path) -> None:
    file = Reference(golden / "stmem_transforms.npz")
    config, raw = file.sizes, file["raw"].astype(np.float64)
    head, standardized = file["resampled_head"], file["standardized"]
    band = Butterworth(config["highpass"], config["lowpass"], config["order"], cascade=True)
    starts = tuple(s / config["fs"] for s in config["starts"])
    spec = SignalSpec(fs=config["fs"], seconds=config["crop"] / config["fs"], filter=band, eval_starts=starts)
    np.testing.assert_allclose(
        resample(raw, config["fs_in"], config["fs"])[:, : head.shape[1]], head, atol=1e-5, rtol=1e-4
    )
    crops = np.stack([apply(raw, config["fs_in"], spec, start) for start in starts])
    assert crops.shape == tuple(file["shape"])
    every = -(-crops.shape[-1] // standardized.shape[-1])  # the file holds every n-th sample
    np.testing.assert_allclose(crops[:, :, ::every], standardized, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", ["sos", "ba"])
def test_band_pass_equals_the_reference_in_both_forms(golden: Path, form: str) -> None:
    file = Reference(golden / "clear_preprocess.npz")
    config = file.sizes
    resampled = resample(file["mimic_filled"], config["fs_in"], config["fs"])
    np.testing.assert_allclose(resampled, file["mimic_resampled"], atol=1e-6, rtol=1e-4)
    ordered = select_leads(file["mimic_resampled"], config["mimic_lead_order"], config["standard_lead_order"])
    filtered = Butterworth(*config["band"], config["order"], form=form)(ordered.astype(float), config["fs"])  # type: ignore[arg-type]
    np.testing.assert_allclose(filtered, file["mimic_out"], atol=1e-6, rtol=1e-4)


def test_filter_keeps_the_pass_band_and_stops_the_rest() -> None:
    fs, t = 500.0, np.arange(20_000) / 500
    middle = slice(8_000, 12_000)  # a filter with an edge at 0.67 Hz rings for seconds at both ends
    band = Butterworth(0.67, 40, 5, cascade=True)
    inside = np.sin(2 * np.pi * 10 * t)
    assert np.abs(band(inside, fs) - inside)[middle].max() < 1e-3
    assert np.abs(band(np.sin(2 * np.pi * 100 * t) + 3, fs))[middle].max() < 1e-3


def test_filter_refuses_what_cannot_be_filtered() -> None:
    with pytest.raises(SignalError, match="below|between"):
        Butterworth(0.5, 60, 3)(np.zeros(1000), 100)
    with pytest.raises(SignalError, match="4 samples"):
        Butterworth()(np.zeros(4), 500)


@pytest.mark.parametrize(("method", "atol"), [("fft", 1e-9), ("poly", 2e-3)])
def test_resampling_keeps_a_band_limited_signal(method, atol) -> None:
    fs, fs_out = 500.0, 250.0
    wave = lambda rate: np.sin(2 * np.pi * 5 * np.arange(int(10 * rate)) / rate)  # noqa: E731
    out = resample(wave(fs), fs, fs_out, method)
    assert out.shape == (2500,)
    np.testing.assert_allclose(out[100:-100], wave(fs_out)[100:-100], atol=atol)


def test_resampling_marks_gaps_again() -> None:
    signal = synthetic_signal(1000, 2)
    signal[0, 200:300] = np.nan
    out = resample_with_gaps(signal, 500, 250)
    assert np.isnan(out[0]).sum() == 50
    assert np.isnan(out[0, 101:149]).all()
    assert np.isfinite(out[1]).all()
    np.testing.assert_array_equal(resample_with_gaps(signal, 500, 500), signal)


def test_gaps_are_bridged_along_time_and_never_across_leads() -> None:
    signal = np.array([[0.0, np.nan, np.nan, 3.0, np.nan], [np.nan] * 5, [1.0, 2, 3, 4, 5]])
    kept = signal.copy()
    np.testing.assert_allclose(interpolate_gaps(signal), [[0, 1, 2, 3, 3], [0] * 5, [1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(signal, kept)
    np.testing.assert_allclose(fill_gaps(signal, "zero")[0], [0, 0, 0, 3, 0])
    np.testing.assert_allclose(interpolate_gaps(signal[0]), [0, 1, 2, 3, 3])


def test_normalisation_against_a_plain_loop() -> None:
    signal = synthetic_signal(50, 3)
    signal[1] = 7.0
    for b in (signal, np.stack([signal, 2 * signal + 1])):
        np.testing.assert_allclose(normalize(b, "record-zscore").std((-2, -1)), 1.0)
        lead = normalize(b, "lead-zscore").reshape(-1, 50)
        for row, source in zip(lead, b.reshape(-1, 50), strict=True):
            deviation = source.std()
            expected = (source - source.mean()) / deviation if deviation > 1e-12 else np.zeros(50)
            np.testing.assert_allclose(row, expected, atol=1e-9)
        scaled = normalize(b, "record-minmax")
        np.testing.assert_allclose([scaled.min(), scaled.max()], [0, 1])
        assert (normalize(b, "lead-minmax").min(-1) == 0).all()
    assert normalize(signal, "none") is signal


@pytest.mark.parametrize("seconds", [10, 9])
def test_padding_takes_no_part_in_filter_and_scale(seconds: float) -> None:
    spec = SignalSpec(fs=100, seconds=seconds, filter=Butterworth(1, 30, 3))
    assert (spec.window_filter, spec.crop_filter) == ((spec.filter, None) if seconds == 10 else (None, spec.filter))
    short = synthetic_signal(600, 2)
    padded = apply(short, 100, spec)
    assert padded.shape == (2, round(100 * seconds))
    assert not padded[:, 600:].any()
    alone = normalize(Butterworth(1, 30, 3)(short, 100), "record-zscore")
    np.testing.assert_allclose(padded[:, :600], alone, atol=1e-6)


def test_a_record_is_the_same_alone_and_in_a_batch() -> None:
    spec = SignalSpec(fs=250, seconds=9, filter=Butterworth(cascade=True))
    signals = np.stack([synthetic_signal(5000, 3, seed=s) for s in range(4)])
    window, _ = window_of(signals, 500, spec)
    together = finish(window[..., 100:2350], spec)
    for b, signal in enumerate(signals):
        np.testing.assert_array_equal(apply(signal, 500, spec, 0.4)[..., :], together[b])


@pytest.mark.parametrize("band", [Butterworth(0.5, 40, 3), Butterworth(0.67, None, 2), Butterworth(None, 30, 1)])
@pytest.mark.parametrize("leads", [1, 12, 67])
def test_a_filter_is_scipys_to_the_bit(band: Butterworth, leads: int) -> None:
    kind = "bandpass" if band.low and band.high else "highpass" if band.low else "lowpass"
    edges = [edge for edge in (band.low, band.high) if edge]
    sections = scipy.signal.butter(band.order, edges if len(edges) > 1 else edges[0], kind, fs=250, output="sos")
    for T in (60, 500):
        signal = np.random.default_rng(T).normal(size=(leads, T)).cumsum(1)
        np.testing.assert_array_equal(band(signal, 250), scipy.signal.sosfiltfilt(sections, signal, axis=-1))
    edge = max(t for t in range(1, 60) if _too_short(sections, t))
    with pytest.raises(SignalError, match=f"signal of {edge} samples"):
        band(np.zeros((leads, edge)), 250)
    assert not band(np.zeros((leads, edge + 1)), 250).any()


def _too_short(sections: np.ndarray, samples: int) -> bool:
    try:
        scipy.signal.sosfiltfilt(sections, np.zeros(samples))
    except ValueError:
        return True
    return False


def test_filtering_first_spares_the_crop_its_edges() -> None:
    signal = synthetic_signal(5000, 1, seed=3) + 2.0
    band = Butterworth(0.67, 40, 5, cascade=True)
    whole = band(signal, 500)
    specs = [SignalSpec(fs=500, seconds=4, filter=band, filter_first=f, normalize="none") for f in (True, False)]
    first, after = (np.abs(apply(signal, 500, s, 3.0) - whole[:, 1500:3500])[:, :200].max() for s in specs)
    assert first < 1e-6 < after


def test_view_key_depends_on_what_a_view_holds_and_on_nothing_else() -> None:
    spec = SignalSpec(fs=250, seconds=9)
    other = {"seconds": 8.0, "normalize": "lead-zscore", "crop": "start", "filter": Butterworth()}
    for key, value in other.items():
        assert SignalSpec(**{"fs": 250, "seconds": 9, key: value}).view_key() == spec.view_key(), key  # type: ignore[arg-type]
    whole = SignalSpec(fs=250, seconds=10, filter=Butterworth())  # no crop, so the view holds the filtered signal
    assert whole.view_key() != spec.view_key() == SignalSpec(fs=250, seconds=10).view_key()
    matters = {"fs": 500.0, "window": 20.0, "leads": ("I", "II"), "repair": "zero", "resample": "poly"}
    keys = {SignalSpec(**{"fs": 250, "seconds": 9, k: v}).view_key() for k, v in matters.items()}  # type: ignore[arg-type]
    assert len(keys | {spec.view_key()}) == len(matters) + 1


def test_contract_survives_yaml_and_refuses_nonsense() -> None:
    spec = SignalSpec(fs=250, seconds=9, filter=Butterworth(form="ba"), eval_starts=(0, 0.5), leads=("I", "V2"))
    assert build(SignalSpec, json.loads(json.dumps(to_dict(spec)))) == spec
    for wrong in ({"fs": -1}, {"seconds": 11}, {"leads": ["I", "I"]}, {"leads": ["AVR"]}, {"eval_starts": [2.0]}):
        with pytest.raises(ConfigError):
            build(SignalSpec, {"fs": 250, "seconds": 9, **wrong})


def test_resampling_is_scipys(shared) -> None:
    from ecgkit.datasets.ptb_xl import PTBXL

    dataset = PTBXL(shared / "data" / "ptb-xl")
    source = dataset.sources()[0]
    signal = dataset.read(source, dataset.header(source)).signal
    np.testing.assert_array_equal(resample(signal, 500, 100), scipy.signal.resample(signal, 1000, axis=-1))


@pytest.mark.parametrize("method", ["fft", "poly", "linear"])
@pytest.mark.parametrize("fs", [100.0, 250.0])
def test_resampling_in_single_precision_is_off_by_less_than_a_hundredth_of_a_microvolt(fs: float, method: str) -> None:
    signal = np.stack([synthetic_signal(5000, seed=seed) + offset for seed, offset in ((0, 0.0), (1, 3.0), (2, -5.0))])
    spec = SignalSpec(fs=fs, seconds=10.0, resample=method)
    single = signal.astype(np.float32)
    difference = window_of(single, 500, spec)[0] - window_of(single.astype(np.float64), 500, spec)[0]
    assert np.abs(difference).max() < 1e-5


@pytest.mark.parametrize("lengths", [(5000, 250), (5000, 100), (1000, 257), (999, 1000), (998, 1001), (7, 300)])
def test_resampling_in_single_precision_is_scipys(lengths: tuple[int, float]) -> None:
    samples, fs_out = lengths
    signal = np.random.default_rng(0).normal(size=(2, 3, samples)).astype(np.float32)
    single, double = (resample(signal.astype(kind), 500, fs_out) for kind in (np.float32, np.float64))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=0, atol=3e-6)


@pytest.mark.parametrize("how", ["record-zscore", "lead-zscore", "record-minmax", "lead-minmax"])
def test_scaling_in_single_precision_is_that_in_double_and_keeps_a_constant_flat(how: str) -> None:
    rng = np.random.default_rng(0)
    signal = (rng.normal(0, 0.3, (4, 12, 5000)) + rng.normal(0, 2, (4, 12, 1))).astype(np.float32)
    single, double = (normalize(signal.astype(dtype), how) for dtype in (np.float32, np.float64))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=5e-6)
    assert not normalize(np.full((1, 12, 5000), 3.7, np.float32), how).any()
