"""ECG-FM against its reference vectors: network, padding, input, published names."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ecgkit_ecgfm.config import SIGNAL
from ecgkit_ecgfm.model import EcgFm, EcgFmEncoder
from ecgkit_ecgfm.official import import_official

from ecgkit.nn.losses.cmsc import cmsc_loss
from ecgkit.nn.losses.wav2vec2 import contrast_logits, masked_contrast, perplexity, size_penalty, unused
from ecgkit.nn.quantizer import ProductQuantizer
from ecgkit.signal.spec import finish, window_of
from tests.conftest import official_shapes
from tests.families.official import check_strict, take
from tests.reference_vectors import Reference, close

IDS = torch.arange(12)


@pytest.fixture(scope="module")
def reference(golden: Path) -> Reference:
    return Reference(golden / "ecgfm_tiny.npz")


def encoder_of(reference: Reference) -> EcgFmEncoder:
    sizes = reference.sizes
    state = {f"encoder.{name}": value for name, value in reference.weights().items()}
    kept = {name: value for name, value in state.items() if not name.startswith("encoder.quantizer")}
    importer = partial(import_official, head_width=sizes["encoder_embed_dim"] // sizes["encoder_attention_heads"])
    encoder = take("ecgfm", importer, kept | reference.weights("sd_classifier/")).encoder
    assert isinstance(encoder, EcgFmEncoder)
    return encoder


@torch.no_grad()
def test_every_stage_equals_the_reference(reference: Reference) -> None:
    encoder, x = encoder_of(reference), reference.tensor("x")
    close(encoder.convolutions(x).mT, reference["conv_features"])
    tokens = encoder.embed(x)
    close(tokens, reference["projected"])
    placed = encoder.with_positions(tokens)
    close(placed, reference["with_positions"])
    for found, expected in zip(encoder.run(placed), reference["layers"], strict=True):
        close(found, expected)
    features = encoder(x, IDS)
    close(features.tokens, reference["tokens"])
    close(features.pooled, reference["pooled"])
    close(features.logits, reference["logits"])
    encoder.norm_first = True
    for block in encoder.blocks:
        block.post_norm = False
    close(encoder(x, IDS).tokens, reference["prenorm_tokens"])


def quantizer_of(reference: Reference) -> ProductQuantizer:
    sizes, weights = reference.sizes, reference.weights("sd/quantizer.")
    G, V = sizes["latent_groups"], sizes["latent_vars"]
    inputs, width = weights["weight_proj.weight"].shape[1], weights["vars"].shape[-1]
    quantizer = ProductQuantizer(inputs=inputs, groups=G, codes=V, width=width)
    choose = {f"choose.{name}": weights[f"weight_proj.{name}"] for name in ("weight", "bias")}
    quantizer.load_state_dict({**choose, "codes": weights["vars"].view(G, V, width)})
    return quantizer.eval()


@torch.no_grad()
def test_the_pretraining_equals_the_reference(reference: Reference) -> None:
    encoder, sizes, weights = encoder_of(reference), reference.sizes, reference.weights()
    features, mask = encoder.convolutions(reference.tensor("x")).mT, reference.tensor("mask")
    before = encoder.input_norm(features)
    x = encoder.project(before)
    x[mask] = weights["mask_emb"]
    tokens = encoder.run(encoder.with_positions(x))[-1]
    close(tokens, reference["masked_tokens"])

    B, n = len(mask), sizes["num_negatives"]
    quantized, codes, shares = quantizer_of(reference)(before[mask].view(B, -1, before.shape[-1]))
    targets = F.linear(quantized, weights["project_q.weight"], weights["project_q.bias"])
    close(targets, reference["quantized_targets"])
    close(perplexity(shares), reference["prob_perplexity"])
    used = F.one_hot(codes, sizes["latent_vars"]).float().flatten(0, 1).mean(0)
    close(perplexity(used), reference["code_perplexity"])
    close(size_penalty(features), reference["features_pen"])

    predicted = F.linear(
        tokens[mask].view(B, -1, tokens.shape[-1]), weights["final_proj.weight"], weights["final_proj.bias"]
    )
    negatives = reference.tensor("neg_idxs").view(B, -1, n)
    given = (predicted, targets, codes, negatives, sizes["logit_temp"])
    close(contrast_logits(*given).permute(2, 0, 1), reference["contrast_logits"], atol=1e-4)
    pooled, segment, patients = tokens.mean(1), reference.tensor("segment"), reference.tensor("patient_id")
    close(pooled, reference["cmsc_features"])
    first, second = (pooled[segment == i] for i in (0, 1))
    assert torch.equal(patients[segment == 0], patients[segment == 1])
    parts = {
        "contrastive": masked_contrast(*given).sum(),
        "diversity": mask.sum() * sizes["loss_weights"][0] * unused(shares),
        "penalty": mask.sum() * sizes["loss_weights"][1] * size_penalty(features),
        "cmsc": mask.sum() * cmsc_loss(first, second, patients[segment == 0], sizes["cmsc_temp"]),
    }
    assert int(mask.sum()) == reference["sample_size"]
    for name, value in parts.items():
        close(value, reference[f"loss_{name}"])
    close(sum(parts.values()), reference["loss_total_sum"])


@torch.no_grad()
def test_padding_equals_the_reference(reference: Reference) -> None:
    encoder, x, lengths = encoder_of(reference), reference.tensor("pad_x"), reference.tensor("pad_lengths")
    features = encoder(x, IDS, lengths)
    assert torch.equal(~features.token_real, reference.tensor("pad_reduced_mask"))
    close(features.tokens, reference["pad_tokens"])
    close(features.pooled, reference["pad_pooled"])
    close(features.logits, reference["pad_logits"])


def test_both_names_of_weight_normalisation_are_read(reference: Reference) -> None:
    new = reference.weights()
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in new.items()
    }
    assert new.keys() != old.keys()
    (_, first, _), (_, second, _) = (import_official(state, head_width=8) for state in (new, old))
    assert all(torch.equal(first[name], second[name]) for name in first | second)


def test_the_published_names_are_consumed(golden: Path) -> None:
    config, left = check_strict("ecgfm", import_official, official_shapes(golden, "ecgfm_pretrain_base"), {})
    assert "mask_emb" in left
    assert not config.classes
    with torch.device("meta"):
        found = sum(p.numel() for p in EcgFm(config).parameters())
    assert found + config.width == 90_374_016  # with the mask token
    config, left = check_strict("ecgfm", import_official, official_shapes(golden, "ecgfm_finetuned_c17"), {})
    assert len(config.classes) == 17
    assert not left


@pytest.mark.parametrize("fs", [500, 400])
def test_the_input_equals_the_reference(golden: Path, fs: int) -> None:
    reference = Reference(golden / "ecgfm_preprocess.npz")
    sizes = reference.sizes
    raw = reference[f"raw_{fs}"] / sizes["units_per_mv"]
    spec = replace(SIGNAL, window=raw.shape[-1] / fs)
    window, length = window_of(raw, fs, spec)
    assert length == reference[f"resampled_len_{fs}"]
    assert spec.samples == sizes["segment"]
    # The record's own deviation at the contract's rate, before each lead is divided by it.
    plain, _ = window_of(raw, fs, replace(spec, normalize="none", normalize_window=False))
    np.testing.assert_allclose(plain.std(-1, dtype=np.float64), reference[f"std_{fs}"], atol=1e-5, rtol=1e-4)
    segments = reference[f"segments_{fs}"]
    crops = np.stack([window[:, i * spec.samples : (i + 1) * spec.samples] for i in range(len(segments))])
    np.testing.assert_allclose(finish(crops, spec)[..., :: sizes["segments_is_every"]], segments, atol=1e-5, rtol=1e-4)
