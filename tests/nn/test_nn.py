"""Building blocks against slow, plain versions."""

import math

import pytest
import torch

from ecgkit.nn.masking import gather_tokens, kept_count, mask_from_restore, random_mask
from ecgkit.nn.positions import sincos_positions
from ecgkit.nn.reconstruction import masked_mse, standardize_patches
from ecgkit.nn.transformer import Attention, Block


@pytest.mark.parametrize(("width", "heads", "head_width"), [(12, 3, None), (8, 2, 5), (6, 1, None)])
def test_attention_against_loops_over_heads_and_queries(width, heads, head_width) -> None:
    torch.manual_seed(0)
    attention, x = (
        Attention(width=width, heads=heads, head_width=head_width).double(),
        torch.randn(2, 7, width).double(),
    )
    d = head_width or width // heads
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    out = torch.zeros(2, 7, heads * d, dtype=torch.float64)
    for b in range(2):
        for h in range(heads):
            part = slice(h * d, (h + 1) * d)
            for n in range(7):
                scores = torch.stack([(q[b, n, part] * k[b, m, part]).sum() / math.sqrt(d) for m in range(7)])
                weights = scores.exp() / scores.exp().sum()
                out[b, n, part] = sum(w * v[b, m, part] for m, w in enumerate(weights))
    torch.testing.assert_close(attention(x), attention.proj(out))


def test_block_permutes_with_its_tokens() -> None:
    torch.manual_seed(0)
    block, x, order = Block(width=8, heads=2, hidden=16).double(), torch.randn(2, 5, 8).double(), [3, 0, 4, 1, 2]
    torch.testing.assert_close(block(x[:, order]), block(x)[:, order])


def test_positions_against_the_formula() -> None:
    table = sincos_positions(5, 6)
    for m in range(5):
        for i in range(3):
            angle = m * 10_000 ** (-i / 3)
            assert table[m, i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[m, 3 + i].item() == pytest.approx(math.cos(angle), abs=1e-6)
    with pytest.raises(ValueError, match="even"):
        sincos_positions(5, 7)


@pytest.mark.parametrize(("n", "ratio", "kept"), [(180, 0.8, 35), (30, 0.75, 7), (20, 0.75, 5), (50, 0.25, 37)])
def test_kept_counts_are_the_published_ones(n: int, ratio: float, kept: int) -> None:
    assert kept_count(n, ratio) == kept
    mask = random_mask((2, 3, n), ratio)
    assert mask.ids_keep.shape == (2, 3, kept)
    assert (mask.mask.sum(-1) == n - kept).all()


def test_mask_keeps_what_it_says_and_restores_the_order() -> None:
    torch.manual_seed(1)
    mask = random_mask((4, 10), 0.7)
    tokens = torch.randn(4, 10, 3)
    visible = gather_tokens(tokens, mask.ids_keep)
    whole = gather_tokens(torch.cat([visible, torch.zeros(4, 7, 3)], dim=1), mask.ids_restore)
    torch.testing.assert_close(whole, tokens * (1 - mask.mask)[..., None])
    again = mask_from_restore(mask.ids_restore, 3)
    assert torch.equal(again.ids_keep, mask.ids_keep)
    assert torch.equal(again.mask, mask.mask)


def test_padding_is_hidden_first_and_does_not_count() -> None:
    real = torch.arange(10) < torch.tensor([[7], [10]])
    mask = random_mask((2, 3, 10), 0.5, real=real[:, None])
    assert real[:, None].expand(2, 3, 10).gather(-1, mask.ids_keep).all()
    assert mask.mask.sum(-1).tolist() == [[2.0] * 3, [5.0] * 3]


def test_masks_are_uniform_and_independent() -> None:
    torch.manual_seed(0)
    hidden = random_mask((4000, 2, 4), 0.5).mask
    assert (hidden.mean(0) - 0.5).abs().max() < 0.04
    assert abs(torch.corrcoef(hidden[:, :, 0].T)[0, 1]) < 0.05, "leads are drawn one by one"


def test_reconstruction_loss_against_loops() -> None:
    torch.manual_seed(0)
    predicted, target = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    mask = torch.tensor([[1.0, 0, 1, 1, 0], [0, 0, 1, 0, 0]])
    errors = [
        [sum((predicted[b, n, i] - target[b, n, i]) ** 2 for i in range(4)) / 4 for n in range(5) if mask[b, n]]
        for b in range(2)
    ]
    by_record = [sum(record) / len(record) for record in errors]
    torch.testing.assert_close(masked_mse(predicted, target, mask), sum(by_record) / 2)
    parts = [masked_mse(predicted[b : b + 1], target[b : b + 1], mask[b : b + 1]) for b in range(2)]
    torch.testing.assert_close(masked_mse(predicted, target, mask), sum(parts) / 2)
    moved = predicted + 9 * (1 - mask)[..., None]
    torch.testing.assert_close(masked_mse(moved, target, mask), masked_mse(predicted, target, mask))


def test_standardised_patches() -> None:
    patches = standardize_patches(torch.randn(3, 6, 20) * 5 + 2)
    torch.testing.assert_close(patches.mean(-1), torch.zeros(3, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(patches.var(-1), torch.ones(3, 6), atol=1e-4, rtol=0)
    assert not standardize_patches(torch.full((1, 4), 3.0)).any()
