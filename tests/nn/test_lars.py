"""LARS, and torch's own SGD and AdamW, against stored steps of the published optimisers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgkit.nn.lars import LARS

FORMS = ("lars_excluding", "lars_nesterov", "lars_mocov3", "sgd", "adamw")
FLOAT64, FLOAT32 = {"atol": 1e-8, "rtol": 1e-7}, {"atol": 1e-6, "rtol": 1e-4}


def optimizer_of(form: str, w: torch.Tensor, b: torch.Tensor, config: dict[str, Any]) -> torch.optim.Optimizer:
    groups = [{"params": [w], "weight_decay": config["weight_decay"]}, {"params": [b], "weight_decay": 0.0}]
    if form == "sgd":
        return torch.optim.SGD(groups, **config["sgd"])
    if form == "adamw":
        return torch.optim.AdamW(groups, **config["adamw"])
    norm = "sum" if form == "lars_mocov3" else "added"
    # The decay is given for all parameters: LARS itself leaves vectors alone.
    settings = {**config["lars"], "weight_decay": config["weight_decay"], "nesterov": form == "lars_nesterov"}
    return LARS([w, b], norm=norm, **settings)


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize("form", FORMS)
def test_steps_are_the_published_ones(golden: Path, form: str, precision: torch.dtype) -> None:
    with np.load(golden / "ssl_optimisers.npz") as file:
        stored = {name: file[name] for name in file.files}
    config = json.loads(str(stored["config"]))
    w, b = (torch.nn.Parameter(torch.from_numpy(stored[name]).to(precision)) for name in "wb")
    optimizer = optimizer_of(form, w, b, config)
    suffix, tolerance = ("", FLOAT64) if precision == torch.float64 else ("_f32", FLOAT32)
    for step in range(config["steps"]):
        w.grad, b.grad = (torch.from_numpy(stored[f"g{name}"][step]).to(precision) for name in "wb")
        optimizer.step()
        for name, p in (("w", w), ("b", b)):
            np.testing.assert_allclose(p.detach().numpy(), stored[f"{form}/{name}{step}{suffix}"], **tolerance)


@pytest.mark.parametrize("norm", ["added", "sum"])
def test_a_zero_weight_moves_by_its_gradient(norm: Any) -> None:
    w = torch.nn.Parameter(torch.zeros(2, 2))
    w.grad = torch.ones(2, 2)
    LARS([w], lr=0.5, norm=norm).step()
    assert torch.equal(w.detach(), torch.full((2, 2), -0.5))


def test_it_resumes_from_its_state() -> None:
    def made() -> tuple[torch.nn.Parameter, LARS]:
        p = torch.nn.Parameter(torch.arange(6.0).view(2, 3) + 1)
        return p, LARS([p], lr=0.1, weight_decay=0.01)

    def step(p: torch.nn.Parameter, optimizer: LARS, seed: int) -> None:
        p.grad = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))
        optimizer.step()

    (whole, straight), (half, stopped) = made(), made()
    for seed in range(4):
        step(whole, straight, seed)
    for seed in range(2):
        step(half, stopped, seed)
    resumed = torch.nn.Parameter(half.detach().clone())
    again = LARS([resumed], lr=0.1, weight_decay=0.01)
    again.load_state_dict(stopped.state_dict())
    for seed in (2, 3):
        step(resumed, again, seed)
    assert torch.equal(resumed, whole)
    assert not torch.equal(resumed, half)


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="added or sum"):
        LARS([torch.nn.Parameter(torch.zeros(2, 2))], lr=0.1, norm="other")  # type: ignore[arg-type]
