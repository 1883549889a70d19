"""The default detector on hearts whose beats are known."""

from dataclasses import replace

import numpy as np
import pytest

from ecgkit.beats.consensus import ConsensusSettings, detect
from ecgkit.beats.score import pair
from tests.beats.synthetic import LEADS, ecg, every, wave

RNG = np.random.default_rng(5)
FIBRILLATION = np.cumsum(np.r_[0.4, RNG.uniform(0.34, 1.1, 13)])


def assert_found(signal, beats, fs=500.0, tolerance=0.02, leads=LEADS) -> None:
    """Every beat is found once, within `tolerance` s, and nothing else."""
    found = detect(signal[None], fs, leads)[0]
    reference = np.round(np.sort(beats) * fs).astype(int)
    assert len(found) == len(reference), found / fs
    np.testing.assert_allclose(found / fs, reference / fs, atol=tolerance)


CASES = {
    "60 a minute": (every(1.0), {}),
    "two beats in 10 s": ([2.5, 7.4], {}),
    "two beats in 2 s": ([0.5, 1.4], {"seconds": 2.0}),
    "one beat": ([1.2], {"seconds": 2.5}),
    "30 a minute": (every(2.0), {}),
    "220 a minute": (every(60 / 220), {"t_wave": 0.2, "p_wave": 0.0}),
    "tall T waves": (every(0.9), {"t_wave": 0.9}),
    "60 s": (every(0.77, 60), {"seconds": 60.0}),
    "5 s": (every(0.85, 5), {"seconds": 5.0}),
    "noise": (every(0.85), {"noise": 0.08}),
    "fibrillation": (FIBRILLATION[FIBRILLATION < 9.8].tolist(), {"p_wave": 0.0, "noise": 0.03}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fs", [100.0, 250.0, 360.0, 500.0, 1000.0])
def test_every_beat_is_found_at_its_place(case: str, fs: float) -> None:
    beats, options = CASES[case]
    assert_found(ecg(beats, fs=fs, **options), beats, fs)


def test_a_run_of_ectopic_beats() -> None:
    beats, wide = [0.5, 1.3, 2.1, 5.6, 6.4, 7.2, 8.9], [2.7, 3.1, 3.5, 3.9, 4.3, 7.8]
    assert_found(ecg(beats, wide=wide), [*beats, *wide], tolerance=0.03)


@pytest.mark.parametrize("interval", [0.3, 0.4, 0.6])
def test_ventricular_tachycardia(interval: float) -> None:
    assert_found(ecg([], wide=every(interval)), every(interval), tolerance=0.03)


def test_inverted_complexes_count_as_others() -> None:
    assert_found(-ecg(every(0.8)), every(0.8))


def test_a_flat_lead_ii_loses_nothing() -> None:
    signal = ecg(every(0.8))
    signal[LEADS.index("II")] = 0.003
    assert_found(signal, every(0.8))
    only = [LEADS.index("II"), LEADS.index("V5")]
    assert_found(signal[only], every(0.8), leads=("II", "V5"))


@pytest.mark.parametrize("lead", range(len(LEADS)))
@pytest.mark.parametrize("kind", ["flat", "noise", "jumps", "other heart", "bit"])
def test_no_bad_lead_loses_or_invents_a_beat(lead: int, kind: str) -> None:
    beats, signal, rng = every(0.83), ecg(every(0.83)), np.random.default_rng(lead)
    time = np.arange(signal.shape[1]) / 500
    bad = {
        "flat": np.zeros_like(time),
        "noise": rng.normal(0, 2, len(time)),
        "jumps": np.repeat(rng.normal(0, 4, 50), 100),
        "other heart": 3 * sum(wave(time, at, 0.011) for at in every(0.61, start=0.1)),
        "bit": 0.001 * (rng.random(len(time)) < 0.01),
    }
    signal[lead] = bad[kind]
    assert_found(signal, beats)


def test_pacemaker_spikes_are_neither_beats_nor_peaks() -> None:
    beats = every(0.9)
    signal = ecg(beats, p_wave=0.0)
    for at in beats:
        for ahead in (0.18, 0.05):  # atrium and ventricle
            first = round((at - ahead) * 500)
            signal[:, first : first + 2] += 4.0
    assert_found(signal, beats, tolerance=0.012)


def test_a_gap_hides_only_what_lies_in_it() -> None:
    beats = every(0.8)
    signal = ecg(beats)
    signal[:3, 1000:2000] = np.nan
    assert_found(signal, beats)
    at = beats[4]
    signal[:, round((at - 0.15) * 500) : round((at + 0.15) * 500)] = np.nan
    assert_found(signal, [b for b in beats if b != at])
    signal[2] = np.nan
    assert_found(signal, [b for b in beats if b != at])


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros((8, 5000)),
        np.full((8, 5000), np.nan),
        np.random.default_rng(0).normal(0, 0.005, (8, 5000)).cumsum(1),
        0.001 * np.random.default_rng(0).integers(-1, 2, (8, 5000)),
        np.zeros((8, 0)),
        np.zeros((8, 3)),
        np.zeros((1, 40)),
    ],
    ids=["flat", "missing", "noise", "last bit", "empty", "three samples", "one lead"],
)
def test_no_heart_no_beat(signal) -> None:
    assert [len(peaks) for peaks in detect(signal[None], 500, LEADS[: len(signal)])] == [0]


def test_a_record_does_not_depend_on_its_company() -> None:
    records = np.stack([ecg(every(0.5 + 0.1 * i), noise=0.03, seed=i) for i in range(8)])
    records[3, 2, 700:900] = np.nan
    records[5] = 0
    together = detect(records, 500, LEADS)
    for order in (np.arange(8)[::-1], np.array([3, 5, 1])):
        for i, peaks in zip(order, detect(records[order], 500, LEADS), strict=True):
            assert np.array_equal(peaks, together[i])
    for i in range(8):
        assert np.array_equal(detect(records[i : i + 1].astype(np.float32), 500, LEADS)[0], together[i])


def test_leads_count_alike_whatever_their_order_and_unit() -> None:
    signal = ecg(every(0.7), noise=0.03)
    expected = detect(signal[None], 500, LEADS)[0]
    assert np.array_equal(detect(signal[None, ::-1], 500, LEADS[::-1])[0], expected)
    assert np.array_equal(detect(50 * signal[None], 500, LEADS)[0], expected)


def test_settings_reach_the_loops() -> None:
    signal = ecg(every(0.8))[None]
    assert len(detect(signal, 500, LEADS, replace(ConsensusSettings(), high=1.4, low=1.4))[0]) == 0
    assert len(detect(signal, 500, LEADS, replace(ConsensusSettings(), refractory=3.0))[0]) < 5


def test_simulated_hearts(cohort) -> None:
    """Dipole-model records with noise, loose leads, gaps, fibrillation and ectopic beats."""
    from ecgkit.datasets.wfdb_record import read_record

    counts = np.zeros(3, int)
    for header in sorted(cohort.rglob("*.hea"))[:60]:
        record = read_record(cohort, header.with_suffix("").relative_to(cohort).as_posix()).only(LEADS)
        found = detect(record.signal[None], record.fs, LEADS)[0]
        inside = (found > 10) & (found < record.signal.shape[1] - 10)  # a beat cut by the edge may be seen or not
        counts += pair(record.rpeaks, found[inside], 75)
    paired, missed, extra = counts
    assert 2 * paired / (2 * paired + missed + extra) > 0.99
