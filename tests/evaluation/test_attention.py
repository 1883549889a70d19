"""Attention as a map of leads and time: against plain loops, for every family, and as the command shows it."""

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ecgkit_hierarchical.config import KERNELS, PADDING, STRIDES
from torch import Tensor

from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.evaluation.analyses.attention import REDUCTIONS, captured, on_samples, record_attention
from ecgkit.evaluation.heads.zero_shot import ClassScorer
from ecgkit.methods import Batch, Encoder, Features, TokenLayout
from ecgkit.nn.transformer import Attention
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.testing.case import Case, pick_leads, pick_records
from tests.api.runs import make_run
from tests.conftest import Outcome
from tests.testing.test_families import SMALL

# Every family with attention layers, by the settings that change its tokens. The others have none.
WITH = {
    "stmem": ("", "depth=2"),
    "clear": ("", "encoder_mask=full", "pad_aware=false"),
    "kmerl": ("", "lead_tokens=false"),
    "merl": ("encoder=vit width=16 depth=2 heads=2",),
    "lamae": ("", "shared=false", "latent_depth=0 readout=enc_mean", "latent_depth=0 readout=enc_cls encoder_cls=true"),
    "heartlang": ("",),
    "heartlang_tokenizer": ("",),
    "jepa": ("",),
    "data2vec": ("",),
    "ecgfm": ("",),
    "hubertecg": ("",),
    "ecgjepa": ("",),
    "hierarchical": ("attention=standard", *(f"attention=standard stages=3 cls={cls}" for cls in ("several", "all"))),
}
MODELS = [pytest.param(name, more, id=f"{name} {more}".strip()) for name, every in WITH.items() for more in every]


@functools.cache
def model(name: str, more: str = "") -> tuple[Encoder, Batch]:
    """Return an encoder of a family and a batch of one record."""
    torch.manual_seed(0)
    case = Case(host().get(MethodEntry, name), settings=f"{SMALL.get(name, '')} {more}".split())
    return case.evaluated().encoder, pick_records(case.batch(2), 1)


def shortened(batch: Batch, share: float) -> Batch:
    """Return a batch whose record ends earlier."""
    T = batch.signal.shape[-1]
    length = round(share * T)
    signal = batch.signal.clone()
    signal[..., length:] = 0
    return replace(batch, signal=signal, lengths=torch.tensor([length]))


@pytest.mark.parametrize(("name", "more"), MODELS)
@pytest.mark.parametrize("how", REDUCTIONS)
def test_every_transformer_has_a_map(name: str, more: str, how: Any) -> None:
    encoder, batch = model(name, more)
    found = record_attention(encoder, batch, how)
    assert found.values.shape == batch.signal.shape[1:]
    assert found.values.min() >= 0
    # Nothing is lost or made: what the samples lack lies on tokens without samples.
    weights, layout = captured(encoder, batch)
    assert weights and all(torch.allclose(rows.sum(-1), torch.ones(()).double(), atol=1e-5) for rows in weights)
    held = torch.zeros(layout.count, dtype=torch.bool)
    held[layout.token[(layout.spans[:, 1] > layout.spans[:, 0])]] = True
    if bool(held.all()):
        assert found.values.sum() == pytest.approx(1, abs=1e-5)
    assert 0.3 < found.values.sum() < 1 + 1e-5
    if found.between is not None:
        assert (found.between.sum(axis=1) < 1 + 1e-5).all()


@pytest.mark.parametrize(("name", "more"), MODELS)
def test_permuted_leads_permute_the_map(name: str, more: str) -> None:
    encoder, batch = model(name, more)
    order = np.random.default_rng(1).permutation(batch.signal.shape[1]).tolist()
    whole, other = (record_attention(encoder, one, "attention") for one in (batch, pick_leads(batch, order)))
    np.testing.assert_allclose(other.values, whole.values[order], rtol=1e-3, atol=1e-9)
    if whole.between is not None and other.between is not None:
        np.testing.assert_allclose(other.between, whole.between[np.ix_(order, order)], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("name", "more"), MODELS)
def test_padding_gets_nothing(name: str, more: str) -> None:
    encoder, batch = model(name, more)
    short = shortened(batch, 0.55)
    length = int(short.lengths[0])
    for how in REDUCTIONS:
        found = record_attention(encoder, short, how)
        assert (found.values[:, length:] == 0).all()
        assert found.values[:, : length // 2].sum() > 0


def plain_softmax(layer: Attention, x: Tensor, allowed: Any) -> Tensor:
    """Return the weights of an attention layer, mean over heads, by loops over heads and tokens."""
    q, k, _ = layer.project(x)
    H, N, d = q.shape[1:]
    out = torch.zeros(N, N, dtype=torch.float64)
    for h in range(H):
        for i in range(N):
            seen = [j for j in range(N) if allowed is None or bool(allowed.expand(1, H, N, N)[0, h, i, j])]
            logits = torch.stack([(q[0, h, i] @ k[0, h, j]).double() / d**0.5 for j in seen])
            out[i, seen] += logits.softmax(0) / H
    return out


def plain_map(encoder: Encoder, batch: Batch, last: bool) -> tuple[Tensor, list[Tensor]]:
    """Return the product of all layers' weights with the residual branch, or the last layer's; and each layer's."""
    layers: list[Tensor] = []
    handles = [
        block.attn.register_forward_pre_hook(
            lambda layer, inputs: layers.append(plain_softmax(layer, *(*inputs, None)[:2]))
        )
        for block in encoder.blocks
    ]
    with torch.no_grad():
        encoder.encode(batch)
    for handle in handles:
        handle.remove()
    if last:
        return layers[-1], layers
    rolled = torch.eye(len(layers[0]), dtype=torch.float64)
    for weights in layers:
        rolled = (0.5 * torch.eye(len(weights)).double() + 0.5 * weights) @ rolled
    return rolled, layers


@pytest.mark.parametrize("how", REDUCTIONS)
def test_stmem_against_a_plain_loop(how: Any) -> None:
    encoder, batch = model("stmem", "depth=2")
    batch = shortened(pick_leads(batch, [3, 0]), 0.55)
    L, T, p = *batch.signal.shape[1:], encoder.patch
    n, length = T // p, int(batch.lengths[0])
    rolled, _ = plain_map(encoder, batch, how == "last-attention")
    there = [i for i in range(n) if i * p < length]
    tokens = [(lead, i, lead * (n + 2) + 1 + i) for lead in range(L) for i in there]
    expected = np.zeros((L, T))
    between = np.zeros((L, L))
    for lead, i, column in tokens:
        weight = float(np.mean([float(rolled[row, column]) for _, _, row in tokens]))
        end = min((i + 1) * p, length)
        expected[lead, i * p : end] = weight / (end - i * p)
        for own in range(L):
            between[own, lead] += np.mean([float(rolled[row, column]) for at, _, row in tokens if at == own])
    found = record_attention(encoder, batch, how)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)
    np.testing.assert_allclose(found.between, between, rtol=1e-4)


@pytest.mark.parametrize("how", REDUCTIONS)
def test_clear_against_a_plain_loop_over_its_summaries_and_beats(how: Any) -> None:
    encoder, batch = model("clear", "depth=2")
    batch = pick_leads(batch, [6, 1])
    L, T = batch.signal.shape[1:]
    rolled, _ = plain_map(encoder, batch, how == "last-attention")
    peaks = [int(r) for r in batch.extra["beats"][0] if r >= 0]
    window, S = encoder.config.window, encoder.slots
    expected, between = np.zeros((L, T)), np.zeros((L, L))
    for lead in range(L):
        for b, peak in enumerate(peaks):
            # The published bounds, for beats that fit into the window.
            start = max(peak - window.before, 0) if b == 0 else (peaks[b - 1] + peak) // 2
            stop = (peak + peaks[b + 1]) // 2 if b + 1 < len(peaks) else min(peak + window.width - window.before, T)
            if stop - start > window.width:
                start = max(peak - window.before, 0)
                stop = min(start + window.width, T)
            stop = min(stop, start + window.width - max(window.before - (peak - start), 0))
            column = L + lead * S + b
            expected[lead, start:stop] += float(rolled[:L, column].mean()) / (stop - start)
            between[:, lead] += rolled[:L, column].numpy()
    found = record_attention(encoder, batch, how)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(found.between, between, rtol=1e-4)
    if how == "last-attention":  # a summary sees the beats of its own lead alone
        assert np.abs(found.between - np.diag(np.diag(found.between))).max() == 0


@pytest.mark.parametrize("how", REDUCTIONS)
def test_signed_attention_of_stages_against_a_plain_loop(how: Any) -> None:
    encoder, batch = model("hierarchical", "stages=3")
    config, T = encoder.config, batch.signal.shape[-1]
    calls: list[Tensor] = []
    handles = [
        block.attn.register_forward_pre_hook(
            lambda layer, inputs: calls.append(layer.weights(inputs[0]).double().mean(1)[0])
        )
        for block in encoder.blocks
    ]
    with torch.no_grad():
        encoder.encode(batch)
    for handle in handles:
        handle.remove()
    sizes = [config.conv_lengths(T)[conv - 1] for conv in config.stage_inputs]
    stages = [stage for stage, depth in enumerate(config.stage_depths) for _ in range(depth)]
    weights = [torch.zeros(n, dtype=torch.float64) for n in sizes]
    cls = 1.0
    for stage in reversed(range(len(sizes))):
        own = [found for found, at in zip(calls, stages, strict=True) if at == stage]
        mass = torch.zeros(1 + sizes[stage], dtype=torch.float64)
        mass[0] = cls
        for found in reversed(own):
            mass = mass @ found if how == "last-attention" else 0.5 * mass + 0.5 * mass @ found
            if how == "last-attention":
                break
        cls, weights[stage] = float(mass[0]), mass[1:]
        if how == "last-attention":
            break
    expected = np.zeros(T)
    for conv, own_weights in zip(config.stage_inputs, weights, strict=True):
        start, size, step = 0, 1, 1
        for kernel, stride, padding in list(zip(*kernels(), strict=True))[:conv]:
            start, size, step = start - padding * step, size + (kernel - 1) * step, step * stride
        for i, weight in enumerate(own_weights.tolist()):
            a, b = max(start + i * step, 0), min(start + i * step + size, T)
            expected[a:b] += weight / (b - a) / 12
    found = record_attention(encoder, batch, how)
    np.testing.assert_allclose(found.values, np.tile(expected, (12, 1)), rtol=1e-3, atol=1e-9)
    assert found.between is None


def kernels() -> tuple[Any, Any, Any]:
    return KERNELS[:6], STRIDES[:6], PADDING[:6]


@pytest.mark.parametrize("how", REDUCTIONS)
def test_the_query_of_an_entity_against_a_plain_loop(how: Any) -> None:
    torch.manual_seed(0)
    case = Case(host().get(MethodEntry, "kmerl"), settings=f"{SMALL['kmerl']} query_layers=2".split())
    method, batch = case.evaluated(), pick_leads(pick_records(case.batch(2), 1), [2, 7])
    classes = torch.randn(3, method.language.width)
    scorer = ClassScorer(method, classes)
    N, Q = 2 * batch.signal.shape[-1] // method.config.patch, 3
    with torch.no_grad():
        tokens = method.encoder.visible_tokens(batch.signal, batch.lead_ids, None)
        network = method.query_network
        x, memory = network.norm(method.to_query(classes))[None], network.norm(method.to_memory(tokens.flat()[0]))
        steps = []
        for layer in network.layers:
            steps.append(query_weights(layer.self_attn, layer.norm1(x), layer.norm1(x)))
            x = x + layer.self_attn(layer.norm1(x), None, None, records=1)
            steps.append(query_weights(layer.multihead_attn, layer.norm2(x), memory))
            x = x + layer.multihead_attn(layer.norm2(x), memory, None, records=1)
            x = x + layer.linear2(torch.relu(layer.linear1(layer.norm3(x))))
    rolled, _ = plain_map(method.encoder, batch, False)
    for c in range(Q):
        if how == "last-attention":
            weights = steps[-1][c]
        else:
            asked, weights = torch.eye(Q).double()[c], torch.zeros(N).double()
            for own, cross in reversed(list(zip(steps[::2], steps[1::2], strict=True))):
                weights = weights + 0.5 * asked @ cross
                asked = 0.5 * asked
                asked = 0.5 * asked + 0.5 * asked @ own
            weights = weights @ rolled
        found = record_attention(scorer, batch, how, c)
        by_token = found.values.reshape(2, -1, method.config.patch).sum(axis=-1).ravel()
        np.testing.assert_allclose(by_token, weights.numpy(), rtol=1e-3)
    maps = [record_attention(scorer, batch, how, c).values for c in range(Q)]
    assert np.abs(maps[0] - maps[1]).max() > 0  # each entity looks elsewhere


def query_weights(layer: Any, x: Tensor, memory: Tensor) -> Tensor:
    """Return the weights of `torch.nn.MultiheadAttention` with the layer's parameters, mean over heads, ``[Q, N]``."""
    D = x.shape[-1]
    plain = torch.nn.MultiheadAttention(D, layer.heads, batch_first=True).eval()
    names = {"in_proj_weight": layer.in_proj_weight, "in_proj_bias": layer.in_proj_bias}
    plain.load_state_dict({**names, **{f"out_proj.{k}": v for k, v in layer.out_proj.state_dict().items()}})
    return plain(x, memory, memory)[1][0].double()


def test_tokens_of_several_leads_and_overlapping_stretches_are_spread_evenly() -> None:
    layout = TokenLayout(
        token=torch.tensor([0, 1, 1, 2]),
        leads=torch.tensor([0, 0, 1, -1]),
        spans=torch.tensor([[0, 4], [2, 6], [0, 2], [6, 10]]),
        pooled=torch.tensor([0.5, 0.3, 0.2, 0.0]),
    )
    found = on_samples(torch.tensor([[0.4, 0.3, 0.2, 0.1]]).double(), layout, 2, 8, 10)[0]
    one = [0.1, 0.1, 0.15, 0.15, 0.05, 0.05, 0.05, 0.05, 0, 0]  # token 2 ends with the record at 8
    two = [0.05, 0.05, 0, 0, 0, 0, 0.05, 0.05, 0, 0]
    np.testing.assert_allclose(found, [one, two], atol=1e-12)


@pytest.mark.parametrize("name", ["clocs", "cpc", "merl", "simclr"])
def test_a_model_without_attention_says_so(name: str) -> None:
    with pytest.raises(RunError, match=r"no attention layers.*--by gradients"):
        record_attention(*model(name), "attention")


def test_an_encoder_that_does_not_state_its_tokens_says_so() -> None:
    class Odd(Encoder):
        width = 8

        def __init__(self) -> None:
            super().__init__()
            self.attention = Attention(width=8, heads=2)

        def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *a: Any, **k: Any) -> Any:
            tokens = self.attention(signal[..., :8])
            return Features(tokens.mean(1), tokens=tokens)

    batch = Batch(torch.randn(1, 3, 100), torch.arange(3), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(RunError, match=r"3 tokens of encoder Odd do not cut 100 samples evenly.*token_layout"):
        record_attention(Odd(), batch, "attention")


@pytest.mark.slow
def test_the_command(ecgkit: Callable[..., Outcome], cohort_store: Path, tmp_path: Path) -> None:
    run, result = make_run(tmp_path / "stmem", "stmem"), tmp_path / "result"
    done = ecgkit("probe", run, "--data", cohort_store, "--task", "simulated", "--out", result, "--no-cache")
    assert done.code == 0, done.err
    record = str(Store(cohort_store).table["record_id"].iloc[3])
    words = ("explain", result, "--record", record, "--data", cohort_store, "--by", "attention")
    drawn = ecgkit(*words, "--out", tmp_path / "a.png")
    assert drawn.code == 0, drawn.err
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert "where each lead looks" in drawn.out and "% of the attention" in drawn.out
    values = json.loads(ecgkit(*words, "--json").out)
    assert [row["lead"] for row in values["between_leads"]] == [
        row for row in values["between_leads"][0] if row != "lead"
    ]
    assert 0 < values["map_sum"] <= 1
