"""JEPA: every check of ecgkit's kit, its loss and targets against stored values, its masks and its teacher."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_jepa.config import TINY
from ecgkit_jepa.masking import draw_hidden, hide_blocks
from ecgkit_jepa.model import Jepa, jepa_loss, normalized

from ecgkit.methods import Batch, Clock
from ecgkit.nn.masking import gather_tokens
from ecgkit.testing import method_tests

VECTORS = Path(os.environ.get("ECGKIT_GOLDEN", Path(__file__).parents[3] / "tests" / "golden")) / "ssl_jepa.npz"
TOLERANCE = {"atol": 1e-8, "rtol": 1e-7}

test_jepa = method_tests("jepa")


@pytest.fixture(scope="module")
def vectors():
    with np.load(VECTORS) as file:
        return {name: torch.from_numpy(file[name]) if name != "config" else file[name] for name in file.files}


def test_the_targets_are_the_published_ones(vectors):
    config = json.loads(str(vectors["config"]))
    picked = torch.stack([gather_tokens(normalize64(vectors["h"]), mask) for mask in vectors["prediction_masks"]])
    rows = picked[:, None].expand(-1, config["context_masks"], -1, -1, -1).flatten(0, 2)
    np.testing.assert_allclose(rows, vectors["target"], **TOLERANCE)


def normalize64(h):
    """The method computes targets in single precision; the stored ones are in double."""
    np.testing.assert_allclose(normalized(h), torch.nn.functional.layer_norm(h, h.shape[-1:]), atol=1e-5)
    return torch.nn.functional.layer_norm(h, h.shape[-1:])


def test_the_losses_are_the_published_ones(vectors):
    z = vectors["z"].clone().requires_grad_()
    everything = torch.ones(z.shape[:2], dtype=torch.bool)
    loss = jepa_loss(z, vectors["target"], everything, "smooth_l1")
    (gradient,) = torch.autograd.grad(loss, z)
    np.testing.assert_allclose(loss.detach(), vectors["loss"], **TOLERANCE)
    np.testing.assert_allclose(gradient, vectors["grad"], **TOLERANCE)
    rows = len(vectors["l1_grad"])
    first = vectors["z"][:rows].clone().requires_grad_()
    target = gather_tokens(vectors["h"], vectors["prediction_masks"][0])
    loss = jepa_loss(first, target, everything[:rows], "l1")
    (gradient,) = torch.autograd.grad(loss, first)
    np.testing.assert_allclose(loss.detach(), vectors["l1_loss"], **TOLERANCE)
    np.testing.assert_allclose(gradient, vectors["l1_grad"], **TOLERANCE)


@pytest.mark.parametrize("seed", range(20))
def test_hidden_tokens_lie_in_blocks(seed):
    rng = np.random.default_rng(seed)
    mask = hide_blocks(200, 160, 10, rng)
    assert mask.sum() == 160
    edges = np.flatnonzero(np.diff(np.pad(mask, 1).astype(int)))
    assert (edges[1::2] - edges[::2]).min() >= 1
    assert (edges[1::2] - edges[::2]).max() >= 10


def test_masks_keep_the_share_and_hide_no_padding():
    torch.manual_seed(0)
    real = torch.arange(100) < torch.tensor([100, 40, 1, 2])[:, None]
    hidden = draw_hidden(real, (0.15, 0.25), 5)
    assert not (hidden & ~real).any()
    visible = (real & ~hidden).sum(1)
    assert 15 <= visible[0] <= 25
    assert 6 <= visible[1] <= 10
    assert visible[2:].tolist() == [1, 1]


def test_the_loss_ignores_what_is_visible():
    torch.manual_seed(0)
    predicted, target = torch.randn(2, 3, 6, 4)
    hidden = torch.rand(3, 6) < 0.5
    other = torch.where(hidden[..., None], predicted, torch.randn(3, 6, 4))
    assert torch.equal(jepa_loss(predicted, target, hidden, "l1"), jepa_loss(other, target, hidden, "l1"))


def test_the_teacher_starts_as_the_student_and_follows_it():
    torch.manual_seed(0)
    method = Jepa(TINY)
    weight, start = method.student.norm.weight, method.encoder.norm.weight.clone()
    assert torch.equal(weight, start)
    assert not any(p.requires_grad for p in method.encoder.parameters())
    with torch.no_grad():
        weight.add_(1.0)
    method.after_step(Clock.at(0, 10, 1))
    assert torch.allclose(method.encoder.norm.weight, start + 1 - TINY.momentum[0], atol=1e-6)


def test_a_student_that_sees_all_that_is_hidden_would_cheat():
    """Changing a hidden stretch of the signal changes the target, and not what the student makes of the rest."""
    torch.manual_seed(0)
    method = Jepa(TINY).eval()
    signal = torch.randn(1, 12, TINY.signal.samples)
    real = method.student.real_tokens(signal, None)
    torch.manual_seed(3)
    hidden = draw_hidden(real, TINY.keep, TINY.shortest)
    changed = signal.clone()
    changed[:, :, hidden[0].repeat_interleave(TINY.patch)] += 1.0
    seen = []
    for x in (signal, changed):
        torch.manual_seed(3)
        handle = method.predictor.register_forward_hook(lambda m, a, out: seen.append(out))
        method.training_step(Batch(x, torch.arange(12), torch.arange(1)), Clock.end())
        handle.remove()
    assert torch.equal(*seen)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="keep"):
        replace(TINY, keep=(0.3, 0.2))
    with pytest.raises(ValueError, match="multiples of heads"):
        replace(TINY, width=47)
