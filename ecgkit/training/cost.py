"""The cost of a training step: parameters, floating-point operations, tokens and memory.

The cost is counted on two real records, without training. FLOPs come from torch's counter over a forward and a backward
pass. Graph memory is the memory of the tensors that autograd saves. MFU (model FLOPs utilisation, Chowdhery et al.,
PaLM, arXiv 2204.02311, appendix B) is FLOPs per record times records per second, divided by the device's peak FLOP/s.
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
    """The cost of training on one record.

    Args:
        parameters: Number of parameters of the method.
        trained: Number of trained parameters.
        flops: FLOPs per record, forward and backward.
        tokens: Number of tokens per record in the encoder; None if it has no tokens.
        graph_bytes: Bytes per record that autograd saves between forward and backward.
        idle: Whether some trained parameter got no gradient.
    """

    parameters: int
    trained: int
    flops: float
    tokens: int | None
    graph_bytes: float
    idle: bool

    def memory(self, records: int) -> float:
        """Estimate the bytes of a step on so many records: weights, gradients, two moments and the graph."""
        return 4.0 * (self.parameters + 3 * self.trained) + self.graph_bytes * records


def count_cost(method: Method, batch: Batch, recipe: Recipe) -> Cost:
    """Count the cost on a batch; the method and torch's random state are left unchanged."""
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
    """Counts the bytes that autograd saves, without parameters, each storage once."""

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
    """Return the peak FLOP/s of a device in matrix products, in the recipe's precision."""
    dtype = torch.bfloat16 if precision(recipe, device) == "bf16" else torch.float32
    if device.type == "cuda" and dtype == torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        for known, peak in PEAKS_BF16.items():
            if known in name:
                return peak
    return measure_peak(device, dtype)


def measure_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the best FLOP/s over a few products of square matrices."""
    n = 8192 if device.type == "cuda" else 512
    a = torch.ones(n, n, device=device, dtype=dtype)
    seconds = min(timed(lambda: a @ a, device) for _ in range(6))
    return 2 * n**3 / seconds


def timed(work: Callable[[], Any], device: torch.device) -> float:
    """Return the seconds that some work takes, including its work on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
