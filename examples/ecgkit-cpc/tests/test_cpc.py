"""CPC: every check of ecgkit's kit, its loss against a slow plain one, and that no context knows the future."""

from dataclasses import replace

import pytest
import torch
from ecgkit_cpc.config import TINY
from ecgkit_cpc.model import Cpc, info_nce_ahead

from ecgkit.methods import Batch, Clock
from ecgkit.testing import method_tests

test_cpc = method_tests("cpc_gru")


def plain_loss(foretold, z, real, k):
    """InfoNCE by loops over records, steps and candidates."""
    B, n, D = z.shape
    of_records = []
    for b in range(B):
        terms = []
        for t in range(n - k):
            if not real[b, t + k]:
                continue
            score = (foretold[b, t] @ z[b, t + k]) / D**0.5
            of_others = [(foretold[b, t] @ z[m, t + k]) / D**0.5 for m in range(B) if m != b and real[m, t + k]]
            terms.append(torch.logsumexp(torch.stack([score, *of_others]), 0) - score)
        of_records.append(torch.stack(terms).mean() if terms else torch.zeros(()))
    return torch.stack(of_records).mean()


@pytest.mark.parametrize(("records", "steps", "k"), [(1, 5, 2), (4, 7, 1), (3, 6, 5)])
def test_the_loss_is_that_of_plain_loops(records, steps, k):
    torch.manual_seed(records)
    z, foretold = torch.randn(records, steps, 8), torch.randn(records, steps - k, 8)
    real = torch.ones(records, steps, dtype=torch.bool)
    real[0, -2:] = False
    others = real[None] & ~torch.eye(records, dtype=torch.bool)[..., None]
    found = info_nce_ahead(foretold, z, z, real, others, k)
    assert torch.allclose(found, plain_loss(foretold, z, real, k), atol=1e-5)


def test_a_context_knows_nothing_of_what_follows():
    torch.manual_seed(0)
    model = Cpc(TINY).eval()
    signal = torch.randn(2, 12, 1000)
    changed = signal.clone()
    changed[..., 600:] = 0
    ids = torch.arange(12)
    a, b = (model.encoder(x, ids).tokens for x in (signal, changed))
    # A step reaches 46 samples, 15 of them before its own 16 and 15 after.
    assert torch.equal(a[:, :36], b[:, :36])
    assert not torch.equal(a[:, 37:], b[:, 37:])


def test_what_is_foretold_is_nearer_than_a_step_can_see():
    receptive = 1 + sum(3 * 2**i for i in range(TINY.convolutions))
    assert receptive <= min(TINY.ahead) * TINY.hop


def test_a_lead_that_is_not_given_is_zero_on_its_scale():
    torch.manual_seed(0)
    model = Cpc(TINY).eval()
    signal = torch.randn(2, 12, 1000)
    signal[:, 3:] = 0
    full, few = model.encoder(signal, torch.arange(12)), model.encoder(signal[:, :3], torch.arange(3))
    assert torch.equal(full.pooled, few.pooled)
    assert model.encoder.fill == "zeros"


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="ahead"):
        replace(TINY, ahead=(70,))
    with pytest.raises(ValueError, match="at least 1"):
        replace(TINY, width=0)


def test_a_batch_of_one_short_record_gives_a_finite_loss():
    batch = Batch(torch.zeros(1, 12, 1000), torch.arange(12), torch.arange(1), torch.tensor([20]))
    assert torch.isfinite(Cpc(TINY).training_step(batch, Clock.end()).loss)
