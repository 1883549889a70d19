"""Schedules against the published trainers' values, torch's own schedulers, and their properties."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgkit.schedules import after_warm_up, cosine, inverse_square_root, linear, restarts, steps, warm_up

Values = NDArray[np.float64]


def dino_lr(config: Mapping[str, Any], stored: Values) -> list[float]:
    S, w = config["steps"], config["warmup_epochs"] * config["steps_per_epoch"]
    peak, end = config["dino"]["lr"]
    return [warm_up(peak, s / (w - 1), 1) if s < w else cosine(peak, end, (s - w) / (S - w)) for s in range(S)]


def lightly_lr_factor(config: Mapping[str, Any], stored: Values) -> list[float]:
    S, w = config["steps"], config["warmup_epochs"] * config["steps_per_epoch"]
    return [(s + 1) / w if s < w else cosine(1, stored[-1], (s - w) / (S - 1 - w)) for s in range(S)]


def mocov3_lr(config: Mapping[str, Any], stored: Values) -> list[float]:
    peak, share = config["mocov3"]["lr"], config["warmup_epochs"] / config["epochs"]
    progress = [s / config["steps_per_epoch"] / config["epochs"] for s in range(config["steps"])]
    return [warm_up(peak, p, share) if p < share else cosine(peak, 0, after_warm_up(p, share)) for p in progress]


def ijepa_lr(config: Mapping[str, Any], stored: Values) -> list[float]:
    # The rate starts at a fifth of its peak in the stored settings: start and peak follow from two of its values.
    w, S = config["warmup_epochs"] * config["steps_per_epoch"], int(config["steps"] * config["ijepa_ipe_scale"])
    step = stored[1] - stored[0]
    start, peak = stored[0] - step, stored[0] + (w - 1) * step
    return [
        warm_up(peak, s, w, start) if s < w else cosine(peak, 1e-6, (s - w) / (S - w))
        for s in range(1, config["steps"] + 1)
    ]


def ecgjepa_lr(config: Mapping[str, Any], stored: Values) -> list[float]:
    S, w = config["steps"], config["warmup_epochs"] * config["steps_per_epoch"]
    low, peak = stored[0], stored[w]
    return [warm_up(peak, s, w, low) if s < w else cosine(peak, low, (s - w) / (S - 1 - w)) for s in range(S)]


def by_progress(
    curve: Callable[[float, float, float], float], at: Callable[[int, int], float], start: float, end: float
) -> Callable[[Mapping[str, Any], Values], list[float]]:
    """Return a schedule over as many steps as are stored, from `start` to `end`."""

    def values(config: Mapping[str, Any], stored: Values) -> list[float]:
        return [curve(start, end, at(s, len(stored))) for s in range(len(stored))]

    return values


def open_end(s: int, S: int) -> float:
    return s / S


def closed_end(s: int, S: int) -> float:
    return s / (S - 1)


SCHEDULES: dict[str, Callable[[Mapping[str, Any], Values], list[float]]] = {
    "dino_lr": dino_lr,
    "dino_wd": lambda c, v: by_progress(cosine, open_end, *c["dino"]["wd"])(c, v),
    "dino_momentum": lambda c, v: by_progress(cosine, open_end, *c["dino"]["momentum"])(c, v),
    "dino_teacher_temperature": lambda c, v: [
        linear(v[0], v[-1], e / max(int(np.argmax(v == v[-1])), 1)) for e in range(len(v))
    ],
    "lightly_momentum": lambda c, v: by_progress(cosine, closed_end, v[0], 1.0)(c, v),
    "lightly_lr_factor": lightly_lr_factor,
    "mocov3_lr": mocov3_lr,
    "mocov3_momentum": lambda c, v: by_progress(cosine, open_end, c["mocov3"]["momentum"], 1.0)(c, v),
    "ijepa_lr": ijepa_lr,
    "ijepa_wd": lambda c, v: by_progress(cosine, lambda s, S: (s + 1) / int(S * c["ijepa_ipe_scale"]), 0.04, 0.4)(c, v),
    "ijepa_momentum": lambda c, v: by_progress(linear, lambda s, S: s / (S * c["ijepa_ipe_scale"]), v[0], 1.0)(c, v),
    "data2vec_decay": lambda c, v: by_progress(linear, lambda s, S: (s + 1) / c["data2vec_anneal_end"], 0.999, 0.9999)(
        c, v
    ),
    "ecgjepa_momentum": lambda c, v: by_progress(linear, open_end, v[0], 0.9995)(c, v),
    "ecgjepa_lr": ecgjepa_lr,
    "ecgjepa_wd": lambda c, v: by_progress(cosine, closed_end, v[0], v[-1])(c, v),
    "bolts_byol_tau": lambda c, v: by_progress(cosine, open_end, v[0], 1.0)(c, v),
    "spt_momentum_by_epoch": lambda c, v: by_progress(cosine, open_end, v[0], 1.0)(c, v),
    "simsiam_lr": lambda c, v: by_progress(cosine, open_end, v[0], 0.0)(c, v),
    "crt_mask_ratio": lambda c, v: [max(0.3, min(0.8, linear(0, 1, e / len(v)))) for e in range(len(v))],
}


def test_every_stored_schedule_is_checked(golden: Path) -> None:
    with np.load(golden / "ssl_schedules.npz") as stored:
        assert set(stored.files) - {"config"} == SCHEDULES.keys()


@pytest.mark.parametrize("name", SCHEDULES)
def test_published_schedules(golden: Path, name: str) -> None:
    with np.load(golden / "ssl_schedules.npz") as stored:
        config, values = json.loads(str(stored["config"])), stored[name]
    np.testing.assert_allclose(SCHEDULES[name](config, values), values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("growth", [1, 2])
def test_restarts_are_those_of_torch(growth: int) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 5, growth, eta_min=0.01)
    for s in range(40):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(restarts(0.3, 0.01, s, 5, growth), abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_steps_are_those_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 9], 0.1)
    for s in range(12):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(steps(0.3, s, (4, 9), 0.1), abs=1e-15)
        optimizer.step()
        scheduler.step()


def test_inverse_square_root_is_that_of_the_transformer() -> None:
    """Vaswani et al., section 5.3: lr = d^-0.5 min(s^-0.5, s w^-1.5), whose peak is (d w)^-0.5."""
    d, w = 64, 7
    for s in range(1, 40):
        expected = d**-0.5 * min(s**-0.5, s * w**-1.5)
        assert inverse_square_root((d * w) ** -0.5, s, w) == pytest.approx(expected, rel=1e-12)


@given(start=st.floats(-5, 5), end=st.floats(-5, 5), p=st.floats(-1, 2), q=st.floats(-1, 2))
def test_curves_run_from_start_to_end_and_stay_there(start: float, end: float, p: float, q: float) -> None:
    for curve in (linear, cosine):
        assert curve(start, end, 0) == pytest.approx(start, abs=1e-12)
        assert curve(start, end, max(1, p)) == pytest.approx(end, abs=1e-12)
        low, high = sorted((p, q))
        moved = (curve(start, end, high) - curve(start, end, low)) * math.copysign(1, end - start)
        assert moved >= -1e-12


def test_no_warm_up_gives_the_peak_at_once() -> None:
    assert warm_up(0.3, 0.0, 0.0) == 0.3
    assert after_warm_up(0.25, 0.0) == 0.25
