"""The cost of a training step: parameters, floating-point operations, tokens and memory.

The cost is counted on two real records, without training. FLOPs come from torch's counter over a forward and a backward
pass, and over the encoder alone, as a probe runs it: with nothing masked. Graph memory is that of the tensors that
autograd saves. MFU (model FLOPs utilisation, Chowdhery et al., PaLM, arXiv 2204.02311, appendix B) is FLOPs per record
times records per second, divided by the device's peak FLOP/s.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from inspect import unwrap
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop

from ecgkit.methods import Batch, Clock, Features, Method
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
        encoder_parameters: Number of parameters of the encoder alone.
        encode_flops: FLOPs per record of the encoder, forward, with nothing masked.
        numbers: Numbers per record in each field of the encoder's features.
    """

    parameters: int
    trained: int
    flops: float
    tokens: int | None
    graph_bytes: float
    idle: bool
    encoder_parameters: int = 0
    encode_flops: float = 0.0
    numbers: Mapping[str, int] = field(default_factory=dict)

    def memory(self, records: int) -> float:
        """Estimate the bytes of a step on so many records: weights, gradients, two moments and the graph."""
        return 4.0 * (self.parameters + 3 * self.trained) + self.graph_bytes * records


def count_cost(method: Method, batch: Batch, recipe: Recipe) -> Cost:
    """Count the cost on a batch; the method and torch's random state are left unchanged."""
    device, records = batch.signal.device, len(batch.rows)
    kept = _Kept(method)
    with _unchanged(method, device):
        with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
            with autocast(recipe, device), torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor):
                loss = method.training_step(batch, Clock.end(recipe.epochs, recipe.epochs)).loss
            loss.backward()  # type: ignore[no-untyped-call]
        features, encode_flops = _encoded(method, batch, recipe)
    trained = [p for p in method.parameters() if p.requires_grad]
    idle = any(p.grad is None for p in trained)
    method.zero_grad(set_to_none=True)
    return Cost(
        parameters=sum(p.numel() for p in method.parameters()),
        trained=sum(p.numel() for p in trained),
        flops=counter.get_total_flops() / records,
        tokens=None if features is None or features.tokens is None else features.tokens.shape[1],
        graph_bytes=kept.bytes / records,
        idle=idle,
        encoder_parameters=0 if features is None else sum(p.numel() for p in method.encoder.parameters()),
        encode_flops=encode_flops / records,
        numbers={} if features is None else _numbers(features, records),
    )


@torch.no_grad()
def forward_flops(method: Method, batch: Batch, recipe: Recipe, seed: int) -> float:
    """Return the FLOPs of the forward pass of a training step with the masks of a seed; nothing is changed."""
    device = batch.signal.device
    with _unchanged(method, device), FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
        torch.manual_seed(seed)
        with autocast(recipe, device):
            method.training_step(batch, Clock.end(recipe.epochs, recipe.epochs))
    return float(counter.get_total_flops())


@contextmanager
def _unchanged(method: Method, device: torch.device) -> Iterator[None]:
    """Run a method in training mode; restore its mode, its buffers and torch's random state at the end."""
    buffers = {name: value.clone() for name, value in method.named_buffers()}
    mode = method.training
    method.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
    method.train(mode)
    with torch.no_grad():
        for name, value in method.named_buffers():
            value.copy_(buffers[name])


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
def _encoded(method: Method, batch: Batch, recipe: Recipe) -> tuple[Features | None, float]:
    """Return the features of a batch and the FLOPs of making them; nothing and 0 without an encoder."""
    if getattr(method, "encoder", None) is None:
        return None, 0.0
    method.eval()
    with (
        FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter,
        autocast(recipe, batch.signal.device),
    ):
        features = method.encoder.encode(batch)
    return features, float(counter.get_total_flops())


def _numbers(features: Features, records: int) -> dict[str, int]:
    values = {each.name: getattr(features, each.name) for each in fields(features)}
    return {name: value.numel() // records for name, value in values.items() if isinstance(value, torch.Tensor)}


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
