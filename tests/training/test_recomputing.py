"""Blocks that are computed again in the backward pass: the same numbers from less memory."""

from pathlib import Path

import pytest
import torch

import ecgkit
from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.methods import Batch, Method, method_config
from ecgkit.plugins import host
from ecgkit.training.recomputing import recompute_blocks, transformer_blocks


def built(name: str, *settings: str) -> Method:
    """Return a method of preset `tiny`."""
    entry = host().get(MethodEntry, name)
    _, config = method_config(entry, "tiny")
    torch.manual_seed(0)
    family: type[Method] = entry.load()
    return family(config)


def kept_bytes(method: Method, signal: torch.Tensor) -> int:
    """Return the memory that autograd holds between the passes, without the parameters."""
    seen = {p.untyped_storage().data_ptr(): 0 for p in method.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        seen.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encode(method, signal)
    return sum(seen.values())


def encode(method: Method, signal: torch.Tensor) -> torch.Tensor:
    pooled: torch.Tensor = method.encoder.encode(Batch(signal, torch.arange(12), torch.arange(len(signal)))).pooled
    return pooled


@pytest.mark.parametrize("name", ["lamae", "stmem"])
def test_an_encoder_keeps_less_and_has_the_same_gradients(name: str) -> None:
    method = built(name)
    spec = method.config.signal  # type: ignore[attr-defined]
    signal = torch.randn(2, 12, spec.samples)
    usual = kept_bytes(method, signal)
    encode(method, signal).square().sum().backward()
    wanted = {n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None}
    method.zero_grad()
    recompute_blocks(method)
    assert kept_bytes(method, signal) < usual / 2
    encode(method, signal).square().sum().backward()
    found = {n: p.grad for n, p in method.named_parameters() if p.grad is not None}
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[n], wanted[n]) for n in wanted)


def test_blocks_are_the_innermost_ones_with_attention() -> None:
    method = built("lamae")
    depth = method.config.depth + method.config.latent_depth + method.config.decoder_depth  # type: ignore[attr-defined]
    assert len(transformer_blocks(method)) == depth


def test_a_training_gives_the_same_weights_to_the_bit(cohort_store: Path, tmp_path: Path) -> None:
    settings = {"depth": 2, "width": 16, "heads": 2, "recipe.warmup_epochs": 0, "recipe.epochs": 1}
    runs = [tmp_path / name for name in ("usual", "again")]
    for run, recompute in zip(runs, (False, True), strict=True):
        ecgkit.pretrain(
            method="lamae",
            data=cohort_store,
            preset="tiny",
            settings=settings,
            out=run,
            recompute=recompute,
            device="cpu",
        )
    assert (runs[0] / "model.safetensors").read_bytes() == (runs[1] / "model.safetensors").read_bytes()


def test_a_model_without_such_blocks_is_refused() -> None:
    with pytest.raises(RunError, match="no transformer blocks.*Train without --recompute"):
        recompute_blocks(built("merl"))
