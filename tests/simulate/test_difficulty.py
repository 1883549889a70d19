"""A hard cohort is as hard as its settings say, and a standard one is what it always was."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from ecgkit.errors import ConfigError
from ecgkit.simulate import SimulatedECG, draw_body, simulate_cohort, simulate_ecg
from ecgkit.simulate.difficulty import DIFFICULTIES, PTBXL_RATES, STANDARD, find_difficulty
from ecgkit.simulate.findings import FINDINGS, draw_conditions, draw_findings, record_findings
from ecgkit.simulate.noise import draw_mixed_noise

HARD = DIFFICULTIES["hard"]
SEEDS = range(60)
# Of leads I, II and III, by the version that had no difficulties.
CHECKSUMS = [[37161, 45057, 7896], [11533, 24695, 13162], [15902, 40373, 24471]]


def hard_ecg(seed: int, *findings: str, difficulty: str = "hard") -> SimulatedECG:
    rng, chosen = np.random.default_rng([4, seed]), DIFFICULTIES[difficulty]
    return simulate_ecg(frozenset(findings), draw_body(rng, chosen), rng, difficulty=chosen)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_standard_cohort_has_the_samples_that_it_always_had(tmp_path: Path) -> None:
    simulate_cohort(tmp_path / "c", records=3, seed=3, seconds=4.0)
    headers = [wfdb.rdheader(str(path.with_suffix(""))) for path in sorted((tmp_path / "c").rglob("*.hea"))]
    assert [header.checksum[:3] for header in headers] == CHECKSUMS


@pytest.mark.parametrize("snr", [-6.0, 8.0, 24.0])
def test_a_mix_of_noise_has_the_ratio_that_was_asked_for(snr: float) -> None:
    clean = hard_ecg(0, "NSR").clean[[0, 1, 6, 7, 8, 9, 10, 11]]
    for seed in range(10):
        noise = draw_mixed_noise(clean, 500.0, snr, seed % 2 == 0, np.random.default_rng(seed))
        ratio = np.var(clean, axis=1).mean() / np.var(noise, axis=1).mean()
        assert 10 * np.log10(ratio) == pytest.approx(snr, abs=1e-6)


def test_signal_to_noise_ratios_are_distributed_as_set() -> None:
    mean, spread = HARD.snr
    ratios = np.array([hard_ecg(seed, "NSR").snr for seed in SEEDS])
    # A loose lead or a gap takes some noise away, so a few ratios lie a little outside.
    assert ratios.mean() == pytest.approx(mean, abs=3 * spread.sd / np.sqrt(len(SEEDS)))
    assert 0.7 * spread.sd < ratios.std() < 1.3 * spread.sd
    assert np.mean(np.abs(ratios - mean) <= spread.most + 0.1) > 0.9
    assert np.mean([hard_ecg(seed, "NSR", difficulty="standard").snr for seed in range(20)]) > ratios.mean() + 3


def test_findings_are_as_frequent_as_in_the_settings() -> None:
    counts, records = Counter[str](), 30_000
    for patient in range(records):
        rng = np.random.default_rng([5, patient])
        counts.update(draw_findings(draw_conditions(rng, PTBXL_RATES), rng, episodes=False))
    for key, rate in PTBXL_RATES.items():
        error = 4 * np.sqrt(rate / records)
        # Findings that exclude each other give way: at most a fifth of the rarer ones.
        assert 0.78 * rate - error < counts[key] / records < rate + error, key


def test_bodies_differ_as_much_as_set() -> None:
    bodies = [draw_body(np.random.default_rng([6, seed]), HARD) for seed in range(800)]
    assert np.std([body.frontal + 0.35 * (body.age - 50) for body in bodies]) == pytest.approx(HARD.frontal.sd, rel=0.1)
    assert np.std([np.log(body.t_gain) for body in bodies]) == pytest.approx(HARD.t_gain.sd, rel=0.1)
    assert np.std([body.t_turn for body in bodies]) == pytest.approx(HARD.t_turn.sd, rel=0.1)
    assert np.mean([body.lookalike[0] == "RBBB" for body in bodies]) == pytest.approx(0.051, abs=0.025)


def test_waveforms_differ_more_between_patients_than_in_a_standard_cohort() -> None:
    spreads = {}
    for name in ("standard", "hard"):
        beats = []
        for seed in SEEDS:
            ecg = hard_ecg(seed, "NSR", difficulty=name)
            peak = ecg.rpeaks[len(ecg.rpeaks) // 2]
            beats.append(ecg.clean[:, peak - 50 : peak + 150])
        spreads[name] = np.var(beats, axis=0).mean()
    assert spreads["hard"] > 2 * spreads["standard"]


def test_labels_are_wrong_as_often_as_set() -> None:
    true, records = frozenset({"NSR", "LVH"}), 8000
    told = [record_findings(true, HARD, np.random.default_rng([7, seed])) for seed in range(records)]
    assert np.mean(["NSR" not in one for one in told]) == pytest.approx(HARD.wrong_rhythm, abs=0.01)
    assert np.mean(["LVH" not in one for one in told]) == pytest.approx(HARD.missed, abs=0.015)
    added = np.mean(["LAnFB" in one for one in told])
    assert added == pytest.approx(PTBXL_RATES["LAnFB"] * HARD.added, abs=0.004)
    rng = np.random.default_rng(0)
    assert record_findings(true, STANDARD, rng) == true
    assert rng.random() == np.random.default_rng(0).random()  # nothing was drawn


def test_rare_findings_show_what_defines_them() -> None:
    for seed in range(15):
        normal, wpw = hard_ecg(seed, "NSR").measurements, hard_ecg(seed, "NSR", "WPW").measurements
        assert wpw.qrs_onset - wpw.p_onset < 120 <= normal.qrs_onset - normal.p_onset
        assert wpw.qrs_end - wpw.qrs_onset > normal.qrs_end - normal.qrs_onset
        long = hard_ecg(seed, "NSR", "LQT").measurements
        assert (long.t_end - long.qrs_onset) / np.cbrt(long.rr_interval / 1000) > 450
    turned = [hard_ecg(seed, "NSR", "LAnFB").measurements.qrs_axis for seed in range(40)]
    usual = [hard_ecg(seed, "NSR").measurements.qrs_axis for seed in range(40)]
    assert np.median(turned) < -30 < np.median(usual)


def test_exchanged_arms_turn_lead_one_over_and_leave_the_chest() -> None:
    always = replace(HARD, reversed_arms=1.0)
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    body = draw_body(rng, HARD)
    draw_body(again, HARD)
    findings = frozenset({"NSR"})
    usual, swapped = (
        simulate_ecg(findings, body, rng, difficulty=replace(HARD, reversed_arms=1e-9)),
        simulate_ecg(findings, body, again, difficulty=always),
    )
    assert swapped.arms_reversed and not usual.arms_reversed
    np.testing.assert_allclose(swapped.clean[0], -usual.clean[0], atol=1e-12)
    np.testing.assert_allclose(swapped.clean[1], usual.clean[2], atol=1e-12)
    np.testing.assert_allclose(swapped.clean[6:], usual.clean[6:], atol=1e-12)


def test_a_hard_cohort_tells_its_truth_beside_its_labels(tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate_cohort(tmp_path / name, records=40, seed=2, difficulty="hard", seconds=3.0)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    truth = pd.read_csv(tmp_path / "a" / "truth.csv", dtype=str)
    assert len(truth) == 40
    known = {finding.code for finding in FINDINGS.values()}
    assert all(set(codes.split(",")) <= known for codes in truth["true_codes"])
    dx = [
        dict(line.split(": ", 1) for line in wfdb.rdheader(str(tmp_path / "a" / path)).comments)["Dx"]
        for path in truth["path"]
    ]
    assert 0 < sum(told != true for told, true in zip(dx, truth["true_codes"], strict=True)) < 20
    simulate_cohort(tmp_path / "standard", records=2, seed=2, seconds=3.0)
    assert not (tmp_path / "standard" / "truth.csv").exists()


def test_an_unknown_difficulty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'harder'"):
        find_difficulty("harder")
    with pytest.raises(ConfigError, match="standard, hard"):
        simulate_cohort(tmp_path / "c", records=2, difficulty="harder")
    assert list(tmp_path.iterdir()) == []
