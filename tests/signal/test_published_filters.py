"""Steps of published inputs that run on the window: filters of their own, and normalisation before the crop."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal

from ecgkit.config import build, override, to_dict
from ecgkit.errors import ConfigError, SignalError
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.normalize import normalize
from ecgkit.signal.published_filters import FirBand, NotchBandMedian
from ecgkit.signal.resample import resample
from ecgkit.signal.spec import SignalSpec, apply, finish, window_of

FIR = FirBand(low=0.05, high=47.0, duration=0.3)
CLEAN = NotchBandMedian(notch=50.0, quality=30.0, band=Butterworth(order=4, form="ba"), median=0.402)


def test_filters_do_what_they_say() -> None:
    t = np.arange(5000) / 500
    mains, slow = np.sin(2 * np.pi * 50 * t)[None], np.sin(2 * np.pi * 10 * t)[None]
    for made in (FIR, CLEAN):
        assert np.abs(made(mains, 500.0)[:, 500:-500]).max() < 0.4
        assert np.abs(made(slow, 500.0)[:, 500:-500]).max() > 0.6
    # The running median is that of scipy, beyond the ends of zeros.
    banded = CLEAN.band(scipy.signal.filtfilt(*scipy.signal.iirnotch(50, 30, 500), slow), 500.0)
    np.testing.assert_allclose(CLEAN(slow, 500.0), banded - scipy.signal.medfilt(banded, (1, 201)), atol=1e-12)
    for made, fs in ((FIR, 90.0), (CLEAN, 90.0)):
        with pytest.raises(SignalError, match="Hz"):
            made(slow, fs)
    with pytest.raises(SignalError, match="enough samples"):
        FIR(slow[:, :300], 500.0)


def test_linear_resampling_keeps_both_ends() -> None:
    x = np.random.default_rng(0).normal(size=(2, 400))
    out = resample(x, 400, 500, "linear")
    assert out.shape == (2, 500)
    np.testing.assert_allclose(out[:, [0, -1]], x[:, [0, -1]], atol=1e-12)
    expected = np.interp(np.arange(500), np.linspace(0, 499, 400), x[1])
    np.testing.assert_allclose(out[1], expected, atol=1e-12)
    assert resample(x[:, :1], 400, 500, "linear").shape == (2, 1)


def test_a_constant_lead_is_low_if_asked() -> None:
    x = np.stack([np.linspace(-1, 3, 9), np.full(9, 5.0)])
    low = normalize(x, "lead-symmetric-low")
    np.testing.assert_allclose(low, [np.linspace(-1, 1, 9), np.full(9, -1.0)])
    np.testing.assert_allclose(normalize(x, "lead-symmetric")[1], 0)


def test_steps_on_the_window() -> None:
    x = np.random.default_rng(1).normal(size=(12, 4000))
    plain = SignalSpec(fs=500, seconds=5, normalize="lead-zscore", eval_starts=(0.0, 5.0))
    spec = replace(plain, filter=FIR, filter_at="record", normalize_window=True)
    window, length = window_of(x, 400.0, spec)
    whole = normalize(resample(FIR(x, 400.0), 400.0, 500.0), "lead-zscore")
    assert length == 5000
    np.testing.assert_allclose(window, whole, atol=1e-12)
    np.testing.assert_allclose(finish(window[None, :, 2500:], spec)[0], apply(x, 400.0, spec, 5.0), atol=1e-6)
    # In mV again, and back.
    assert spec.raw == replace(plain, normalize="none")
    assert plain.raw is plain
    raw, length = window_of(x, 500.0, spec.raw)
    np.testing.assert_allclose(spec.on_window(raw[:, :length]), window_of(x, 500.0, spec)[0][:, :length], atol=1e-12)
    assert len({s.view_key() for s in (plain, spec, replace(spec, normalize="none"), spec.raw)}) == 3
    with pytest.raises(ValueError, match="cannot be done on the window"):
        replace(spec, normalize="record-zscore")


def test_a_config_holds_any_filter() -> None:
    for made in (FIR, CLEAN, Butterworth(), None):
        spec = SignalSpec(fs=500, seconds=10, filter=made)
        assert build(SignalSpec, to_dict(spec)) == spec
    changed = override(SignalSpec(fs=500, seconds=10, filter=CLEAN), ["filter.band.low=1"])
    assert changed.filter == replace(CLEAN, band=replace(CLEAN.band, low=1.0))
    with pytest.raises(ConfigError, match="unknown key"):
        build(SignalSpec, {"fs": 500, "seconds": 10, "filter": {"notch": 50, "kind": 1}})
