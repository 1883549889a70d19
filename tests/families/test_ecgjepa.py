"""ECG-JEPA's encoder against its reference vectors: network, subsets of leads, published names."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ecgkit_ecgjepa.config import BASE, LEADS
from ecgkit_ecgjepa.model import EcgJepa, EcgJepaEncoder, positions
from ecgkit_ecgjepa.official import import_official

from ecgkit.errors import RunError, SignalError
from ecgkit.leads import lead_ids
from ecgkit.nn.ema import teacher_of
from ecgkit.nn.losses.jepa import jepa_loss, normalized
from ecgkit.nn.positions import sincos_positions
from ecgkit.nn.transformer import Block
from ecgkit.schedules import cosine, linear, warm_up
from tests.conftest import official_shapes
from tests.families.official import check_strict, take
from tests.reference_vectors import Reference, close

IDS = torch.tensor(lead_ids(LEADS))


@pytest.fixture(scope="module")
def reference(golden: Path) -> Reference:
    return Reference(golden / "ecgjepa_tiny.npz")


@pytest.fixture(scope="module")
def encoder(reference: Reference) -> EcgJepaEncoder:
    importer = partial(import_official, heads=reference.sizes["encoder_num_heads"])
    state = reference.weights() | {"encoder.pos_embed": reference.tensor("encoder_pos_embed")}
    found = take("ecgjepa", importer, state).encoder
    assert isinstance(found, EcgJepaEncoder)
    return found


@torch.no_grad()
def test_tokens_and_features_equal_the_reference(encoder: EcgJepaEncoder, reference: Reference) -> None:
    x = reference.tensor("x").float()
    close(encoder.table.flatten(0, 1), reference["encoder_pos_embed"], atol=1e-6)
    features = encoder(x, IDS)
    close(features.tokens, reference["tokens"])
    close(features.pooled, reference["representation"])


@torch.no_grad()
def test_subsets_of_leads_equal_the_reference(encoder: EcgJepaEncoder, reference: Reference) -> None:
    x = reference.tensor("x").float()
    for j in range(reference.sizes["n_subsets"]):
        rows = reference.tensor(f"subset{j}_leads")
        close(encoder(x[:, rows], IDS[rows]).pooled, reference[f"subset{j}_representation"])
    with pytest.raises(SignalError, match="does not know"):
        encoder(x[:, :1], torch.tensor([2]))
    with pytest.raises(SignalError, match="multiple"):
        encoder(x[..., :120], IDS)


def visible_tokens(encoder: EcgJepaEncoder, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """What the encoder makes of the visible patches of all leads, ``[B, L k, D]``."""
    B, L, T = x.shape
    n = T // encoder.config.patch
    leads, patch = torch.arange(L * n) // n, torch.arange(L * n) % n
    kept = seen[patch]
    allowed = (leads[kept][:, None] == leads[kept]) | (patch[kept][:, None] == patch[kept])
    tokens, place = encoder.to_token(x.reshape(B, L * n, -1))[:, kept], encoder.table.flatten(0, 1)[kept]
    for block in encoder.blocks:
        tokens = block(tokens + place, allowed)
    return encoder.norm(tokens)


@torch.no_grad()
def test_the_pretraining_equals_the_reference(encoder: EcgJepaEncoder, reference: Reference) -> None:
    sizes, x, mask = reference.sizes, reference.tensor("x").float(), reference.tensor("mask")
    L, n, m = len(LEADS), len(mask), int(mask.sum())
    online = visible_tokens(encoder, x, ~mask)
    close(online, reference["context"])

    target = teacher_of(encoder)
    weights = {f"encoder.{name}": value for name, value in reference.weights("sd/target_encoder.").items()}
    _, ours, _ = import_official(
        weights | {"encoder.pos_embed": reference.tensor("encoder_pos_embed")}, heads=sizes["encoder_num_heads"]
    )
    target.load_state_dict({name.removeprefix("encoder."): value for name, value in ours.items()})
    targets = normalized(target(x, IDS).tokens).view(len(x), L, n, -1)[:, :, mask].flatten(1, 2)
    close(targets, reference["targets"])

    # The predictor sees one lead at a time; its table tells the patch, and the same lead for all.
    w = reference.weights("sd/predictor.")
    width = sizes["predictor_embed_dim"]
    table = torch.cat([sincos_positions(n, width // 2), sincos_positions(1, width // 2).expand(n, -1)], dim=1)
    close(table, reference["predictor_pos_embed"], atol=1e-6)
    place = table[torch.cat([(~mask).nonzero()[:, 0], mask.nonzero()[:, 0]])]
    x = F.linear(online.view(len(x) * L, n - m, -1), w["predictor_embed.weight"], w["predictor_embed.bias"])
    x = torch.cat([x, w["mask_token"].expand(len(x), m, -1)], dim=1)
    for b in range(sizes["predictor_depth"]):
        hidden = int(width * sizes["mlp_ratio"])
        block = Block(width=width, heads=sizes["predictor_num_heads"], hidden=hidden, qkv_bias=sizes["qkv_bias"])
        prefix = f"predictor_blocks.blocks.{b}."
        block.load_state_dict({name.removeprefix(prefix): v for name, v in w.items() if name.startswith(prefix)})
        x = block(x + place)
    x = F.layer_norm(x, (width,), w["predictor_norm.weight"], w["predictor_norm.bias"])[:, n - m :]
    predictions = F.linear(x, w["predictor_proj.weight"], w["predictor_proj.bias"]).view(len(targets), L * m, -1)
    close(predictions, reference["predictions"])
    every = torch.ones(predictions.shape[:2], dtype=torch.bool)
    close(jepa_loss(predictions, targets, every, "smooth_l1"), reference["loss"])


def test_the_schedules_equal_the_reference(reference: Reference) -> None:
    c = reference.sizes["schedule"]
    S = c["epochs"] * c["iterations_per_epoch"]
    warm = c["warmup_epochs"] * c["iterations_per_epoch"]
    # The cosine counts from the beginning of the training, not from the end of the warm-up.
    rates = [
        warm_up(c["lr"], i, warm, c["warmup_lr_init"]) if i < warm else cosine(c["lr"], c["lr_min"], i / S)
        for i in range(S)
    ]
    np.testing.assert_allclose(rates, reference["lr_schedule"], rtol=1e-6)
    np.testing.assert_allclose([linear(*c["ema"], i / S) for i in range(S)], reference["ema_schedule"], rtol=1e-9)


def test_the_published_names_are_consumed(golden: Path) -> None:
    shapes, table = official_shapes(golden, "ecgjepa_encoder"), positions(BASE.patches, BASE.width).flatten(0, 1)
    config, left = check_strict("ecgjepa", import_official, shapes, {"pos_embed": table})
    assert (config, left) == (BASE, ("pos_embed",))
    zeros = {name: torch.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(RunError, match="table of sines"):
        import_official(zeros)
    with torch.device("meta"):
        found = sum(p.numel() for p in EcgJepa(config).parameters())
    assert found == 85_374_720 - table.numel()
    full = {name: torch.zeros(shape) for name, shape in official_shapes(golden, "ecgjepa_full").items()}
    config, ours, left = import_official(full | {"encoder.pos_embed": table})
    assert config == BASE
    assert len(ours) + len(left) == len(full)
