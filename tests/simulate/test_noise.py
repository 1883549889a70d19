import numpy as np
import pytest

from ecgkit.simulate.noise import ELECTRODES_TO_LEADS, NoiseLevels, draw_gaps, draw_levels, draw_loose_lead, draw_noise

QUIET = NoiseLevels(wander=0.0, breathing=0.0, muscle=0.0, white=0.0, mains=0.0, mains_hz=50.0)


def noise(samples: int = 5000, fs: float = 500.0, **levels: float) -> np.ndarray:
    return draw_noise(NoiseLevels(**{**vars(QUIET), **levels}), samples, fs, np.random.default_rng(0))


def spectrum(signal: np.ndarray, fs: float = 500.0) -> tuple[np.ndarray, np.ndarray]:
    return np.fft.rfftfreq(signal.shape[-1], 1 / fs), (np.abs(np.fft.rfft(signal)) ** 2).sum(0)


def test_leads_do_not_see_what_all_electrodes_share() -> None:
    np.testing.assert_allclose(ELECTRODES_TO_LEADS @ np.ones(9), 0.0, atol=1e-12)
    electrodes = np.random.default_rng(0).standard_normal(9)  # RA, LA, LL, V1-V6
    leads = ELECTRODES_TO_LEADS @ electrodes
    assert leads[0] == pytest.approx(electrodes[1] - electrodes[0])
    assert leads[1] == pytest.approx(electrodes[2] - electrodes[0])
    assert leads[5] == pytest.approx(electrodes[6] - electrodes[:3].mean())


@pytest.mark.parametrize("kind", ["wander", "muscle", "white"])
def test_levels_are_root_mean_squares_at_an_electrode(kind: str) -> None:
    # Lead I is the difference of two electrodes: its power is twice theirs.
    draws = [
        draw_noise(NoiseLevels(**{**vars(QUIET), kind: 0.1}), 2000, 500.0, np.random.default_rng(seed))[0]
        for seed in range(60)
    ]
    assert np.sqrt(np.mean(np.square(draws)) / 2) == pytest.approx(0.1, rel=0.12)


@pytest.mark.parametrize(("kind", "low", "high"), [("wander", 0.0, 0.7), ("breathing", 0.1, 0.5), ("muscle", 19, 121)])
def test_each_kind_keeps_to_its_band(kind: str, low: float, high: float) -> None:
    frequency, power = spectrum(noise(**{kind: 0.1}) * np.hanning(5000))
    assert power[(frequency >= low) & (frequency <= high)].sum() > 0.95 * power.sum()


def test_mains_hums_at_its_frequency_and_not_above_the_nyquist_rate() -> None:
    frequency, power = spectrum(noise(mains=0.02, mains_hz=60.0))
    assert frequency[power.argmax()] == pytest.approx(60.0)
    assert not noise(samples=500, fs=100.0, mains=0.02, mains_hz=60.0).any()


def test_most_records_are_whole() -> None:
    rngs = [np.random.default_rng(seed) for seed in range(3000)]
    loose = [draw_loose_lead(rng) for rng in rngs]
    gaps = [draw_gaps(12, 5000, 500.0, rng) for rng in rngs[:2000]]
    assert 0.007 < np.mean([lead is not None for lead in loose]) < 0.025
    assert all(lead is None or lead.startswith("V") for lead in loose)
    assert 0.004 < np.mean([gap.any() for gap in gaps]) < 0.02
    assert max(gap.sum(axis=1).max() for gap in gaps) <= 2 * 0.25 * 500
    assert not any(gap[:, 0].any() for gap in gaps)


def test_records_differ_in_noise() -> None:
    levels = [draw_levels(np.random.default_rng(seed)) for seed in range(300)]
    assert np.ptp([one.muscle for one in levels]) > 0.01
    assert 0.05 < np.mean([one.mains > 0 for one in levels]) < 0.25
    assert {one.mains_hz for one in levels} == {50.0, 60.0}
