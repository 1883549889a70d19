"""What a step of a method costs: parameters, floating-point operations, tokens, memory.

Counted on two records of real data, without training: FLOPs by torch's counter over a forward and a backward pass,
memory of the graph as what autograd keeps for it. MFU (model FLOPs utilisation, Chowdhery et al., PaLM, arXiv
2204.02311, appendix B) is the share of the device's peak that these FLOPs, times records per second, come to.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import unwrap
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop

from ecgkit.methods import Batch, Clock, Method
from ecgkit.recipe import Recipe
from ecgkit.training.optimization import autocast, precision

# Dense bf16 matrix rates of data sheets, in FLOP/s; other devices are measured.
PEAKS_BF16 = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "B200": 2250e12}
# The formulas on shapes: FlopCounterMode wraps them for tensors, and torch 2.13 exports them wrapped already.
_CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: unwrap(sdpa_flop),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: unwrap(sdpa_backward_flop),
}


@dataclass(frozen=True)
class Cost:
    """The cost of training on a record.

    Args:
        parameters: Of the method.
        trained: Of these, how many are trained.
        flops: Forward and backward, a record.
        tokens: What the encoder makes of a whole record; None where it has no tokens.
        graph_bytes: What autograd keeps between forward and backward, a record.
        idle: Whether some trained parameter got no gradient.
    """

    parameters: int
    trained: int
    flops: float
    tokens: int | None
    graph_bytes: float
    idle: bool

    def memory(self, records: int) -> float:
        """Return an estimate in bytes for a step of so many records: weights, gradients, two moments, the graph."""
        return 4.0 * (self.parameters + 3 * self.trained) + self.graph_bytes * records


def count_cost(method: Method, batch: Batch, recipe: Recipe) -> Cost:
    """Count on a batch; the method and torch's random state are as before afterwards."""
    device, records = batch.signal.device, len(batch.rows)
    buffers = {name: value.clone() for name, value in method.named_buffers()}
    kept = _Kept(method)
    mode = method.training
    method.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
            with autocast(recipe, device), torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor):
                loss = method.training_step(batch, Clock.end(recipe.epochs, recipe.epochs)).loss
            loss.backward()  # type: ignore[no-untyped-call]
        tokens = _tokens(method, batch, recipe)
    trained = [p for p in method.parameters() if p.requires_grad]
    idle = any(p.grad is None for p in trained)
    method.zero_grad(set_to_none=True)
    method.train(mode)
    with torch.no_grad():
        for name, value in method.named_buffers():
            value.copy_(buffers[name])
    return Cost(
        parameters=sum(p.numel() for p in method.parameters()),
        trained=sum(p.numel() for p in trained),
        flops=counter.get_total_flops() / records,
        tokens=tokens,
        graph_bytes=kept.bytes / records,
        idle=idle,
    )


class _Kept:
    """Counts the bytes that autograd keeps, parameters apart, each storage once."""

    def __init__(self, method: Method) -> None:
        self.bytes = 0
        self._seen = {p.untyped_storage().data_ptr() for p in method.parameters()}

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.bytes += storage.nbytes()
        return tensor


@torch.no_grad()
def _tokens(method: Method, batch: Batch, recipe: Recipe) -> int | None:
    method.eval()
    with autocast(recipe, batch.signal.device):
        tokens = method.encoder.encode(batch).tokens if getattr(method, "encoder", None) is not None else None
    return None if tokens is None else tokens.shape[1]


def peak_flops(recipe: Recipe, device: torch.device) -> float:
    """Return the FLOP/s that a device reaches in products of matrices, in the recipe's precision."""
    dtype = torch.bfloat16 if precision(recipe, device) == "bf16" else torch.float32
    if device.type == "cuda" and dtype == torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        for known, peak in PEAKS_BF16.items():
            if known in name:
                return peak
    return measure_peak(device, dtype)


def measure_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the best rate of a few products of square matrices, in FLOP/s."""
    n = 8192 if device.type == "cuda" else 512
    a = torch.ones(n, n, device=device, dtype=dtype)
    seconds = min(timed(lambda: a @ a, device) for _ in range(6))
    return 2 * n**3 / seconds


def timed(work: Callable[[], Any], device: torch.device) -> float:
    """Return the seconds that some work takes, the device's included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
