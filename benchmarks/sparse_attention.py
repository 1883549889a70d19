"""Sparse against dense attention over a grid of leads and beats: forward and backward, tokens/s, in one run.

python benchmarks/sparse_attention.py [--device cpu] [--dtype float32] [--heads 16] [--head-width 32] [--batch 16]

Dense is torch's `scaled_dot_product_attention` with the rule as a boolean mask, the faster of it and plain products;
sparse is `ecgkit.nn.grid_attention`. Both attend under the same rule with 80 % of the beats hidden, and their results
are compared first. Rounds of the two alternate; the table holds medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ecgkit.nn.attention import attention_weights
from ecgkit.nn.grid_attention import GridRule, grid_attention
from ecgkit.nn.masking import random_mask

ROUNDS = 15


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--head-width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{options.device}, {options.dtype}, {options.threads} thread(s), batch {options.batch}, "
        f"{options.heads} heads of {options.head_width}; forward and backward"
    )
    print(f"{'tokens':>14} {'density':>8} {'dense tok/s':>12} {'sparse tok/s':>12} {'ratio':>6}")
    for slots in (15, 60):
        compare(slots, options)


def compare(slots: int, options: argparse.Namespace) -> None:
    """Time one size and print its line."""
    L, N = 12, 12 + 12 * slots
    batch = max(1, options.batch * 15 // slots)
    torch.manual_seed(0)
    mask = random_mask((batch, L * slots), 0.8, torch.device(options.device))
    rule = GridRule(mask.ids_keep, mask.mask.bool().view(batch, L, slots))
    allowed = rule.dense()
    shape = (batch, options.heads, N, options.head_width)
    q, k, v = (
        torch.randn(shape, device=options.device, dtype=getattr(torch, options.dtype), requires_grad=True)
        for _ in range(3)
    )
    forms: dict[str, Callable[[], Tensor]] = {
        "fused": lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed),
        "plain": lambda: attention_weights(q, k, allowed) @ v,
        "sparse": lambda: grid_attention(q, k, v, rule),
    }
    torch.testing.assert_close(forms["sparse"](), forms["fused"](), atol=2e-2, rtol=2e-2)
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS + 2):
        for name, form in forms.items():
            began = time.perf_counter()
            form().sum().backward()
            if options.device != "cpu":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(times[2:]) for name, times in seconds.items()}
    dense = min(median["fused"], median["plain"])
    tokens = batch * N
    density = allowed.float().mean().item()
    print(
        f"{f'12 x {slots} + 12':>14} {density:>8.3f} {tokens / dense:>12,.0f} {tokens / median['sparse']:>12,.0f} "
        f"{dense / median['sparse']:>6.2f}"
    )


if __name__ == "__main__":
    main()
