"""Every public encoder on fewer leads, other rates and other lengths, as its page says; sizes of the tiny presets."""

from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ecgkit.arrays.encoder import TrainedEncoder
from ecgkit.entries import MethodEntry
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import method_config
from ecgkit.methods.habits import habits_of
from ecgkit.plugins import host
from ecgkit.signal.resample import resample
from ecgkit.simulate.ecg import simulate_ecg
from ecgkit.simulate.patient import draw_body

PUBLIC = ("ecgcpc", "ecgfm", "ecgfounder", "ecgjepa", "hubertecg", "inception1d", "ked", "s4", "xresnet1d101")
# How far features of one recording at 100 Hz may lie from those at 500 Hz, as a share of those of a recording
# that has nothing in common with it.
ALIKE = 0.5


@cache
def encoder_of(name: str) -> TrainedEncoder:
    entry = host().get(MethodEntry, name)
    _, config = method_config(entry, "tiny")
    torch.manual_seed(0)
    return TrainedEncoder(name, entry, entry.load()(config).encoder, config.signal)


@cache
def recording(seconds: float, seed: int = 0) -> NDArray[np.float64]:
    """A clean simulated ECG of 12 leads at 500 Hz, in mV."""
    rng = np.random.default_rng(seed)
    return simulate_ecg(frozenset({"NSR"}), draw_body(rng), rng, seconds=seconds).clean


def pooled(
    name: str, signal: NDArray[np.float64], fs: float = 500, leads: tuple[str, ...] = STANDARD_LEADS
) -> NDArray[np.float32]:
    return encoder_of(name)(signal, fs, leads, "mV", derive=False).pooled


def away(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(a - b))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_longer_recording_counts_with_its_first_10_s(name: str) -> None:
    long = recording(30.0)
    np.testing.assert_array_equal(pooled(name, long), pooled(name, long[:, :5000]))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_recording_of_5_s_has_features(name: str) -> None:
    short = pooled(name, recording(10.0)[:, :2500])
    assert np.isfinite(short).all()
    assert away(short, pooled(name, recording(10.0))) > 0


@pytest.mark.parametrize("fs", [100, 250])
@pytest.mark.parametrize("name", PUBLIC)
def test_other_rates_are_resampled(name: str, fs: float) -> None:
    signal = recording(10.0)
    same, other = pooled(name, resample(signal, 500, fs), fs), pooled(name, recording(10.0, 5))
    whole = pooled(name, signal)
    assert away(same, whole) < ALIKE * away(other, whole)


@pytest.mark.parametrize("name", PUBLIC)
def test_one_lead_is_read_beside_the_filling_of_the_others(name: str) -> None:
    signal = recording(10.0)
    encoder = encoder_of(name)
    alone = pooled(name, signal[:1], leads=("I",))
    assert np.isfinite(alone).all()
    assert away(alone, pooled(name, signal)) > 0
    if encoder.encoder.fill == "zeros" and encoder.spec.normalize in ("none", "lead-zscore"):
        blank = np.zeros_like(signal)
        blank[0] = signal[0]
        np.testing.assert_allclose(alone, pooled(name, blank), atol=1e-5)


def test_cards_say_what_becomes_of_other_records() -> None:
    founder, fm = (habits_of(encoder_of(name).encoder, encoder_of(name).spec) for name in ("ecgfounder", "ecgfm"))
    assert founder == {
        "fewer leads": "zeros in place of the others",
        "a record below 10 s": "ends with zeros",
        "a record above 10 s": "its first 10 s",
    }
    assert fm["a record above 5 s"] == "features are the mean over the crops at 0, 5 s of its first 10 s"
