"""ECG-FM against its reference vectors: network, padding, input, published names."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_ecgfm.config import SIGNAL
from ecgkit_ecgfm.model import EcgFm, EcgFmEncoder
from ecgkit_ecgfm.official import import_official

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
    segments = reference[f"segments_{fs}"]
    crops = np.stack([window[:, i * spec.samples : (i + 1) * spec.samples] for i in range(len(segments))])
    np.testing.assert_allclose(finish(crops, spec)[..., :: sizes["segments_is_every"]], segments, atol=1e-5, rtol=1e-4)
