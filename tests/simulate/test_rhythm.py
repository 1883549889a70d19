import numpy as np
import pytest

from ecgkit.simulate.rhythm import draw_rhythm, qt_interval

SEEDS = range(25)


def draw(seed: int, *findings: str):
    return draw_rhythm(frozenset(findings), 72.0, 0.41, 10.0, np.random.default_rng(seed))


def variation(rhythm) -> float:
    rr = np.diff(rhythm.times[(rhythm.times > 0) & (rhythm.times < 10)])
    return float(rr.std() / rr.mean())


@pytest.mark.parametrize(("rhythm", "low", "high"), [("NSR", 60, 100), ("SB", 0, 60), ("STach", 100, 200)])
def test_rate_of_the_beats_fits_the_label(rhythm: str, low: float, high: float) -> None:
    for seed in SEEDS:
        drawn = draw(seed, rhythm)
        beats = drawn.times[(drawn.times > 0) & (drawn.times < 10)]
        assert low < 60 * (len(beats) - 1) / (beats[-1] - beats[0]) < high
        assert low < drawn.rate < high


def test_fibrillation_is_irregular_and_sinus_rhythm_is_not() -> None:
    fibrillation = [variation(draw(seed, "AF")) for seed in SEEDS]
    sinus = [variation(draw(seed, "NSR")) for seed in SEEDS]
    assert min(fibrillation) > max(sinus)
    assert draw(0, "AF").fibrillating
    assert not draw(0, "NSR").fibrillating


def test_beats_run_beyond_both_ends() -> None:
    for seed in SEEDS:
        for rhythm in ("SB", "STach", "AF"):
            times = draw(seed, rhythm).times
            assert times[0] < 0
            assert times[-1] > 10
            assert np.diff(times).min() > 0.28


def test_premature_beats_are_early_and_followed_by_a_pause() -> None:
    for seed in SEEDS:
        drawn = draw(seed, "NSR", "PVC")
        beats = np.flatnonzero(drawn.ectopic)
        assert 1 <= len(beats) <= 4
        assert np.diff(beats, prepend=-9).min() > 1
        for beat in beats:
            before, after = np.diff(drawn.times[beat - 1 : beat + 2])
            assert before < 0.85 * drawn.mean_rr
            assert after > 1.1 * drawn.mean_rr
            # Compensatory: both together last two beats.
            assert before + after == pytest.approx(2 * drawn.mean_rr, rel=0.12)


def test_no_premature_beat_unless_asked_for() -> None:
    assert not any(draw(seed, rhythm).ectopic.any() for seed in SEEDS for rhythm in ("NSR", "AF"))


def test_qt_is_fridericias() -> None:
    assert qt_interval(1.0, 0.4) == pytest.approx(0.4)
    assert qt_interval(0.512, 0.4) == pytest.approx(0.32)
