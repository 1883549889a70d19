"""Augmentations against the published code's results, and their properties: neutral draws, relations, any leads."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgkit.entries import AugmentationEntry
from ecgkit.errors import LeadError
from ecgkit.leads import DERIVED, STANDARD_LEADS
from ecgkit.plugins import host
from ecgkit.signal.augment import amplitude, baseline, lead_masks, mains, noise, vcg, warps
from ecgkit.signal.augment.base import Augmentation, Layout, Signal
from ecgkit.signal.augment.mixup import mixup

TOLERANCE = {"atol": 1e-8, "rtol": 1e-7}
RELEASED_IN_FLOAT32 = {"wander"}  # the published code casts its noise
Vectors = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="module")
def vectors(golden: Path) -> Vectors:
    with np.load(golden / "ssl_augment.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def vcg_vectors(golden: Path) -> Vectors:
    with np.load(golden / "ssl_vcg.npz") as file:
        return {name: file[name] for name in file.files}


def layout_of(vectors: Vectors) -> Layout:
    config = json.loads(str(vectors["config"]))
    return Layout(tuple(config.get("leads", STANDARD_LEADS)), config["samples"], config["fs"])


def draws_of(vectors: Vectors, name: str) -> dict[str, Any]:
    """Return what is stored of an augmentation besides its results."""
    stored = {key.partition("/")[2]: value for key, value in vectors.items() if key.startswith(f"{name}/")}
    return {key: value[()] for key, value in stored.items() if not key.startswith("y")}


# By stored name: the function, where its arguments are the stored draws.
PLAIN: dict[str, Callable[..., Signal]] = {
    "gauss": noise.gauss,
    "jitter_tstcc": noise.gauss,
    "emg": noise.emg,
    "emg_independent": noise.emg_independent,
    "noise_relative": noise.noise_relative,
    "noise_snr": noise.noise_snr,
    "powerline": mains.powerline,
    "wander": baseline.wander,
    "wander_mehari": baseline.wander_mehari,
    "wander_torch_ecg": baseline.wander_torch_ecg,
    "steps_mehari": baseline.steps_mehari,
    "scale": amplitude.scale,
    "timeout": amplitude.timeout,
    "blur": amplitude.blur,
    "lead_mask": lead_masks.lead_mask,
    "lead_dropout": lead_masks.lead_dropout,
    "crop_resize": warps.crop_resize,
    "resized_crop": warps.resized_crop,
    "time_warp": warps.time_warp,
    "dtw": warps.dtw,
    "stretch": warps.stretch,
    "permutation": warps.permutation,
}


@pytest.mark.parametrize("name", PLAIN)
def test_published_results(vectors: Vectors, name: str) -> None:
    found = PLAIN[name](vectors["x"], layout_of(vectors), **draws_of(vectors, name))
    tolerance = {"atol": 1e-6} if name in RELEASED_IN_FLOAT32 else TOLERANCE
    np.testing.assert_allclose(found, vectors[f"{name}/y"], **tolerance)


def test_compression_is_a_negative_stretch(vectors: Vectors) -> None:
    found = warps.stretch(vectors["x"], layout_of(vectors), ratio=-float(vectors["compress/ratio"]))
    np.testing.assert_allclose(found, vectors["compress/y"], **TOLERANCE)


def test_noise_that_has_its_amplitude(vectors: Vectors) -> None:
    found = noise.emg_mehari(vectors["x"], layout_of(vectors), noise=vectors["emg_mehari/noise"])
    np.testing.assert_allclose(found, vectors["emg_mehari/y"], **TOLERANCE)


def test_conditional_lead_masks(vectors: Vectors) -> None:
    hidden = draws_of(vectors, "lead_mask_conditional")
    found = lead_masks.lead_mask_conditional(vectors["x"], layout_of(vectors), **hidden)
    np.testing.assert_allclose(found, vectors["lead_mask_conditional/y"], **TOLERANCE)


def test_time_shifts(vectors: Vectors) -> None:
    names = [name for name in vectors if name.startswith("time_shift/") and not name.endswith("_f32")]
    assert names
    for name in names:
        found = warps.time_shift(vectors["x"], layout_of(vectors), shift=int(name.partition("/")[2]))
        np.testing.assert_allclose(found, vectors[name], **TOLERANCE)


def test_mixup(vectors: Vectors) -> None:
    found, labels = mixup(
        vectors["mixup/x"],
        vectors["mixup/labels"],
        proportion=float(vectors["mixup/lambda"]),
        order=vectors["mixup/order"],
    )
    np.testing.assert_allclose(found, vectors["mixup/y"], **TOLERANCE)
    np.testing.assert_allclose(labels, vectors["mixup/y_labels"], **TOLERANCE)


def test_released_forms_that_are_not_offered(vectors: Vectors) -> None:
    """What the published code does otherwise: C squared, a factor per sample, a jump of 1 mV, one lead for all."""
    x, layout = vectors["x"], layout_of(vectors)
    hum = draws_of(vectors, "powerline_mehari")
    squared = mains.powerline_mehari(x, layout, **{**hum, "C": hum["C"] ** 2})
    factor = amplitude.scaling_tstcc(x, layout, factor=vectors["scaling_tstcc/factor"])
    shift = draws_of(vectors, "shift_baseline")
    jump = baseline.shift_baseline(
        x, layout, offset=shift["sign"] - shift["u"], start=int(shift["start"]), stop=int(shift["stop"])
    )
    permuted = warps.permutation(x[:1], layout, **draws_of(vectors, "permutation"))
    found = {"powerline_mehari": squared, "scaling_tstcc": factor, "shift_baseline": jump, "permutation": permuted}
    for name, y in found.items():
        stored = vectors[f"{name}/y_released"]
        np.testing.assert_allclose(np.broadcast_to(y, stored.shape), stored, **TOLERANCE, err_msg=name)


def test_every_stored_result_is_checked(vectors: Vectors) -> None:
    stored = {name.partition("/")[0] for name in vectors if "/" in name}
    others = {"emg_mehari", "compress", "lead_mask_conditional", "time_shift", "mixup"}
    released = {"powerline_mehari", "scaling_tstcc", "shift_baseline"}
    assert stored == PLAIN.keys() | others | released


def views_of(vectors: Vectors) -> list[tuple[Signal, Signal, Signal, Signal]]:
    return list(zip(vectors["angles"], vectors["scales"], vectors["y_before_mask"], vectors["y"], strict=True))


def test_vcg_as_released(vcg_vectors: Vectors) -> None:
    layout, share = layout_of(vcg_vectors), json.loads(str(vcg_vectors["config"]))["mask_ratio"]
    for view, (angles, scales, before, after) in enumerate(views_of(vcg_vectors)):
        np.testing.assert_allclose(vcg.rotation(angles), vcg_vectors["rotation"][view], atol=1e-12)
        turned = vcg.vcg(vcg_vectors["x"], layout, angles=angles, scales=scales)
        np.testing.assert_allclose(turned, before, **TOLERANCE)
        starts = vcg_vectors["mask_starts"][view]
        masked = lead_masks.lead_timeout(turned, layout, starts=starts, length=int(share * layout.samples))
        np.testing.assert_allclose(masked, after, **TOLERANCE)


@pytest.mark.parametrize("way", ["dower", "residual"])
def test_other_ways_back_from_the_vcg(vcg_vectors: Vectors, way: vcg.Way) -> None:
    angles, scales = vcg_vectors["angles"][0], vcg_vectors["scales"][0]
    found = vcg.vcg(vcg_vectors["x"], layout_of(vcg_vectors), angles=angles, scales=scales, way=way)
    np.testing.assert_allclose(found, vcg_vectors[f"{way}/y"], **TOLERANCE)


def test_vcg_matrices(vcg_vectors: Vectors) -> None:
    np.testing.assert_array_equal(vcg.INVERSE_DOWER, vcg_vectors["inverse_dower"])
    np.testing.assert_array_equal(vcg.INVERSE_DOWER_3KG, vcg_vectors["inverse_dower_fairseq"])
    np.testing.assert_array_equal(vcg.DOWER, vcg_vectors["dower"])
    np.testing.assert_allclose(np.linalg.pinv(vcg.INVERSE_DOWER_3KG), vcg_vectors["pinv_inverse_dower_fairseq"])
    layout, rest = layout_of(vcg_vectors), {"angles": np.zeros(3), "scales": np.ones(3)}
    back = vcg.vcg(vcg_vectors["x"], layout, **rest, way="dower")
    np.testing.assert_allclose(back, vcg_vectors["dower/round_trip"], **TOLERANCE)
    dipole = vcg.INVERSE_DOWER @ vcg_vectors["x"][layout.rows(vcg.INDEPENDENT)]
    np.testing.assert_allclose(dipole, vcg_vectors["dower/vcg"], **TOLERANCE)


# Draws that leave a signal as it is, by name; every augmentation has some but those that always change it.
L, T = 12, 90
LAYOUT = Layout(STANDARD_LEADS, T, 100.0)
ZEROS, NONE = np.zeros((L, T)), np.empty(0, np.int64)
WAVES = {"lead_gain": np.ones((L, 1)), "amplitude": np.zeros(3), "phase": np.ones(3)}
NEUTRAL: dict[str, dict[str, Any]] = {
    "gauss": {"noise": ZEROS, "sigma": 1.0},
    "jitter_tstcc": {"noise": np.ones((L, T)), "sigma": 0.0},
    "emg": {"noise": np.ones((L, T)), "amplitude": np.zeros((L, 1))},
    "emg_independent": {"noise": np.ones((L, T)), "amplitude": np.zeros((L, 1))},
    "emg_mehari": {"noise": ZEROS},
    "noise_relative": {"noise": np.ones((L, T)), "ratio": 0.0},
    "noise_snr": {"noise": ZEROS, "snr_db": 5.0},
    "powerline": {"amplitude": 0.0, "frequency": 50.0, "phase": 1.0},
    "powerline_mehari": {"C": 0.0, "amplitude": np.ones(3), "phase": 1.0, "lead_gain": np.ones(L), "base": 50.0},
    "wander": {**WAVES, "frequency": np.ones(3)},
    "wander_mehari": {**WAVES, "lead_gain": np.ones(L), "C": 1.0, "df": 0.01},
    "wander_torch_ecg": {
        "start_degrees": np.ones(3),
        "frequency": np.ones(3),
        "amplitude": np.zeros(3),
        "noise": ZEROS,
    },
    "steps_mehari": {"C": 1.0, "middle": NONE, "seconds": NONE, "amplitude": NONE, "lead_gain": np.ones(L)},
    "shift_baseline": {"offset": np.zeros((L, 1)), "start": 3, "stop": 9},
    "scale": {"log_factor": np.zeros(L)},
    "scaling_tstcc": {"factor": np.ones((L, 1))},
    "timeout": {"start": 4, "length": 0},
    "lead_mask": {"u": np.zeros(L), "p": 0.0},
    "lead_dropout": {"u": np.zeros(L), "p": 0.0},
    "lead_mask_conditional": {"hidden_limb": NONE, "hidden_chest": NONE},
    "lead_timeout": {"starts": np.arange(L), "length": 0},
    "crop_resize": {"start": 0, "length": T},
    "resized_crop": {"start": 0, "length": T, "positions": np.arange(T)},
    "time_shift": {"shift": 0},
    "time_warp": {"steps": np.zeros(T), "epsilon": 10.0},
    "dtw": {"centers": NONE, "radius": 3},
    "stretch": {"ratio": 0.0},
    "permutation": {"cuts": np.array([9, 4]), "order": np.arange(3)},
    "vcg": {"angles": np.zeros(3), "scales": np.ones(3), "way": "residual"},
}
ALWAYS_CHANGE = {"blur"}


def entries() -> dict[str, AugmentationEntry]:
    shipped = host().entries(AugmentationEntry)
    return {name: entry for name, entry in shipped.items() if host().owner(entry).name == "core-augmentations"}


def a_signal(seed: int = 0, leads: tuple[str, ...] = STANDARD_LEADS) -> Signal:
    rng = np.random.default_rng(seed)
    x = {name: rng.normal(size=T) for name in ("I", "II", *STANDARD_LEADS[6:])}
    x |= {name: a * x["I"] + b * x["II"] for name, (a, b) in DERIVED.items()}
    return np.stack([x[name] for name in leads])


def test_neutral_draws_are_listed_for_all() -> None:
    assert NEUTRAL.keys() | ALWAYS_CHANGE == entries().keys()


@pytest.mark.parametrize("related", [True, False])
@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_draws_change_nothing(name: str, related: bool) -> None:
    """Also of leads that were scaled one by one, which obey no relation any more."""
    x = a_signal() * (1.0 if related else np.arange(1, L + 1)[:, None]) + (0.0 if related else 0.3)
    kept = x.copy()
    np.testing.assert_allclose(entries()[name].load().apply(x, LAYOUT, **NEUTRAL[name]), x, atol=1e-12)
    np.testing.assert_array_equal(x, kept)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), leads=st.permutations(STANDARD_LEADS), count=st.integers(1, 12))
@pytest.mark.parametrize("name", sorted(entries()))
def test_random_draws_work_on_any_leads(name: str, seed: int, leads: tuple[str, ...], count: int) -> None:
    leads = tuple(leads[:count])
    x, layout = a_signal(seed, leads), Layout(leads, T, 100.0)
    kept = x.copy()
    kind = entries()[name].load()
    augmentation: Augmentation = kind(way="residual") if name == "vcg" else kind()
    y = augmentation(x, layout, np.random.default_rng(seed))
    again = augmentation(x, layout, np.random.default_rng(seed))
    assert y.shape == x.shape
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(y, again)
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("name", ["emg", "powerline", "wander", "vcg"])
def test_limb_leads_stay_related(name: str) -> None:
    leads = tuple(reversed(STANDARD_LEADS))
    x, layout = a_signal(3, leads), Layout(leads, T, 100.0)
    y = entries()[name].load()()(x, layout, np.random.default_rng(5))
    assert np.abs(y - x).max() > 0.01
    for lead, (a, b) in DERIVED.items():
        row, one, two = (leads.index(n) for n in (lead, "I", "II"))
        np.testing.assert_allclose(y[row], a * y[one] + b * y[two], atol=1e-12)


def test_a_lead_without_its_parents_gets_its_own_noise() -> None:
    leads = ("III", "I", "V1")
    x, layout = a_signal(3, leads), Layout(leads, T, 100.0)
    given = np.random.default_rng(0).normal(size=x.shape)
    np.testing.assert_allclose(noise.emg(x, layout, noise=given, amplitude=np.ones((3, 1))), x + given)


def test_augmentations_work_on_very_short_signals() -> None:
    for samples in (2, 3, 5):
        layout = Layout(("I", "II"), samples, 100.0)
        for name, entry in entries().items():
            kind = entry.load()
            augmentation = kind(way="residual") if name == "vcg" else kind()
            y = augmentation(np.ones((2, samples)), layout, np.random.default_rng(1))
            assert y.shape == (2, samples), name


def test_vcg_without_its_leads_says_what_to_do() -> None:
    x, layout = a_signal(0, ("I", "II", "V1")), Layout(("I", "II", "V1"), T, 100.0)
    with pytest.raises(LeadError, match="lacks V2, V3, V4, V5, V6.*way=residual"):
        vcg.Vcg()(x, layout, np.random.default_rng(0))
