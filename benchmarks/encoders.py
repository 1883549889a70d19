"""Feature extraction of each public encoder at full size, against the same model written plainly in torch.

    python benchmarks/encoders.py [--batch 8] [--repeats 5] [--device cpu] [--only ecgfm s4] [--preset tiny]

Weights are random and shared, and the features of both are compared first. Plainly: one torch call after the other on
the weights, every attention weight in memory, HuBERT-ECG's series decimated by scipy, the kernels of S4 written out.
Both run in turns in one process, in fp32 without gradients; the ratio is the median of the ratios of neighbours. On a
CPU the time is the process's own, so that a busy machine disturbs it little. Memory is the most that a run takes above
what the process held before it: of the resident memory on a CPU, of the device elsewhere.
"""

import argparse
import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.signal
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ecgkit.entries import MethodEntry
from ecgkit.leads import lead_ids
from ecgkit.methods import Encoder, method_config
from ecgkit.plugins import host

Weights = dict[str, Tensor]
TOLERANCE = 1e-3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", default=[], help="some of the methods; all by default")
    parser.add_argument("--preset", default="", help="a preset that all of them have; each one's first by default")
    options = parser.parse_args()
    title = f"Records/s, batch {options.batch}, {options.device}, {torch.get_num_threads()} threads, fp32"
    table = Table(
        "method", "preset", "plain", "ecgkit", "ratio", "weights", "plain MiB", "ecgkit MiB", "gap", title=title
    )
    for name in options.only or PLAIN:
        table.add_row(*measured(name, options))
    Console(width=120).print(table)


@torch.no_grad()
def measured(name: str, options: argparse.Namespace) -> tuple[str, ...]:
    """Return the row of a method."""
    entry = host().get(MethodEntry, name)
    wanted = "base" if name == "hubertecg" and not options.preset else options.preset
    preset, config = method_config(entry, wanted)
    torch.manual_seed(0)
    encoder: Encoder = entry.load()(config).encoder.eval().to(options.device)
    weights = {key: value.detach() for key, value in encoder.state_dict().items()}
    spec = config.signal
    x = torch.randn(options.batch, len(spec.leads), spec.samples, device=options.device).clamp(-1, 1)
    ids = torch.tensor(lead_ids(spec.leads), device=options.device)

    def ours() -> Tensor:
        return encoder(x, ids).pooled

    def plain() -> Tensor:
        return PLAIN[name](x, weights, config)

    a, b = ours(), plain()
    gap = float((a - b).abs().max() / b.abs().max())
    if not gap < TOLERANCE:
        raise SystemExit(f"{name}: features differ by {gap:.2g} of the largest")
    pairs = [tuple(seconds(run, options.device) for run in (ours, plain)) for _ in range(options.repeats)]
    mine, other = (options.batch / median(side) for side in zip(*pairs, strict=True))
    ratio = median(slow / fast for fast, slow in pairs)
    size = sum(value.numel() * value.element_size() for value in weights.values()) / 2**20
    return (
        name,
        preset,
        f"{other:.1f}",
        f"{mine:.1f}",
        f"{ratio:.2f}",
        f"{size:.0f} MiB",
        *(peak(run, options.device) for run in (plain, ours)),
        f"{gap:.0e}",
    )


def seconds(run: Callable[[], Tensor], device: str) -> float:
    """Return the duration of a run: of this process on a CPU, of the clock elsewhere."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    began = clock()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - began


def peak(run: Callable[[], Tensor], device: str) -> str:
    """Return the most memory that a run takes above what was held before, in MiB; ``-`` where it cannot be told."""
    if device != "cpu":
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return f"{(torch.cuda.max_memory_allocated() - held) / 2**20:.0f}"
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier runs freed
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew
    except OSError:
        return "-"
    held = memory("VmRSS")
    run()
    return f"{(memory('VmHWM') - held) / 1024:.0f}"


def memory(name: str) -> int:
    """Return a figure of the process's memory in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


# Plain models: x [B, L, T], weights by our names, and the config -> features [B, D].


def ecgfounder(x: Tensor, w: Weights, c: Any) -> Tensor:
    """Net1D."""

    def conv(x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        k, T = w[f"{name}.weight"].shape[-1], x.shape[-1]
        pad = max(0, ((T - 1) // stride) * stride + k - T)
        return F.conv1d(
            F.pad(x, (pad // 2, pad - pad // 2)), w[f"{name}.weight"], w[f"{name}.bias"], stride, 0, 1, groups
        )

    x = F.silu(conv(x, "trunk.stem", 2))
    for s, depth in enumerate(c.layers):
        for b in range(depth):
            p, skip, stride = f"trunk.stages.{s}.{b}", x, 1 if b else 2
            u = conv(x if s == b == 0 else F.silu(x), f"{p}.convs.0")
            u = conv(F.silu(u), f"{p}.convs.1", stride, u.shape[1] // w[f"{p}.convs.1.weight"].shape[1])
            u = conv(F.silu(u), f"{p}.convs.2")
            e = F.silu(linear(u.mean(-1), w, f"{p}.squeeze"))
            u = u * torch.sigmoid(linear(e, w, f"{p}.excite"))[..., None]
            if stride == 2:
                skip = F.max_pool1d(F.pad(skip, (0, 1)), 2, 2)
            more = u.shape[1] - skip.shape[1]
            x = u + F.pad(skip, (0, 0, more // 2, more - more // 2))
    return x.mean(-1)


def ecgfm(x: Tensor, w: Weights, c: Any) -> Tensor:
    """ECG-FM."""
    return waves(x, w, c)


def hubertecg(x: Tensor, w: Weights, c: Any) -> Tensor:
    """HuBERT-ECG, its input decimated by scipy."""
    series = scipy.signal.decimate(x.flatten(1).double().cpu().numpy(), c.factor, axis=-1)
    return waves(torch.from_numpy(np.ascontiguousarray(series)).to(x)[:, None], w, c)


def waves(x: Tensor, w: Weights, c: Any) -> Tensor:
    """wav2vec 2.0's network."""
    for i, stride in enumerate(c.strides):
        x = F.conv1d(x, w[f"convolutions.convs.{i}.weight"], stride=stride)
        if i == 0:
            x = F.group_norm(x, x.shape[1], w["convolutions.norm.weight"], w["convolutions.norm.bias"])
        x = F.gelu(x)
    x = linear(norm(x.mT, w, "input_norm"), w, "project")
    v = w["positions.direction"]
    weight = w["positions.gain"] * v / v.pow(2).sum((0, 1), keepdim=True).sqrt()
    q = F.conv1d(x.mT, weight, w["positions.bias"], padding=v.shape[-1] // 2, groups=c.groups)
    x = norm(x + F.gelu(q[..., : x.shape[1]]).mT, w, "block_norm")
    for b in range(c.depth):
        p = f"blocks.{b}"
        x = norm(x + attention(x, w, f"{p}.attn", c.heads), w, f"{p}.norm1")
        x = norm(x + mlp(x, w, f"{p}.mlp"), w, f"{p}.norm2")
    return x.mean(1)


def ecgjepa(x: Tensor, w: Weights, c: Any) -> Tensor:
    """ECG-JEPA's encoder."""
    from ecgkit_ecgjepa.model import positions

    B, L, T = x.shape
    n = T // c.patch
    place = positions(n, c.width).flatten(0, 1).to(x)
    lead, patch = torch.arange(L * n, device=x.device) // n, torch.arange(L * n, device=x.device) % n
    allowed = (lead[:, None] == lead) | (patch[:, None] == patch)
    x = linear(x.reshape(B, L * n, -1), w, "to_token")
    for b in range(c.depth):
        p, x = f"blocks.{b}", x + place
        x = x + attention(norm(x, w, f"{p}.norm1"), w, f"{p}.attn", c.heads, allowed)
        x = x + mlp(norm(x, w, f"{p}.norm2"), w, f"{p}.mlp")
    return norm(x, w, "norm").mean(1)


def ecgcpc(x: Tensor, w: Weights, c: Any) -> Tensor:
    """ECG-CPC's encoder."""
    for i, stride in enumerate(c.strides):
        x = F.relu(
            batch_norm(
                F.conv1d(x, w[f"convs.{i}.0.weight"], stride=stride, padding=c.kernels[i] // 2), w, f"convs.{i}.1"
            )
        )
    return states(x, w, c.depth)


def s4(x: Tensor, w: Weights, c: Any) -> Tensor:
    """S4."""
    x = F.conv1d(x.clamp(-c.limit, c.limit), w["embed.weight"], w["embed.bias"])
    return states(x, w, c.depth)


def states(x: Tensor, w: Weights, depth: int) -> Tensor:
    """Layers of S4, whose kernels are summed over the state term by term."""
    T = x.shape[-1]
    for i in range(depth):
        p = f"trunk.layers.{i}"
        k, y = kernel(w, f"{p}.kernel", T), x
        both = F.pad(k[0], (0, T)) if len(k) == 1 else F.pad(k[0], (0, T)) + F.pad(k[1].flip(-1), (T, 0))
        y = torch.fft.irfft(torch.fft.rfft(x, n=2 * T) * torch.fft.rfft(both, n=2 * T), n=2 * T)[..., :T]
        y = linear(F.gelu(y + w[f"{p}.D"][:, None] * x).mT, w, f"{p}.output")
        x = norm(F.glu(y, -1) + x.mT, w, f"trunk.norms.{i}").mT
    return x.mean(-1)


def kernel(w: Weights, name: str, T: int) -> Tensor:
    """Return the kernels [directions, H, T] of a layer by the generating function, written out."""
    C, B, P, Q, poles = (torch.view_as_complex(w[f"{name}.{part}"]) for part in ("C", "B", "P", "Q", "w"))
    dt = w[f"{name}.log_dt"].exp()[:, None]
    turn = torch.exp(-2j * torch.pi * torch.arange(T // 2 + 1, device=dt.device, dtype=torch.float64) / T)[:-1]
    z, scale = (2 * (1 - turn) / (1 + turn)).to(C.dtype), (2 / (1 + turn)).to(C.dtype)

    def r(a: Tensor, b: Tensor) -> Tensor:
        v, pole = (a * b)[..., None], (poles * dt)[..., None]
        return dt * (v / (z - pole) + v.conj() / (z - pole.conj())).sum(-2)

    found = (r(B, C) - r(B, Q) * r(P, C) / (1 + r(P, Q))) * scale
    last = (dt * (B * C).sum(-1, keepdim=True).real).to(C.dtype)
    return torch.fft.irfft(torch.cat([found, last], -1), n=T)


def xresnet1d101(x: Tensor, w: Weights, c: Any) -> Tensor:
    """XResNet1d101 and KED's encoder."""

    def block(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = w[f"{name}.0.weight"]
        return batch_norm(F.conv1d(x, weight, stride=stride, padding=(weight.shape[-1] - 1) // 2), w, f"{name}.1")

    for i in range(3):
        x = F.relu(block(x, f"trunk.stem.{i}", 1 if i else 2))
    x = F.max_pool1d(x, 3, 2, 1)
    for s, depth in enumerate(c.layers):
        for b in range(depth):
            p, stride = f"trunk.stages.{s}.{b}", 2 if s and not b else 1
            y = F.relu(block(x, f"{p}.convs.0"))
            y = block(F.relu(block(y, f"{p}.convs.1", stride)), f"{p}.convs.2")
            skip = F.avg_pool1d(x, 2, 2, ceil_mode=True) if stride == 2 else x
            x = F.relu(y + (block(skip, f"{p}.project") if f"{p}.project.0.weight" in w else skip))
    return x.mean(-1) if c.pooling == "mean" else torch.cat([x.amax(-1), x.mean(-1)], 1)


def inception1d(x: Tensor, w: Weights, c: Any) -> Tensor:
    """Inception1d."""
    r = x
    for i in range(c.depth):
        p = f"trunk.blocks.{i}"
        u = F.conv1d(x, w[f"{p}.bottleneck.weight"])
        parts = [F.conv1d(u, w[f"{p}.convs.{j}.weight"], padding=k // 2) for j, k in enumerate(c.kernels)]
        parts.append(F.conv1d(F.max_pool1d(x, 3, 1, 1), w[f"{p}.pooled.weight"]))
        x = F.relu(batch_norm(torch.cat(parts, 1), w, f"{p}.norm"))
        if i % 3 == 2:
            q = f"trunk.shortcuts.{i // 3}"
            x = r = F.relu(x + batch_norm(F.conv1d(r, w[f"{q}.conv.weight"]), w, f"{q}.norm"))
    return torch.cat([x.amax(-1), x.mean(-1)], 1)


def linear(x: Tensor, w: Weights, name: str) -> Tensor:
    """Return a linear layer's output."""
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def norm(x: Tensor, w: Weights, name: str) -> Tensor:
    """Return a LayerNorm's output."""
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])


def batch_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    """Return a BatchNorm's output in evaluation mode."""
    mean, var, weight, bias = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias)


def attention(x: Tensor, w: Weights, name: str, heads: int, allowed: Tensor | None = None) -> Tensor:
    """Return the output of self-attention with every weight in memory."""
    B, N, D = x.shape
    q, k, v = linear(x, w, f"{name}.qkv").view(B, N, 3, heads, -1).permute(2, 0, 3, 1, 4)
    logits = q @ k.mT / q.shape[-1] ** 0.5
    logits = logits if allowed is None else logits.masked_fill(~allowed, -torch.inf)
    return linear((logits.softmax(-1) @ v).transpose(1, 2).reshape(B, N, D), w, f"{name}.proj")


def mlp(x: Tensor, w: Weights, name: str) -> Tensor:
    """Return the output of a feed-forward layer."""
    return linear(F.gelu(linear(x, w, f"{name}.fc1")), w, f"{name}.fc2")


PLAIN: dict[str, Callable[[Tensor, Weights, Any], Tensor]] = {
    "ecgfounder": ecgfounder,
    "ecgfm": ecgfm,
    "hubertecg": hubertecg,
    "ecgjepa": ecgjepa,
    "ecgcpc": ecgcpc,
    "xresnet1d101": xresnet1d101,
    "inception1d": inception1d,
    "s4": s4,
    "ked": xresnet1d101,
}

if __name__ == "__main__":
    main()
