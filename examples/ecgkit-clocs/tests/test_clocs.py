"""CLOCS: every check of ecgkit's kit, its loss against stored values and plain loops, its halves and its batches."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_clocs.config import TINY
from ecgkit_clocs.model import Clocs, clocs_loss, halves

from ecgkit.methods import Batch, Clock
from ecgkit.testing import method_tests

VECTORS = Path(os.environ.get("ECGKIT_GOLDEN", Path(__file__).parents[3] / "tests" / "golden")) / "ssl_clocs.npz"
TOLERANCE = {"atol": 1e-8, "rtol": 1e-7}

test_clocs = method_tests("clocs")


def cases():
    with np.load(VECTORS) as file:
        return [name.removesuffix("/loss") for name in file.files if name.endswith("/loss")]


@pytest.mark.parametrize("case", cases())
def test_the_loss_is_the_published_one(case):
    with np.load(VECTORS) as file:
        stored = {name: file[name] for name in file.files}
    temperature = json.loads(str(stored["config"]))["temperature"]
    patients = torch.from_numpy(np.unique(stored[f"patient{case.lstrip('CMSL')}"], return_inverse=True)[1])
    embeddings = torch.from_numpy(stored[f"{case}/embeddings"]).requires_grad_()
    loss = clocs_loss(embeddings, patients, temperature)
    (gradient,) = torch.autograd.grad(loss, embeddings)
    np.testing.assert_allclose(loss.detach(), stored[f"{case}/loss"], **TOLERANCE)
    np.testing.assert_allclose(gradient, stored[f"{case}/grad"], **TOLERANCE)
    # The released code counts the last pair of views alone, divided by the number of pairs.
    views = embeddings.shape[-1]
    released = clocs_loss(embeddings[..., -2:], patients, temperature) / (views * (views - 1) / 2)
    np.testing.assert_allclose(released.detach(), stored[f"{case}/released_loss"], **TOLERANCE)


def test_different_patients_leave_half_of_the_first_bracket():
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 4, dtype=torch.float64)
    s = torch.nn.functional.normalize(a, dim=1) @ torch.nn.functional.normalize(b, dim=1).T / 0.1
    n = torch.arange(5)
    both = (torch.nn.functional.cross_entropy(s, n) + torch.nn.functional.cross_entropy(s.T, n)) / 2
    found = clocs_loss(torch.stack([a, b], dim=-1), n, 0.1)
    np.testing.assert_allclose(found, both, **TOLERANCE)


def test_one_view_has_nothing_to_compare():
    embeddings = torch.randn(3, 4, 1, requires_grad=True)
    assert clocs_loss(embeddings, torch.arange(3), 0.1) == 0


def test_both_halves_are_of_what_is_real():
    signal = torch.arange(1.0, 11.0).expand(2, 3, 10)
    (first, half), (second, _) = halves(signal, torch.tensor([10, 6]))
    assert half.tolist() == [5, 3]
    assert first[:, 0].tolist() == [[1, 2, 3, 4, 5], [1, 2, 3, 0, 0]]
    assert second[:, 0].tolist() == [[6, 7, 8, 9, 10], [4, 5, 6, 0, 0]]


@pytest.mark.parametrize("views", ["segments", "leads", "both"])
def test_every_choice_of_views_trains(views):
    torch.manual_seed(0)
    method = Clocs(replace(TINY, views=views))
    batch = Batch(
        torch.randn(4, 3, 1000), torch.arange(3), torch.arange(4), extra={"patients": torch.tensor([0, 0, 1, 2])}
    )
    assert method.views(batch).shape[-1] == {"segments": 2, "leads": 3, "both": 6}[views]
    method.training_step(batch, Clock.end()).loss.backward()
    assert all(p.grad.isfinite().all() for p in method.parameters())


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="temperature"):
        replace(TINY, temperature=0)
    with pytest.raises(ValueError, match="odd"):
        replace(TINY, kernel=4)
