"""Noise has the strength and the band that it is said to have, and a seed."""

import numpy as np
import pytest
import scipy.signal

from ecgkit.evaluation.analyses.noise import (
    MOTION_BAND,
    MUSCLE_BAND,
    NOISES,
    WANDER_BAND,
    add_noise,
    leads_off,
    noise_ratio,
    signal_power,
)
from tests.conftest import synthetic_signal

BANDS = {"em": MOTION_BAND, "bw": WANDER_BAND, "ma": MUSCLE_BAND}
TOGETHER = [*[(name,) for name in NOISES], ("em", "bw"), ("em", "bw", "ma")]


@pytest.fixture
def window() -> np.ndarray:
    """Leads of very different size."""
    return (synthetic_signal(5000) * np.geomspace(0.1, 10, 12)[:, None]).astype(np.float32)


@pytest.mark.parametrize("kinds", TOGETHER)
@pytest.mark.parametrize("level", [24.0, 6.0, 0.0, -6.0])
def test_a_level_is_the_ratio_in_db_of_each_lead(kinds: tuple[str, ...], level: float, window: np.ndarray) -> None:
    noisy = add_noise(kinds, window, 500, level, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    np.testing.assert_allclose(noise_ratio(window, noisy, 500), level, atol=0.01)
    # The same by another way.
    rates, power = scipy.signal.periodogram(window.astype(np.float64), 500, scaling="spectrum", axis=1)
    inside = power[:, (rates >= 0.5) & (rates <= 40)].sum(axis=1)
    ratio = 10 * np.log10(inside / (noisy - window.astype(np.float64)).var(axis=1))
    np.testing.assert_allclose(ratio, level, atol=0.01)


def test_the_power_of_a_lead_is_that_of_an_ecgs_band() -> None:
    time = np.arange(1000) / 100
    tones = {0.1: 3.0, 5.0: 2.0, 30.0: 1.0, 45.0: 7.0}  # Hz, amplitude; power is half the square
    window = 4 + sum(a * np.sin(2 * np.pi * f * time) for f, a in tones.items())
    assert signal_power(window[None].astype(np.float32), 100)[0] == pytest.approx((2.0**2 + 1.0**2) / 2, rel=1e-4)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("fs", [100.0, 500.0])
def test_noise_lies_in_its_band_and_each_lead_has_its_own(name: str, fs: float) -> None:
    noise = NOISES[name](12, 20_000, fs, np.random.default_rng(1))
    noise -= noise.mean(axis=1, keepdims=True)
    rates, power = scipy.signal.periodogram(noise, fs, axis=1)
    low, high = BANDS[name]
    inside = (rates >= low / 2) & (rates <= min(high * 1.5, fs / 2))
    assert power[:, inside].sum() > 0.9 * power.sum()
    assert np.abs(np.corrcoef(noise) - np.eye(12)).max() < 0.8


def test_several_kinds_at_once_share_the_power() -> None:
    fs, window = 500.0, synthetic_signal(20_000).astype(np.float32)
    noise = add_noise(("bw", "ma"), window, fs, 0.0, np.random.default_rng(0)).astype(np.float64) - window
    rates, power = scipy.signal.periodogram(noise, fs, axis=1)
    share = power[:, rates < 5].sum(axis=1) / power.sum(axis=1)
    np.testing.assert_allclose(share, 0.5, atol=0.05)


@pytest.mark.parametrize("kinds", [*TOGETHER, None])
def test_a_seed_decides_and_nothing_is_changed_in_place(kinds: tuple[str, ...] | None, window: np.ndarray) -> None:
    def disturbed(seed: int, level: float) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return add_noise(kinds, window, 500, level, rng) if kinds else leads_off(window, 500, level, rng)

    before = window.copy()
    first, again, other = (disturbed(seed, 3.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(window, before)
    if kinds:  # the same noise at each level, ten times as strong 20 dB lower
        np.testing.assert_allclose(disturbed(1, -17.0) - window, 10 * (first - window), rtol=1e-2, atol=1e-4)
    else:
        assert set(np.flatnonzero((first == 0).all(1))) < set(np.flatnonzero((disturbed(1, 6.0) == 0).all(1)))


def test_leads_fall_off_until_one_is_left(window: np.ndarray) -> None:
    for level, flat in ((0, 0), (1, 1), (5, 5), (12, 11)):
        out = leads_off(window, 500, float(level), np.random.default_rng(0))
        assert (out == 0).all(axis=1).sum() == flat
        kept = (out != 0).any(axis=1)
        np.testing.assert_array_equal(out[kept], window[kept])


def test_a_flat_lead_stays_flat_beside_others() -> None:
    window = np.zeros((2, 500), np.float32)
    window[1] = np.sin(np.arange(500) / 10)
    for kind in NOISES:
        noisy = add_noise((kind,), window, 500, 0.0, np.random.default_rng(0))
        assert not noisy[0].any()
        assert np.isfinite(noisy).all()
        assert (noisy[1] != window[1]).any()
