"""ST-MEM against its reference vectors, and the properties that its paper promises.

The golden tests build the model from the configuration in the file, so any vectors of the same form will do.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ecgkit_stmem.config import PRESETS, SIGNAL, StMemConfig
from ecgkit_stmem.model import StMem
from ecgkit_stmem.official import import_official
from torch import Tensor

from ecgkit.errors import RunError, SignalError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Clock
from ecgkit.nn.masking import kept_count, mask_from_restore, random_mask
from tests.conftest import official_shapes
from tests.reference_vectors import Reference, close

SMALL = StMemConfig(
    width=32, depth=2, heads=2, head_width=16, decoder_width=16, decoder_depth=1, decoder_heads=1, patch=45
)
ALL = torch.arange(12)


@pytest.fixture(scope="module")
def reference(golden: Path) -> Reference:
    return Reference(golden / "stmem_tiny.npz")


def reference_model(reference: Reference, **changes: Any) -> StMem:
    """The model of a file's weights; what no shape tells, such as the heads, comes from its sizes."""
    sizes = reference.sizes
    config, renamed, _ = import_official(reference.weights(), head_width=sizes.get("dim_head", 64))
    assert (config.patch, config.width, config.depth) == (sizes["patch_size"], sizes["embed_dim"], sizes["depth"])
    assert (config.decoder_width, config.decoder_depth) == (sizes["decoder_embed_dim"], sizes["decoder_depth"])
    config = replace(
        config,
        heads=sizes["num_heads"],
        decoder_heads=sizes["decoder_num_heads"],
        mask_ratio=sizes["mask_ratio"],
        norm_patches=sizes.get("norm_pix_loss", config.norm_patches),
        **changes,
    )
    model = StMem(config)
    model.load_state_dict(renamed)
    return model.eval()


def leads_of(reference: Reference) -> Tensor:
    return torch.arange(reference.sizes["num_leads"])


@pytest.fixture(scope="module")
def model(reference: Reference) -> StMem:
    return reference_model(reference)


@torch.no_grad()
def test_pretraining_equals_the_reference(model: StMem, reference: Reference) -> None:
    x, restore, leads = reference.tensor("x"), reference.tensor("ids_restore"), leads_of(reference)
    mask = mask_from_restore(restore, kept_count(restore.shape[-1], model.config.mask_ratio))
    close(mask.mask, reference["mask"])
    latent = model.encoder.encode_visible(x, leads, mask)
    close(latent.flatten(1, 2), reference["latent"])
    close(model.decoder(latent, mask), reference["pred"])
    close(model.reconstruction_loss(x, leads, mask), reference["loss"])


@torch.no_grad()
def test_the_mean_of_layers_equals_the_reference(golden: Path) -> None:
    reference = Reference(golden / "ipastmem_tiny.npz")
    model, leads = reference_model(reference, aggregate="mean"), leads_of(reference)
    x, restore = reference.tensor("x"), reference.tensor("ids_restore")
    mask = mask_from_restore(restore, kept_count(restore.shape[-1], reference.sizes["mask_ratio"]))
    close(mask.mask, reference["mask"])
    layers = list(model.encoder.run_blocks(model.encoder.embed(x, leads, mask), None))
    for layer, expected in zip(layers, reference["layers"], strict=True):
        close(model.encoder.norm(layer).flatten(1, 2), expected)
    latent = model.encoder.encode_visible(x, leads, mask)
    close(latent.flatten(1, 2), reference["agg"])
    close(model.decoder(latent, mask), reference["pred"])
    # Equal layers give the norm of one of them: with one block the two rules are the same.
    shallow = StMem(replace(SMALL, depth=1)).eval()
    last = shallow.encoder.encode_visible(torch.ones(1, 12, 2250), ALL)
    shallow.encoder.aggregate = "mean"
    close(shallow.encoder.encode_visible(torch.ones(1, 12, 2250), ALL), last)


@torch.no_grad()
def test_what_is_rebuilt_is_in_the_signals_unit(model: StMem, reference: Reference) -> None:
    if not model.config.norm_patches:
        pytest.skip("this reference rebuilds raw patches")
    x, leads = reference.tensor("x"), leads_of(reference)
    rows, n, T = torch.arange(len(x)), model.config.patches, x.shape[-1]
    torch.manual_seed(0)
    parts = model.reconstruct(Batch(x, leads, rows))
    close(parts.original.flatten(2), x)
    torch.manual_seed(0)
    mask = model.draw_mask(Batch(x, leads, rows))
    assert (parts.visible == (mask.mask == 0)).all()
    # Standardised again, it is what the loss compares.
    var, mean = torch.var_mean(parts.original, dim=-1, keepdim=True)
    error = ((parts.rebuilt - mean) / (var + 1e-6).sqrt() - (parts.original - mean) / (var + 1e-6).sqrt()) ** 2
    loss = (error.mean(-1) * mask.mask).sum() / mask.mask.sum()
    close(loss, model.reconstruction_loss(x, leads, mask))
    half = n // 2
    lengths = torch.full((len(x),), T)
    lengths[-1] = half * model.config.patch
    short = model.reconstruct(Batch(x, leads, rows, lengths))
    assert short.real is not None
    assert short.real[-1, 0].tolist() == [True] * half + [False] * (n - half)
    assert not (short.visible & ~short.real).any()


@torch.no_grad()
def test_features_equal_the_reference(model: StMem, reference: Reference) -> None:
    x, leads = reference.tensor("x"), leads_of(reference)
    close(model.encoder.encode_visible(x, leads).flatten(1, 2), reference["latent_nomask"])
    features = model.encoder(x, leads)
    close(features.pooled, reference["features"])
    logits = features.pooled @ reference.tensor("head_w").T + reference.tensor("head_b")
    close(logits, reference["logits"])
    close(model.encoder(x[..., : int(reference["short_len"])], leads).pooled, reference["short_features"])


@torch.no_grad()
def test_lead_subsets_equal_the_reference(model: StMem, reference: Reference) -> None:
    x = reference.tensor("x")
    names = [n.removesuffix("_ids") for n in reference.arrays if n.startswith("subset_") and n.endswith("_ids")]
    assert names
    for name in names:
        ids = reference.tensor(f"{name}_ids")
        close(model.encoder(x[:, ids], ids).pooled, reference[f"{name}_features"])


@pytest.fixture
def small() -> StMem:
    torch.manual_seed(0)
    return StMem(SMALL).eval()


@torch.no_grad()
def test_permuting_leads_with_their_ids_permutes_nothing_else(small: StMem) -> None:
    x, order = torch.randn(2, 12, 2250), torch.randperm(12, generator=torch.Generator().manual_seed(3))
    straight, permuted = small.encoder(x, ALL), small.encoder(x[:, order], order)
    torch.testing.assert_close(permuted.pooled, straight.pooled, atol=1e-5, rtol=1e-4)
    assert straight.per_lead is not None
    assert permuted.per_lead is not None
    torch.testing.assert_close(permuted.per_lead, straight.per_lead[:, order], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("count", range(1, 13))
def test_any_number_of_leads(small: StMem, count: int) -> None:
    ids = torch.arange(12).flip(0)[:count]
    x = torch.randn(2, count, 2250)
    features = small.encoder(x, ids)
    shapes = [getattr(features, f).shape for f in ("pooled", "per_lead", "tokens", "layers", "layer_input")]
    assert shapes == [(2, 32), (2, count, 32), (2, count * 50, 32), (2, 2, 32), (2, 32)]
    assert all(torch.isfinite(getattr(features, f)).all() for f in ("pooled", "per_lead", "tokens", "layers"))
    loss = small.training_step(Batch(x, ids, torch.arange(2)), Clock.end()).loss
    assert torch.isfinite(loss)


@torch.no_grad()
def test_a_subset_is_a_model_with_those_embeddings_only(small: StMem) -> None:
    ids, x = torch.tensor([1, 7]), torch.randn(2, 2, 2250)
    other = StMem(SMALL).eval()
    other.load_state_dict(small.state_dict())
    unused = [i for i in range(12) if i not in ids]
    other.encoder.lead_embedding[unused] = 1e6
    torch.testing.assert_close(other.encoder(x, ids).pooled, small.encoder(x, ids).pooled)


@torch.no_grad()
def test_the_decoder_rebuilds_each_lead_alone(small: StMem) -> None:
    mask = random_mask((1, 12, 50), 0.75)
    latent = torch.randn(1, 12, 14, 32)
    changed = latent.clone()
    changed[:, 3:] += 1
    before, after = small.decoder(latent, mask), small.decoder(changed, mask)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert (before[:, 3:] - after[:, 3:]).abs().mean() > 1e-3


@torch.no_grad()
def test_hidden_patches_do_not_reach_the_encoder_nor_visible_ones_the_loss(small: StMem) -> None:
    x, mask = torch.randn(2, 12, 2250), random_mask((2, 12, 50), 0.75)
    changed = x.view(2, 12, 50, 45) + 5 * torch.randn(2, 12, 50, 45) * mask.mask[..., None]
    seen, same = (small.encoder.encode_visible(s.reshape(2, 12, 2250), ALL, mask) for s in (x, changed))
    torch.testing.assert_close(seen, same)


@pytest.mark.parametrize(
    ("preset", "encoder", "full", "trained"),
    [("base", 85_150_614, 88_534_753, 88_501_985), ("soup", None, 88_498_838, None)],
)
def test_parameter_counts_of_the_published_sizes(
    preset: str, encoder: int | None, full: int, trained: int | None
) -> None:
    with torch.device("meta"):
        model = StMem(PRESETS[preset])
    assert sum(p.numel() for p in model.parameters()) == full
    if encoder is not None:
        assert sum(p.numel() for p in model.encoder.parameters()) == encoder
        assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trained
    assert (SIGNAL.samples, PRESETS["base"].patches, kept_count(30, 0.75)) == (2250, 30, 7)
    assert (PRESETS["soup"].signal.samples, PRESETS["soup"].patches, kept_count(20, 0.75)) == (1000, 20, 5)


@pytest.mark.parametrize("name", ["stmem_base_full", "stmem_base_encoder"])
def test_every_official_key_is_consumed(golden: Path, name: str) -> None:
    listed = official_shapes(golden, name)
    with torch.device("meta"):
        config, state, _ = import_official({key: torch.empty(shape) for key, shape in listed.items()})
        model = StMem(config)
    own = {
        n: v.shape
        for n, v in model.state_dict().items()
        if "decoder" in name or name.endswith("full") or n.startswith("encoder.")
    }
    assert {n: v.shape for n, v in state.items()} == own
    assert config == replace(PRESETS["base"], recipe=config.recipe)


def test_a_foreign_key_is_named() -> None:
    with pytest.raises(RunError, match=r"layer4\.conv"):
        import_official({"layer4.conv": torch.zeros(1)})


def official(golden: Path, **shapes: tuple[int, ...] | None) -> dict[str, Tensor]:
    """The published encoder without values, with some shapes changed or, by None, left out."""
    listed = official_shapes(golden, "stmem_base_encoder")
    changed = {name: shapes.get(name.replace(".", "_"), shape) for name, shape in listed.items()}
    return {name: torch.empty(shape, device="meta") for name, shape in changed.items() if shape is not None}


def test_ecg_soups_weights_get_its_input_and_their_leads_by_name(golden: Path) -> None:
    for name in ("ipastmem_base_full", "ppa_base_c5", "pma_base_c5"):
        listed = official_shapes(golden, name)
        with torch.device("meta"):
            config, state, left_out = import_official({key: torch.empty(shape) for key, shape in listed.items()})
            own = StMem(config).state_dict()
        assert config == PRESETS["soup"]
        assert {n: v.shape for n, v in state.items()} == {n: own[n].shape for n in state}
        assert set(own) == set(state) or not any(n.startswith("decoder.") for n in state)
        heads = {key for key in listed if key.startswith(("gating.", "head."))}
        assert set(left_out) == heads
        assert bool(heads) == (name != "ipastmem_base_full")
    leads = {f"lead_embeddings.{i}": torch.full((768,), float(i)) for i in range(12)}
    soup = {
        "pos_embedding": (1, 22, 768),
        "to_patch_embedding_1_weight": (50,),
        "to_patch_embedding_1_bias": (50,),
        "to_patch_embedding_2_weight": (768, 50),
    }
    _, state, _ = import_official(official(golden, **soup) | leads)
    table = state["encoder.lead_embedding"][:, 0]
    published = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF")
    assert [published[int(table[i])] for i in range(12)] == list(STANDARD_LEADS)
    config, *_ = import_official(official(golden, **(soup | {"pos_embedding": (1, 12, 768)})))
    assert (config.patch, config.patches) == (50, 10)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({f"lead_embeddings_{i}": None for i in range(12)}, "lead embeddings none"),
        ({"lead_embeddings_3": None}, "0 to 11"),
        ({"lead_embeddings_3": (5,)}, "different shapes"),
        ({"pos_embedding": None}, r"encoder\.positions"),
        ({"pos_embedding": (1, 2, 768)}, "no model"),
        ({"to_patch_embedding_2_weight": (768,)}, "shape \\(768,\\)"),
        ({"block0_ff_fn_net_0_bias": None}, "mlp"),
        ({"block0_attn_fn_to_qkv_bias": (30,)}, "heads"),
    ],
)
def test_an_incomplete_file_is_refused_by_name(golden: Path, shapes: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        import_official(official(golden, **shapes))


def test_a_foreign_lead_embedding_is_refused(golden: Path) -> None:
    with pytest.raises(RunError, match="11, 12"):
        import_official(official(golden) | {"lead_embeddings.12": torch.empty(768, device="meta")})


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"depth": 0},
        {"heads": 0},
        {"head_width": 0},
        {"decoder_width": 0},
        {"decoder_depth": 0},
        {"decoder_heads": -1},
        {"width": 33},
        {"decoder_width": 17},
        {"mlp_ratio": 0.0},
        {"mlp_ratio": float("nan")},
    ],
)
def test_impossible_sizes_are_refused_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} "):
        replace(SMALL, **wrong)


def test_gradients_reach_every_trained_parameter() -> None:
    torch.manual_seed(0)
    model = StMem(SMALL)
    model.training_step(Batch(torch.randn(2, 12, 2250), ALL, torch.arange(2)), Clock.end()).loss.backward()
    lost = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert lost == []
    assert not model.encoder.positions.requires_grad


def test_one_batch_is_learnt() -> None:
    torch.manual_seed(0)
    model, optimizer = StMem(SMALL), None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch = Batch(torch.randn(4, 12, 2250).cumsum(-1), ALL, torch.arange(4))
    losses = []
    for _ in range(30):
        loss = model.training_step(batch, Clock.end()).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])


def test_input_that_does_not_fit_is_refused(small: StMem) -> None:
    with pytest.raises(SignalError, match="multiple of the patch length 45"):
        small.encoder(torch.zeros(1, 12, 100), ALL)
    with pytest.raises(SignalError, match="at most 50"):
        small.encoder(torch.zeros(1, 12, 4500), ALL)
    with pytest.raises(SignalError, match="standard twelve"):
        small.encoder(torch.zeros(1, 1, 2250), torch.tensor([len(STANDARD_LEADS)]))
    with pytest.raises(ValueError, match="divide"):
        StMemConfig(patch=77)


@torch.no_grad()
def test_padding_changes_nothing(small: StMem) -> None:
    """A padded record has the features of the same record given at its own length."""
    x = torch.randn(2, 3, 2250)
    ids, lengths = torch.tensor([0, 1, 7]), torch.tensor([1350, 2250])
    padded = x.clone()
    padded[0, :, 1350:] = 0
    features = small.encoder(padded, ids, lengths)
    short, full = small.encoder(x[:1, :, :1350], ids), small.encoder(x[1:], ids)
    for field in ("pooled", "per_lead", "layers", "layer_input"):
        expected = torch.cat([getattr(short, field), getattr(full, field)])
        torch.testing.assert_close(getattr(features, field), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_padding_is_neither_rebuilt_nor_looked_at_in_pretraining(small: StMem) -> None:
    x, lengths = torch.randn(2, 12, 2250), torch.tensor([700, 2250])
    losses = []
    for filling in (0.0, 9.0):
        signal = x.clone()
        signal[0, :, 720:] = filling  # patch 15 of 45 samples is the last that holds a real one
        torch.manual_seed(3)
        losses.append(small.training_step(Batch(signal, ALL, torch.arange(2), lengths), Clock.end()).loss)
    torch.testing.assert_close(losses[0], losses[1])
