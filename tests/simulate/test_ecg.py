"""What a cardiologist would look for, measured on the noise-free leads of many bodies."""

import numpy as np
import pytest

from ecgkit.errors import ConfigError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.simulate.ecg import _fibrillation
from ecgkit.simulate.heart import sinus_heart

from .conftest import make_body, make_ecg

SEEDS = range(20)
INJURED = {
    "STE-anterior": ("V1", "V2", "V3", "V4"),
    "STE-inferior": ("II", "III", "aVF"),
    "STE-lateral": ("I", "aVL", "V5", "V6"),
}
RECIPROCAL = {"STE-anterior": ("III", "aVF"), "STE-inferior": ("I", "aVL"), "STE-lateral": ("III", "aVF", "V1")}


def lead(ecg, name: str) -> np.ndarray:
    return ecg.clean[STANDARD_LEADS.index(name)]


def middle_beat(ecg) -> int:
    return int(ecg.rpeaks[len(ecg.rpeaks) // 2])


def qrs(ecg, seed: int, name: str) -> np.ndarray:
    """The lead's QRS of a beat in the middle, from its onset to its end, against the level at the onset."""
    onset, end = (round(time * ecg.fs) for time in sinus_heart(make_body(seed), ecg.findings).qrs_limits)
    wave = lead(ecg, name)[middle_beat(ecg) + onset - 5 : middle_beat(ecg) + end]
    return wave - wave[0]


def level_after_j(ecg, seed: int, name: str) -> float:
    """The level 60 ms after the J point against that at the onset of QRS, in mV."""
    end = sinus_heart(make_body(seed), ecg.findings).qrs_limits[1]
    j_60 = middle_beat(ecg) + round((end + 0.06) * ecg.fs)
    start = middle_beat(ecg) + round(end * ecg.fs) - len(qrs(ecg, seed, name))
    return float(lead(ecg, name)[j_60] - lead(ecg, name)[start])


def qrs_milliseconds(ecg) -> float:
    """QRS duration by the spatial velocity of the dipole (above 12 mV/s), which no ST or T reaches."""
    speed = np.linalg.norm(np.gradient(ecg.dipole, 1 / ecg.fs, axis=1), axis=0)
    peak = middle_beat(ecg)
    fast = np.flatnonzero(speed[peak - 60 : peak + 70] > 12)
    return float(1000 * (fast[-1] - fast[0]) / ecg.fs)


@pytest.mark.parametrize("kind", ["LBBB", "RBBB"])
def test_a_block_widens_qrs(kind: str) -> None:
    for seed in SEEDS:
        normal, block = make_ecg(seed, "NSR"), make_ecg(seed, "NSR", kind)
        assert qrs_milliseconds(normal) < 120 <= qrs_milliseconds(block)
        assert normal.measurements.qrs_end - normal.measurements.qrs_onset < 120
        assert block.measurements.qrs_end - block.measurements.qrs_onset >= 120


def test_normal_leads_look_normal() -> None:
    for seed in SEEDS:
        ecg = make_ecg(seed, "NSR")
        assert -30 <= ecg.measurements.qrs_axis <= 90
        assert -qrs(ecg, seed, "V1").min() > qrs(ecg, seed, "V1").max()  # rS
        assert qrs(ecg, seed, "V1").max() > 0.02
        assert qrs(ecg, seed, "V5").max() > -qrs(ecg, seed, "V5").min()  # R progression
        assert qrs(ecg, seed, "aVR").sum() < 0
        marks = sinus_heart(make_body(seed), ecg.findings).marks(0.8)
        top = lead(ecg, "V5")[middle_beat(ecg) + 60 : middle_beat(ecg) + round(marks.t_end * 500)].max()
        assert top > 0.1  # upright T
        assert all(level_after_j(ecg, seed, name) < 0.1 for name in ("I", "II", "III", "aVL", "aVF", "V1", "V5", "V6"))


def test_left_bundle_branch_block() -> None:
    for seed in SEEDS:
        ecg = make_ecg(seed, "NSR", "LBBB")
        assert -qrs(ecg, seed, "V1").min() > 4 * qrs(ecg, seed, "V1").max()
        assert qrs(ecg, seed, "V6").sum() > 0
        assert qrs(ecg, seed, "I").max() > 0.2
        assert qrs(ecg, seed, "V6")[:25].min() > -0.05  # no septal q
        assert qrs(ecg, seed, "V6").max() > 0.5
        t = slice(middle_beat(ecg) + 60, middle_beat(ecg) + 180)
        assert lead(ecg, "V1")[t].max() > 0.1  # T opposes QRS
        assert lead(ecg, "V6")[t].min() < -0.1


def test_right_bundle_branch_block() -> None:
    for seed in SEEDS:
        ecg = make_ecg(seed, "NSR", "RBBB")
        peak = middle_beat(ecg)
        late = slice(peak + 12, peak + 50)
        assert lead(ecg, "V1")[late].max() > 0.25  # R'
        assert lead(ecg, "V6")[late].min() < -0.1  # slurred S
        assert lead(ecg, "I")[late].min() < -0.05


def test_voltage_tells_left_ventricular_hypertrophy() -> None:
    def sokolow(ecg, seed: int) -> float:
        return -qrs(ecg, seed, "V1").min() + max(qrs(ecg, seed, "V5").max(), qrs(ecg, seed, "V6").max())

    for seed in SEEDS:
        assert sokolow(make_ecg(seed, "NSR", "LVH"), seed) > 3.5 > sokolow(make_ecg(seed, "NSR"), seed)


def test_strain_turns_t_over_the_left_ventricle() -> None:
    for seed in SEEDS:
        ecg = make_ecg(seed, "NSR", "LVH")
        t = slice(middle_beat(ecg) + 60, middle_beat(ecg) + 180)
        assert lead(ecg, "V6")[t].min() < -0.08
        assert lead(ecg, "V6")[t].max() < 0.08


@pytest.mark.parametrize("territory", INJURED)
def test_st_rises_over_its_territory_and_falls_opposite(territory: str) -> None:
    for seed in SEEDS:
        ecg = make_ecg(seed, "NSR", territory)
        assert all(level_after_j(ecg, seed, name) > 0.1 for name in INJURED[territory])
        assert all(level_after_j(ecg, seed, name) < 0.0 for name in RECIPROCAL[territory])


def test_pr_is_long_in_av_block_only() -> None:
    for seed in SEEDS:
        for rhythm in ("NSR", "SB"):
            block, normal = (make_ecg(seed, rhythm, *more).measurements for more in (("IAVB",), ()))
            assert block.qrs_onset - block.p_onset > 200 >= normal.qrs_onset - normal.p_onset >= 120


def test_p_wave_stands_in_front_of_qrs_in_lead_ii() -> None:
    for seed in SEEDS:
        ecg = make_ecg(seed, "NSR")
        m, peak = ecg.measurements, middle_beat(ecg)
        onset = peak + round(sinus_heart(make_body(seed), ecg.findings).qrs_limits[0] * ecg.fs)
        before = lead(ecg, "II")[onset - round((m.qrs_onset - m.p_onset) * ecg.fs / 1000) : onset - 3]
        assert before.max() - before[-1] > 0.04


def between_beats(ecg) -> list[float]:
    """Peak to peak of V1 in mV after T and before the next P, where the pause between two beats is long."""
    v1, spans = lead(ecg, "V1"), []
    for peak, following in zip(ecg.rpeaks, ecg.rpeaks[1:], strict=False):
        pause = v1[peak + 260 : following - 130]
        if len(pause) > 50:
            spans.append(float(np.ptp(pause)))
    return spans


def test_atria_that_fibrillate_are_never_still() -> None:
    fibrillation, sinus = [], []
    for seed in range(20):
        ecg = make_ecg(seed, "AF")
        assert ecg.measurements.p_onset is None
        assert ecg.measurements.p_axis is None
        fibrillation += between_beats(ecg)
        sinus += between_beats(make_ecg(seed, "SB"))
    assert len(fibrillation) >= 5
    assert min(fibrillation) > 0.02 > max(sinus)


def test_fibrillation_waves_are_of_4_to_9_hz() -> None:
    for seed in range(10):
        wave = _fibrillation(5000, 500.0, np.random.default_rng(seed))[2]
        power = np.abs(np.fft.rfft(wave)) ** 2
        frequency = np.fft.rfftfreq(5000, 1 / 500)
        assert 3.5 <= frequency[power.argmax()] <= 9.5
        assert power[(frequency > 3) & (frequency < 20)].sum() > 0.98 * power.sum()


def test_premature_beats_are_wide_with_t_opposite() -> None:
    for seed in SEEDS:
        ecg = make_ecg(seed, "NSR", "PVC")
        assert 1 <= ecg.ectopic.sum() <= 4
        peak = int(ecg.rpeaks[ecg.ectopic][0])
        beat, t = lead(ecg, "V2")[peak - 40 : peak + 40], lead(ecg, "V2")[peak + 60 : peak + 200]
        assert abs(beat).max() > 0.4
        assert np.sign(beat[abs(beat).argmax()]) == -np.sign(t[abs(t).argmax()])
        magnitude = np.linalg.norm(ecg.dipole[:, peak - 75 : peak + 75], axis=0)
        assert 2 * np.count_nonzero(magnitude > 0.25 * magnitude.max()) > 80  # ms; a normal beat has some 50


def test_r_peaks_are_where_the_dipole_is_greatest() -> None:
    for seed in range(10):
        ecg = make_ecg(seed, "NSR", "PVC")
        magnitude = np.linalg.norm(ecg.dipole, axis=0)
        for peak in ecg.rpeaks[1:-1]:
            assert magnitude[peak] == magnitude[peak - 60 : peak + 60].max()


def test_an_independent_detector_finds_the_r_peaks() -> None:
    processing = pytest.importorskip("wfdb.processing")
    found = total = 0
    for seed, rhythm in zip(range(9), ["NSR", "SB", "STach"] * 3, strict=True):
        ecg = make_ecg(seed, rhythm)
        detected = processing.xqrs_detect(lead(ecg, "V5"), ecg.fs, verbose=False)
        true = ecg.rpeaks[(ecg.rpeaks > 250) & (ecg.rpeaks < ecg.clean.shape[1] - 250)]
        total += len(true)
        found += sum(np.abs(detected - peak).min() <= 0.04 * ecg.fs for peak in true)
        assert abs(len(detected) - len(ecg.rpeaks)) <= 2
    assert found >= 0.98 * total


def test_same_generator_same_ecg_and_other_rates_and_lengths() -> None:
    one, two = make_ecg(3, "NSR"), make_ecg(3, "NSR")
    np.testing.assert_array_equal(one.signal, two.signal)
    assert one.report == two.report
    assert make_ecg(3, "NSR", fs=250.0, seconds=4.0).signal.shape == (12, 1000)
    assert make_ecg(3, "SB", "PVC", seconds=2.0).ectopic.any()


def test_findings_that_clash_are_refused() -> None:
    with pytest.raises(ConfigError, match="AF with IAVB"):
        make_ecg(0, "AF", "IAVB")
