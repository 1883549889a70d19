"""Dropout keeps the share and the mean that it says, draws anew for each record, and passes gradients where it kept."""

import pytest
import torch

from ecgkit.nn.dropout import dropout
from ecgkit.nn.query_network import QueryNetwork, fused, written_out


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_share_and_mean_are_met_and_gradients_follow(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(401, 1003, dtype=dtype, requires_grad=True)  # no multiple of four
    out = dropout(x, share, True)
    deviation = (share * (1 - share) / x.numel()) ** 0.5
    assert (out == 0).float().mean().item() == pytest.approx(share, abs=4 * deviation + 1 / 65_536)
    rounded = 0.01 if dtype == torch.bfloat16 else 1e-5  # of the factor, and what one of 65,536 levels makes of it
    assert out[out != 0][0].item() == pytest.approx(1 / (1 - share), rel=rounded + (1 / 65_536) / (1 - share))
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, out.detach())
    # Neighbours are drawn apart, also those that share random bits.
    kept = (out.detach() != 0).float().flatten()
    for step in (1, 2, 3, 4):
        pairs = torch.stack([kept[:-step], kept[step:]])
        assert torch.corrcoef(pairs)[0, 1].abs() < 0.01


def test_a_seed_decides_and_evaluation_drops_nothing() -> None:
    x = torch.randn(7, 5)
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(dropout(x, 0.5, True))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert dropout(x, 0.5, False) is x
    assert dropout(x, 0.0, True) is x
    assert dropout(torch.zeros(0, 3), 0.5, True).shape == (0, 3)


def test_records_share_their_queries_but_no_dropout() -> None:
    torch.manual_seed(0)
    network = QueryNetwork(width=16, dropout=0.3)
    queries, memory = torch.randn(5, 16), torch.randn(1, 9, 16).expand(2, -1, -1)
    first, second = network(queries, memory)
    assert not torch.equal(first, second)
    for layer in network.layers:
        layer.multihead_attn.dropout = layer.dropout = network.dropout = 0.0
    first, second = network(queries, memory)  # only the weights among the queries are dropped
    assert not torch.equal(first, second)
    network.eval()
    torch.testing.assert_close(*network(queries, memory))


@pytest.mark.parametrize("shared", [(True, True), (True, False), (False, False)])
def test_attention_is_the_same_by_one_kernel_and_written_out(shared: tuple[bool, bool]) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1 if one else 3, 2, n, 4) for one, n in zip((*shared, shared[1]), (5, 9, 9), strict=True))
    allowed = torch.rand(1 if all(shared) else 3, 1, 1, 9) > 0.3
    out, weights = written_out(q, k, v, allowed, 0.0, 3)
    torch.testing.assert_close(fused(q, k, v, allowed, 0.0, 3), out)
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    assert len(out) == (1 if all(shared) else 3)
    for way in (fused(q, k, v, None, 0.5, 3), written_out(q, k, v, None, 0.5, 3)[0]):  # each record has its own dropout
        assert way.shape == (3, 2, 5, 4)
        assert not torch.equal(way[0], way[1])
