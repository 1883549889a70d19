"""Sparse attention over leads and beats against its rule spelt out in loops, and attention weights against SDPA."""

import pytest
import torch
import torch.nn.functional as F

from ecgkit.nn.attention import WatchedAttention, attention_weights, watching
from ecgkit.nn.grid_attention import GridAttention, GridRule, grid_attention
from ecgkit.nn.masking import random_mask
from ecgkit.nn.transformer import Attention, Block


def drawn(B: int = 2, L: int = 3, S: int = 4, *, padded: bool = False, seed: int = 0) -> GridRule:
    torch.manual_seed(seed)
    mask = random_mask((B, L * S), 0.7)
    real = None
    if padded:
        count = torch.randint(1, S, (B, 1))
        real = (torch.arange(S) < count)[:, None].expand(B, L, S)
    return GridRule(mask.ids_keep, mask.mask.bool().view(B, L, S), real)


def slow(rule: GridRule, b: int) -> torch.Tensor:
    """The published rule, token by token."""
    _, L, S = rule.hidden.shape
    allowed = torch.zeros(L + L * S, L + L * S, dtype=torch.bool)
    for i in range(L):
        allowed[i, i] = True
    for t in range(L * S):
        lead, slot = divmod(t, S)
        real = rule.real is None or bool(rule.real[b, lead, slot])
        allowed[lead, L + t] = real
        allowed[L + t, lead] = True
        for s in range(L * S):
            other, place = divmod(s, S)
            there = rule.real is None or bool(rule.real[b, other, place]) or s == t
            seen = place == slot if rule.hidden[b, lead, slot] else not rule.hidden[b, other, place]
            allowed[L + t, L + s] = seen and there
    return allowed


@pytest.mark.parametrize("padded", [False, True])
def test_the_dense_rule_equals_a_slow_double_loop(padded: bool) -> None:
    rule = drawn(padded=padded)
    for b in range(2):
        assert torch.equal(rule.dense()[b, 0], slow(rule, b))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("L", "S"), [(1, 4), (3, 5), (12, 15)])
def test_sparse_equals_dense_with_its_gradients(L: int, S: int, padded: bool) -> None:
    rule = drawn(L=L, S=S, padded=padded)
    q, k, v, weight = (torch.randn(2, 2, L + L * S, 8, dtype=torch.float64) for _ in range(4))
    results = []
    for form in (
        lambda q, k, v: grid_attention(q, k, v, rule),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=rule.dense()),
    ):
        inputs = [x.clone().requires_grad_() for x in (q, k, v)]
        out = form(*inputs)
        (out * weight).sum().backward()
        results.append([out, *(x.grad for x in inputs)])
    for sparse, dense in zip(*results, strict=True):
        torch.testing.assert_close(sparse, dense)


def test_no_row_of_the_rule_is_empty_over_many_draws() -> None:
    for seed in range(100):  # 10 records each
        assert drawn(B=10, L=12, S=15, padded=bool(seed % 2), seed=seed).dense().any(-1).all()


def test_the_layer_is_the_same_sparse_dense_and_watched() -> None:
    rule = drawn(L=12, S=15)
    layer = GridAttention(width=16, heads=2).eval()
    x = torch.randn(2, 192, 16)
    seen: list[torch.Tensor] = []
    with watching(layer, lambda i, weights: seen.append(weights)):
        watched = layer(x, rule)
    torch.testing.assert_close(layer(x, rule), layer(x, rule.dense()))
    torch.testing.assert_close(watched, layer(x, rule))
    assert ((seen[0] > 0) <= rule.dense()).all()


def test_watched_weights_are_those_that_attend() -> None:
    torch.manual_seed(0)
    block = Block(width=8, heads=2, hidden=16).eval()
    x, allowed = torch.randn(2, 5, 8), torch.rand(2, 1, 5, 5) > 0.4
    allowed |= torch.eye(5, dtype=torch.bool)
    plain, seen = block(x, allowed), {}
    with watching(block, lambda i, weights: seen.update({i: weights})) as count:
        torch.testing.assert_close(block(x, allowed), plain)
    assert count == 1
    assert list(seen) == [0]
    q, k, _ = block.attn.project(block.norm1(x))
    torch.testing.assert_close(seen[0], attention_weights(q, k, allowed))
    assert (seen[0][(~allowed).expand_as(seen[0])] == 0).all()
    block(x)
    assert list(seen) == [0]  # no one watches outside


def test_bf16_on_a_cpu_takes_the_plain_path_with_the_same_result() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 2, 7, 8) for _ in range(3))
    layer = WatchedAttention()
    for allowed in (None, torch.rand(7, 7) > 0.3, torch.randn(7, 7)):
        if allowed is not None and allowed.dtype == torch.bool:
            allowed = allowed | torch.eye(7, dtype=torch.bool)
        full = layer.attend(q, k, v, allowed)
        half = layer.attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), allowed)
        torch.testing.assert_close(half.float(), full, atol=3e-2, rtol=3e-2)


def test_post_norm_block_against_torchs_own() -> None:
    torch.manual_seed(0)
    ours = Block(width=8, heads=2, hidden=16, post_norm=True, activation="relu").eval()
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    names = {
        "attn.qkv.weight": "self_attn.in_proj_weight",
        "attn.qkv.bias": "self_attn.in_proj_bias",
        "attn.proj.weight": "self_attn.out_proj.weight",
        "attn.proj.bias": "self_attn.out_proj.bias",
        "mlp.fc1.weight": "linear1.weight",
        "mlp.fc1.bias": "linear1.bias",
        "mlp.fc2.weight": "linear2.weight",
        "mlp.fc2.bias": "linear2.bias",
    }
    theirs.load_state_dict({names.get(name, name): value for name, value in ours.state_dict().items()})
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(ours(x), theirs(x))


def test_dropout_works_in_training_only() -> None:
    torch.manual_seed(0)
    block = Block(width=8, heads=2, hidden=16, dropout=0.5, attention=Attention)
    x = torch.randn(1, 4, 8)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))
