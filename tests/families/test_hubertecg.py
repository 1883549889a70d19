"""HuBERT-ECG against its reference vectors: network, padding, input, published names."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from ecgkit_hubertecg.config import PRESETS, SIGNAL
from ecgkit_hubertecg.model import HubertEcg, HubertEcgEncoder
from ecgkit_hubertecg.official import import_official

from ecgkit.nn.decimation import Decimation
from ecgkit.nn.losses.code_prediction import code_errors, code_logits
from ecgkit.signal.spec import window_of
from tests.conftest import official_shapes
from tests.families.official import check_strict, take
from tests.reference_vectors import Reference, close

IDS = torch.arange(12)


@pytest.fixture(scope="module")
def reference(golden: Path) -> Reference:
    return Reference(golden / "hubertecg_tiny.npz")


def encoder_of(reference: Reference) -> HubertEcgEncoder:
    importer = partial(import_official, heads=reference.sizes["num_attention_heads"])
    encoder = take("hubertecg", importer, reference.weights() | reference.weights("sd_classifier/")).encoder
    assert isinstance(encoder, HubertEcgEncoder)
    return encoder


@torch.no_grad()
def test_every_stage_equals_the_reference(reference: Reference) -> None:
    encoder, x = encoder_of(reference), reference.tensor("x")
    close(encoder.convolutions(x[:, None]).mT, reference["conv_features"])
    tokens = encoder.embed(x)
    close(tokens, reference["projected"])
    for found, expected in zip(encoder.run(tokens), reference["hidden_states"], strict=True):
        close(found, expected)
    features = encoder.of_series(x)
    close(features.pooled, reference["pooled"])
    close(features.logits, reference["logits"])


@torch.no_grad()
def test_the_pretraining_equals_the_reference(reference: Reference) -> None:
    encoder, sizes, weights = encoder_of(reference), reference.sizes, reference.weights()
    tokens, mask = encoder.embed(reference.tensor("x")), reference.tensor("mask")
    tokens[mask] = weights["masked_spec_embed"]
    last = encoder.run(tokens)[-1]
    close(last, reference["masked_last"])
    masked = unmasked = torch.zeros(())
    for i in range(len(sizes["vocab_sizes"])):
        predicted = F.linear(last, weights[f"final_proj.{i}.weight"], weights[f"final_proj.{i}.bias"])
        logits = code_logits(predicted, weights[f"label_embedding.{i}.weight"], sizes["temperature"])
        close(logits, reference[f"codebook_logits{i}"])
        errors = code_errors(logits, reference.tensor(f"codebook_labels{i}"))
        masked, unmasked = masked + errors[mask].mean(), unmasked + errors[~mask].mean()
    close(masked, reference["loss_masked"])
    close(unmasked, reference["loss_unmasked"])


@torch.no_grad()
def test_padding_as_released_equals_the_reference(reference: Reference) -> None:
    encoder, x = encoder_of(reference), reference.tensor("pad_x")
    kept = reference.tensor("pad_attention_mask").sum(1)
    features = encoder.of_series(x, kept)
    assert torch.equal(features.token_real, reference.tensor("pad_reduced_mask"))
    close(features.tokens, reference["pad_last_released"])
    close(features.logits, reference["pad_logits_released"])
    close(encoder.of_series(x).tokens, reference["pad_last_nomask"])


@torch.no_grad()
def test_a_short_record_is_repeated() -> None:
    encoder = HubertEcg(PRESETS["tiny"]).eval().encoder
    torch.manual_seed(0)
    x = torch.rand(2, 12, 2500) * 2 - 1
    lengths = torch.tensor([1000, 2500])
    short = x * (torch.arange(2500) < lengths[:, None, None])
    tiled = torch.cat([x[:1, :, :1000], x[:1, :, :1000], x[:1, :, :500]], dim=2)
    found = encoder(short, IDS, lengths).pooled
    close(found[:1], encoder(tiled, IDS).pooled)
    close(found[1:], encoder(x[1:], IDS).pooled)
    # A lead that is not given is a flat one.
    flat = x.clone()
    flat[:, 3] = -1
    kept = torch.tensor([i for i in range(12) if i != 3])
    close(encoder(x[:, kept], kept).pooled, encoder(flat, IDS).pooled)


@pytest.mark.parametrize(("samples", "factor"), [(30_000, 5), (2503, 5), (1999, 2)])
def test_decimation_is_that_of_scipy(samples: int, factor: int) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (2, samples))
    found = Decimation(samples, factor)(torch.from_numpy(x).float())
    np.testing.assert_allclose(found, scipy.signal.decimate(x, factor, axis=-1), atol=3e-6)
    with pytest.raises(ValueError, match="too few"):
        Decimation(100, factor)


@torch.no_grad()
@pytest.mark.parametrize("fs", [500, 400])
def test_the_input_equals_the_reference(golden: Path, fs: int) -> None:
    reference = Reference(golden / "hubertecg_preprocess.npz")
    sizes, raw = reference.sizes, reference[f"raw_{fs}"].astype(np.float64)
    spec = replace(SIGNAL, window=raw.shape[-1] / fs, eval_starts=(0.0,))
    window, _ = window_of(raw, fs, spec)
    scaled = reference[f"scaled_{fs}"]
    np.testing.assert_allclose(window[:, :: sizes["scaled_is_every"]], scaled, atol=1e-5, rtol=1e-4)
    crop = window[:, : sizes["crop"]].copy()
    if fs == 500:  # gaps here are repaired before the filter; the vectors have some behind the scaling
        crop[sizes["nan_lead"], slice(*sizes["nan_range"])] = np.nan
        crop[np.isnan(crop)] = np.nanmean(crop)
    encoder = HubertEcg(PRESETS["tiny"]).encoder
    close(encoder.series(torch.from_numpy(crop[None]).float(), IDS)[0], reference[f"input_{fs}"])


def test_the_published_names_are_consumed(golden: Path) -> None:
    parameters = {"small": 30_209_664, "base": 92_798_848, "large": 187_644_736}
    for name, expected in parameters.items():
        shapes = official_shapes(golden, f"hubertecg_{name}_pretrain")
        if name == "small":
            config, left = check_strict("hubertecg", import_official, shapes, {})
            assert "masked_spec_embed" in left
        with torch.device("meta"):
            config, ours, left = import_official({key: torch.zeros(shape) for key, shape in shapes.items()})
            model = HubertEcg(config)
        assert config == PRESETS[name]
        assert {key: value.shape for key, value in ours.items()} == {k: v.shape for k, v in model.state_dict().items()}
        assert sum(p.numel() for p in model.parameters()) + config.width == expected  # with the mask token
