"""Quality measures against slow plain ones, and on signals whose faults are known."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgkit.leads import STANDARD_LEADS
from ecgkit.signal.quality import FLAGS, HUM, MEASURES, flagged, measure
from tests.conftest import synthetic_signal

FS = 250.0
GONE = -32768


def plain(row: NDArray[np.int16], fs: float) -> dict[str, float]:
    """Measure one lead as the definitions say, sample by sample."""
    known = [int(v) for v in row if v != GONE]
    out = dict.fromkeys(("missing", *MEASURES), float("nan"))
    out["missing"] = 1 - len(known) / len(row)
    if not known:
        return out
    runs = [(value, len(list(group))) for value, group in itertools.groupby(row.tolist())]
    longest = max(n for value, n in runs if value != GONE)
    out["flat"] = longest / fs if longest >= max(2, round(0.2 * fs)) else 0.0
    low, high, mean = min(known), max(known), sum(known) // len(known)
    rails = [rail for rail in {low, high} if abs(rail - mean) >= 500]
    out["saturated"] = sum(n for value, n in runs if value in rails and n >= 3) / len(known)
    out["range"] = (high - low) / 1000
    held = []
    for value in row.tolist():
        held.append(value if value != GONE else held[-1] if held else known[0])
    step, window = max(1, round(0.02 * fs)), round(2 * fs)
    steps = [abs(b - a) for a, b in zip(held, held[step:], strict=False)]
    greatest, total = [], 0
    for w in range(max(1, len(row) // window)):
        part = steps[w * window : (w + 1) * window]
        greatest.append(max(part, default=0))
        total += sum(part)
    background = total / max(1, len(row) - step)
    out["r_wave"] = float(np.median(greatest)) / background if background else float("nan")
    return out


def rows() -> st.SearchStrategy[list[int]]:
    """Rows with long runs, rails and gaps."""
    run = st.tuples(st.integers(-900, 900) | st.just(GONE) | st.just(32767), st.integers(1, 80))
    return st.lists(run, min_size=1, max_size=25).map(lambda runs: [value for value, n in runs for _ in range(n)])


@settings(max_examples=150, deadline=None)
@given(rows())
def test_each_measure_is_the_plain_one(values: list[int]) -> None:
    row = np.array(values, np.int16)
    found = measure(row[None, None], FS, ("V1",))
    for name, expected in plain(row, FS).items():
        if name not in (*HUM, "residual"):
            np.testing.assert_allclose(found[name][0, 0], expected, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(("hz", "fs"), [(50, 500.0), (60, 500.0), (50, 250.0), (60, 360.0), (50, 128.0), (50.3, 500.0)])
def test_hum_is_measured_in_mv_whatever_the_ecg(hz: float, fs: float) -> None:
    time = np.arange(round(10 * fs)) / fs
    wander = 1.0 * np.sin(2 * np.pi * 0.3 * time) + 2.0
    hum = 0.1 * np.sin(2 * np.pi * hz * time + 1)
    stored = np.rint(1000 * np.stack([wander + hum, wander]))[None].astype(np.int16)
    found = measure(stored, fs, ("I", "II"))
    name = "hum60" if hz == 60 else "hum50"
    assert found[name][0, 0] == pytest.approx(0.1, rel=0.1)
    assert found[name][0, 1] < 0.001
    assert flagged(found, np.array([10.0]), np.array([True]))["mains-hum"].tolist() == [[True, False]]


def test_a_hum_that_the_rate_cannot_show_is_not_guessed() -> None:
    found = measure(np.zeros((1, 1, 1000), np.int16), 100.0, ("I",))
    assert np.isnan(found["hum50"]).all()
    assert np.isnan(found["hum60"]).all()


def test_residuals_are_the_plain_ones_and_leave_gaps_out() -> None:
    signal = np.rint(1000 * synthetic_signal(700, seed=3)).astype(np.int16)[None]
    signal[0, 4] += 300
    signal[0, 1, 100:200] = GONE
    found = measure(signal, FS, STANDARD_LEADS)["residual"][0]
    x = np.where(signal[0] == GONE, np.nan, signal[0].astype(float))
    derived = {2: x[1] - x[0], 3: -(x[0] + x[1]) / 2, 4: x[0] - x[1] / 2, 5: x[1] - x[0] / 2}
    scale = np.mean([np.nansum(d**2) for d in derived.values()])
    for k, d in derived.items():
        assert found[k] == pytest.approx(np.sqrt(np.nansum((x[k] - d) ** 2) / scale), rel=1e-5)
    assert np.isnan(found[[0, 1, *range(6, 12)]]).all()


def beats(fs: float = 500.0, seconds: float = 10.0) -> NDArray[np.float64]:
    """A lead in mV: an R wave of 1 mV and 20 ms each 0.8 s, a T wave, and noise of 10 uV."""
    time = np.arange(round(fs * seconds)) / fs
    phase = (time % 0.8) - 0.3
    noise = np.random.default_rng(0).normal(0, 0.01, len(time))
    return np.exp(-((phase / 0.012) ** 2)) + 0.3 * np.exp(-(((phase - 0.25) / 0.05) ** 2)) + noise


def faults() -> dict[str, NDArray[np.float64]]:
    fine = beats()
    clipped, flat, gap = 5 * fine, fine.copy(), fine.copy()
    flat[1000:1600] = flat[1000]
    gap[50:60] = np.nan
    return {
        "": fine,
        "missing": gap,
        "flat": flat,
        "saturated": np.minimum(clipped, 1.2),
        "lead-off": 0.004 * np.random.default_rng(1).normal(size=5000),
        "mains-hum": fine + 0.05 * np.sin(2 * np.pi * 50 * np.arange(5000) / 500),
        "no-r-wave": 0.3 * np.sin(2 * np.pi * 4 * np.arange(5000) / 500),  # as in ventricular fibrillation
    }


@pytest.mark.parametrize("flag", faults())
def test_each_fault_raises_its_own_flag(flag: str) -> None:
    signal = 1000 * faults()[flag]
    stored = np.where(np.isfinite(signal), np.rint(signal), GONE).astype(np.int16)
    flags = flagged(measure(stored[None, None], 500.0, ("V2",)), np.array([10.0]), np.array([True]))
    raised = {name for name, on in flags.items() if on.any()}
    assert raised - ({"no-r-wave"} if flag == "lead-off" else set()) == ({flag} if flag else set())
    assert set(flags) == set(FLAGS)


def test_amplitudes_of_no_unit_are_not_judged_in_mv() -> None:
    stored = np.rint(20 * beats())[None, None].astype(np.int16)  # 0.02 units
    found = measure(stored, 500.0, ("V2",))
    assert flagged(found, np.array([10.0]), np.array([True]))["lead-off"].any()
    assert not flagged(found, np.array([10.0]), np.array([False]))["lead-off"].any()


def test_a_record_is_measured_alike_in_any_company() -> None:
    rng = np.random.default_rng(5)
    stored = rng.integers(-2000, 2000, (5, 12, 600)).astype(np.int16)
    together = measure(stored, FS, STANDARD_LEADS)
    for n in range(5):
        alone = measure(stored[n : n + 1], FS, STANDARD_LEADS)
        for name in MEASURES:
            assert alone[name].tobytes() == together[name][n : n + 1].tobytes()
