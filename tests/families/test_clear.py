"""CLEAR against its reference vectors, and the properties that its paper promises."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ecgkit_clear.config import PRESETS, ClearConfig
from ecgkit_clear.model import Beats, Clear, decoder_rule, encoder_rule
from ecgkit_clear.official import export_official, import_official
from torch import Tensor

from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError, SignalError
from ecgkit.methods import Batch, Clock
from ecgkit.nn.attention import watching
from ecgkit.nn.masking import Mask, gather_tokens, kept_count, mask_from_restore, random_mask
from ecgkit.nn.reconstruction import standardize_patches
from ecgkit.plugins import host
from ecgkit.training.published import import_published
from ecgkit.training.run import open_run
from tests.conftest import official_shapes
from tests.reference_vectors import Reference, close

ALL = torch.arange(12)
SMALL = ClearConfig(width=32, depth=2, heads=4, hidden=48, decoder_width=16, decoder_depth=1, decoder_heads=2)


@pytest.fixture(scope="module")
def reference(golden: Path) -> Reference:
    return Reference(golden / "clear_tiny.npz")


def reference_model(reference: Reference, **changes: Any) -> Clear:
    sizes = reference.sizes
    config, renamed, left_out = import_official(reference.weights())
    assert left_out == ()
    assert (config.slots, config.window.width) == (slots_of(reference), sizes["time_window"])
    assert (config.width, config.depth, config.hidden) == (sizes["embed_dim"], sizes["depth"], sizes["mlp_dim"])
    assert (config.decoder_width, config.decoder_depth) == (sizes["decoder_embed_dim"], sizes["decoder_depth"])
    heads = {"heads": sizes["heads"], "decoder_heads": sizes["decoder_num_heads"], "mask_ratio": sizes["mask_ratio"]}
    model = Clear(replace(config, **heads, **changes))
    model.load_state_dict(renamed)
    return model.eval()


def slots_of(reference: Reference) -> int:
    return reference.sizes["seq_len"] // reference.sizes["cls"]


def reference_leads(reference: Reference) -> Tensor:
    return torch.arange(reference.sizes["cls"])


def reference_beats(reference: Reference) -> Beats:
    B, L, S = len(reference["x"]), reference.sizes["cls"], slots_of(reference)
    assert (reference["chan"] == np.repeat(np.arange(1, L + 1), S)).all()
    seconds = reference.tensor("time").view(B, L, S)
    x = reference.tensor("x").view(B, L, S, -1)
    return Beats(standardize_patches(x), torch.ones(B, S, dtype=torch.bool), seconds)


def reference_mask(reference: Reference) -> Mask:
    kept = kept_count(reference.sizes["seq_len"], reference.sizes["mask_ratio"])
    mask = mask_from_restore(reference.tensor("ids_restore"), kept)
    assert (mask.ids_keep[0].numpy() == reference["kept_ids"]).all()
    close(mask.mask, reference["mask"])
    return mask


@torch.no_grad()
@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ("released", "enc_out"),
        ("paper", "enc_out_paper"),
        ("intended", "enc_out_intended"),
        ("full", "enc_out_full_attention"),
    ],
)
def test_pretraining_equals_the_reference(reference: Reference, rule: str, key: str) -> None:
    model, beats = reference_model(reference, encoder_mask=rule), reference_beats(reference)
    mask, leads = reference_mask(reference), reference_leads(reference)
    tokens = model.encoder.embed_beats(beats, leads)
    close(tokens, reference["tok_pre_mask"])
    close(gather_tokens(tokens, mask.ids_keep), reference["x_kept"])
    latent = model.encoder.encode_visible(beats, leads, mask)
    close(latent, reference[key])
    if rule == "released":
        close(model.decoder(latent, leads, mask, None), reference["pred"])
        close(model.reconstruction_loss(beats, leads, mask), reference["loss"])


@torch.no_grad()
@pytest.mark.parametrize("rule", ["full", "paper"])
def test_features_equal_the_reference(reference: Reference, rule: str) -> None:
    model = reference_model(reference, encoder_mask=rule)
    features = model.encoder.encode_beats(reference_beats(reference), reference_leads(reference))
    close(features.per_lead, reference[f"cls_unmasked_{rule}"])
    close(features.pooled, reference[f"cls_unmasked_{rule}"].mean(1))


def test_the_masks_equal_the_reference(reference: Reference) -> None:
    mask, L = reference_mask(reference), reference.sizes["cls"]
    leads = mask.ids_keep // slots_of(reference)
    for rule in ("paper", "intended"):
        allowed = encoder_rule(rule, L, leads, None)
        assert (allowed[:, 0].numpy() == reference[f"enc_allow_{rule}"]).all()
    close(encoder_rule("released", L, leads, None)[:, 0], reference["enc_mask_float"])
    assert encoder_rule("full", L, leads, None) is None
    rule = decoder_rule(reference_model(reference).config, L, mask, None)
    assert (~rule.dense()[:, 0].numpy() == reference["dec_mask_blocked"]).all()


def some_beats(B: int = 2, L: int = 12, real: int = 15, seed: int = 0) -> Beats:
    generator = torch.Generator().manual_seed(seed)
    slots = (torch.arange(15) < real).expand(B, 15)
    tokens = standardize_patches(torch.randn(B, L, 15, 96, generator=generator).cumsum(-1)) * slots[:, None, :, None]
    return Beats(tokens, slots, (slots * torch.arange(1, 16)).clamp(max=10)[:, None].expand(B, L, 15))


def small(**changes: Any) -> Clear:
    torch.manual_seed(0)
    return Clear(replace(SMALL, **changes)).eval()


@torch.no_grad()
def test_no_row_of_the_encoders_rules_is_empty_and_empty_slots_are_seen_by_none_else() -> None:
    torch.manual_seed(0)
    for rule in ("paper", "intended", "full", "released"):
        mask = random_mask((1000, 180), 0.8)
        real = torch.arange(180).expand(1000, -1) % 15 < 9
        seen = real.gather(1, mask.ids_keep)
        allowed = encoder_rule(rule, 12, mask.ids_keep // 15, seen)[:, 0]
        allowed = allowed if allowed.dtype == torch.bool else allowed > -torch.inf
        assert allowed.any(-1).all()
        empty = ~seen
        others = allowed[:, :, 12:] & ~torch.eye(47, dtype=torch.bool)[:, 12:]
        assert not (others & empty[:, None]).any()


@torch.no_grad()
def test_a_beat_reaches_its_neighbours_with_conv_and_none_with_linear() -> None:
    for embed, reached in (("conv", {20: [19, 20, 21], 0: [0, 1, 179]}), ("linear", {20: [20], 0: [0]})):
        model, beats = small(embed=embed), some_beats(1)
        before = model.encoder.embed_beats(beats, ALL)
        for token, expected in reached.items():
            tokens = beats.tokens.clone()
            tokens.view(1, 180, 96)[0, token] += 1
            after = model.encoder.embed_beats(replace(beats, tokens=tokens), ALL)
            changed = (after - before).abs().amax(-1)[0] > 1e-6
            assert sorted(changed.nonzero().flatten().tolist()) == expected


@torch.no_grad()
def test_a_hidden_beat_is_rebuilt_from_its_own_slot_and_its_leads_summary_alone() -> None:
    model, beats = small(), some_beats(1)
    mask = random_mask((1, 180), 0.8)
    latent = torch.randn(1, 47, 32)
    before = model.decoder(latent, ALL, mask, None)
    hidden = int(mask.mask[0].nonzero()[7])
    lead, slot = divmod(hidden, 15)
    changed = latent.clone()
    far = (mask.ids_keep[0] % 15 != slot).nonzero().flatten()
    changed[0, 12 + far] += 1
    changed[0, [i for i in range(12) if i != lead]] += 1
    after = model.decoder(changed, ALL, mask, None)
    torch.testing.assert_close(after[0, hidden], before[0, hidden])
    changed = latent.clone()
    changed[0, lead] += torch.randn(32)
    assert (model.decoder(changed, ALL, mask, None)[0, hidden] - before[0, hidden]).abs().max() > 1e-3
    assert beats.real.all()


def test_only_hidden_real_beats_are_scored() -> None:
    for pad_aware in (True, False):
        model, beats = small(pad_aware=pad_aware), some_beats(real=9)
        mask = model.draw_mask(beats)
        rebuilt = model.rebuild(beats, ALL, mask).detach().requires_grad_()
        model.rebuild = lambda *_, out=rebuilt: out  # type: ignore[method-assign]
        model.reconstruction_loss(beats, ALL, mask).backward()
        counted = mask.mask.bool() & (beats.real.repeat(1, 12) if pad_aware else True)
        assert ((rebuilt.grad.abs().sum(-1) > 0) == counted).all()


@torch.no_grad()
def test_what_stands_in_empty_slots_changes_nothing() -> None:
    model, beats = small(embed="linear"), some_beats(real=9)
    other = beats.tokens + (~beats.real)[:, None, :, None] * torch.randn(2, 12, 15, 96)
    straight, filled = (model.encoder.encode_beats(replace(beats, tokens=t), ALL) for t in (beats.tokens, other))
    torch.testing.assert_close(filled.per_lead, straight.per_lead)
    torch.testing.assert_close(filled.layer_input, straight.layer_input)
    released = small(embed="linear", pad_aware=False)
    released.load_state_dict(model.state_dict())
    one, two = (released.encoder.encode_beats(replace(beats, tokens=t), ALL).per_lead for t in (beats.tokens, other))
    assert (one - two).abs().max() > 1e-3


@torch.no_grad()
def test_two_passes_are_equal_and_records_permute() -> None:
    model, signal, peaks = small(), torch.randn(3, 12, 1000).cumsum(-1), torch.tensor([[50, 150, 300]] * 3)
    peaks[1, 2] = -1
    first, again = (model.encoder(signal, ALL, beats=peaks).per_lead for _ in range(2))
    assert torch.equal(first, again)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(model.encoder(signal[order], ALL, beats=peaks[order]).per_lead, first[order])


@torch.no_grad()
@pytest.mark.parametrize("embed", ["conv", "linear"])
def test_permuting_leads_with_their_ids_permutes_nothing_else(embed: str) -> None:
    model, beats, order = small(embed=embed), some_beats(), torch.tensor([5, 0, 11, 3, 7, 1, 2, 9, 4, 10, 8, 6])
    straight = model.encoder.encode_beats(beats, ALL)
    moved = Beats(beats.tokens[:, order], beats.real, beats.seconds[:, order])
    permuted = model.encoder.encode_beats(moved, order)
    torch.testing.assert_close(permuted.per_lead, straight.per_lead[:, order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(permuted.pooled, straight.pooled, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_few_leads_equal_the_whole_with_the_others_blocked() -> None:
    model, beats, ids = small(embed="linear"), some_beats(), torch.tensor([0, 1, 7])
    few = Beats(beats.tokens[:, ids], beats.real, beats.seconds[:, ids])
    alone = model.encoder.encode_beats(few, ids)
    tokens = model.encoder.embed_beats(beats, ALL)
    leads = torch.arange(12).repeat_interleave(15).expand(2, -1)
    inside = torch.isin(leads, ids)
    outputs = model.encoder.encode_tokens(tokens, ALL, leads, inside)
    torch.testing.assert_close(alone.per_lead, model.encoder.norm(outputs[-1])[:, ids], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_subset_is_a_model_with_those_rows_only() -> None:
    model, ids = small(), torch.tensor([7, 1])
    other = small()
    other.load_state_dict(model.state_dict())
    unused = [i for i in range(12) if i not in ids]
    other.encoder.summary[unused] = 1e6
    other.encoder.lead_embedding.weight[[0, 13, *(i + 1 for i in unused)]] = 1e6
    other.encoder.positions[unused + [12 + 15 * i + s for i in unused for s in range(15)]] = 1e6
    beats = some_beats(L=2)
    torch.testing.assert_close(
        other.encoder.encode_beats(beats, ids).per_lead, model.encoder.encode_beats(beats, ids).per_lead
    )


@pytest.mark.parametrize("count", range(1, 13))
def test_any_number_of_leads_trains_with_finite_gradients_in_bf16(count: int) -> None:
    torch.manual_seed(0)
    model, ids = Clear(SMALL), torch.arange(12).flip(0)[:count]
    peaks = torch.tensor([[50, 150, 260, 900], [40, -1, -1, -1]])
    batch = Batch(torch.randn(2, count, 1000).cumsum(-1), ids, torch.arange(2), extra={"beats": peaks})
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.training_step(batch, Clock.end()).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    with torch.no_grad():
        features = model.eval().encoder.encode(batch)
    assert features.per_lead.shape == (2, count, 32)
    assert torch.isfinite(features.per_lead).all()


def test_gradients_reach_every_parameter() -> None:
    model = small().train()
    model.reconstruction_loss(some_beats(8), ALL, model.draw_mask(some_beats(8))).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_the_summary_of_lead_one_attends_to_lead_one_only() -> None:
    """Weights that were really used, in every layer of encoder and decoder."""
    model, beats = small(), some_beats(real=11)
    mask = model.draw_mask(beats)
    seen: list[Tensor] = []
    with watching(model, lambda i, weights: seen.append(weights)) as layers:
        model.rebuild(beats, ALL, mask)
        model.encoder.encode_beats(beats, ALL)
    assert len(seen) == layers + 2
    grid = torch.arange(180) // 15
    for weights in seen:
        leads = grid[mask.ids_keep] if weights.shape[-1] == 47 else grid.expand(2, -1)
        row = weights[:, :, 0]  # (B, heads, keys) of lead I's summary
        assert (row[:, :, 1:12] == 0).all()
        assert (row[:, :, 12:].transpose(1, 2)[leads != 0] == 0).all()
        torch.testing.assert_close(row.sum(-1), torch.ones_like(row.sum(-1)))
        assert row[:, :, 0].min() > 0


@torch.no_grad()
@pytest.mark.parametrize(("conduction", "view"), [(True, False), (False, True), (False, False)])
def test_ablations_change_only_what_they_name(conduction: bool, view: bool) -> None:
    model, beats = small(conduction=conduction, view=view), some_beats(real=11)
    mask = model.draw_mask(beats)
    seen: list[Tensor] = []
    with watching(model.decoder, lambda i, weights: seen.append(weights)):
        model.rebuild(beats, ALL, mask)
    used = seen[0].amax(1) > 0  # (B, 192, 192)
    slot, lead = torch.arange(180) % 15, torch.arange(180) // 15
    hidden = (mask.mask[0].bool() & beats.real[0].repeat(12)).nonzero()[0, 0]
    real = beats.real[0].repeat(12)
    row = used[0, 12 + hidden]
    assert (row[12:] == (real & (slot == slot[hidden]) if conduction else real)).all()
    assert (row[:12] == (torch.arange(12) == lead[hidden] if view else torch.ones(12, dtype=torch.bool))).all()
    assert torch.isfinite(model.reconstruction_loss(beats, ALL, mask))
    with watching(model.encoder, lambda i, weights: seen.append(weights)):
        model.encoder.encode_beats(beats, ALL)
    assert bool((seen[-1][0, 0, 0, 1:12] > 0).all()) is not view


@torch.no_grad()
def test_one_summary_is_seen_by_all_beats_and_sees_all() -> None:
    model, beats = small(summary="one"), some_beats(real=11)
    mask = model.draw_mask(beats)
    seen: list[Tensor] = []
    with watching(model.decoder, lambda i, weights: seen.append(weights)):
        assert model.rebuild(beats, ALL, mask).shape == (2, 180, 96)
    used, real = seen[0].amax(1) > 0, beats.real[0].repeat(12)  # (B, 181, 181)
    assert used.shape[1:] == (181, 181)
    slot = torch.arange(180) % 15
    hidden = (mask.mask[0].bool() & real).nonzero()[0, 0]
    row = used[0, 1 + hidden]
    assert row[0]
    assert (row[1:] == (real & (slot == slot[hidden]))).all()
    assert (used[0, 0, 1:] == real).all()
    with watching(model.encoder, lambda i, weights: seen.append(weights)):
        features = model.encoder.encode_beats(beats, ALL)
    assert (seen[-1][0].amax(0)[0] > 0).equal(torch.cat([torch.tensor([True]), real]))
    assert features.per_lead is None
    assert features.tokens is not None and features.tokens.shape == (2, 180, 32)
    assert features.pooled.shape == (2, 32)
    assert model.encoder.summary.shape == (1, 32)


def test_one_summary_trains_all_its_parameters_on_any_leads() -> None:
    model = small(summary="one").train()
    beats = some_beats(8)
    model.reconstruction_loss(beats, ALL, model.draw_mask(beats)).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    few = Beats(beats.tokens[:, [3, 7]], beats.real, beats.seconds[:, [3, 7]])
    assert torch.isfinite(model.reconstruction_loss(few, torch.tensor([3, 7]), model.draw_mask(few)))
    with pytest.raises(ValueError, match="encoder_mask released"):
        replace(SMALL, summary="one", encoder_mask="released")


@pytest.mark.parametrize(("preset", "parameters"), [("base", 56_639_072), ("large", 304_367_712)])
def test_parameter_counts_of_the_published_sizes(preset: str, parameters: int) -> None:
    with torch.device("meta"):
        model = Clear(PRESETS[preset])
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert kept_count(12 * PRESETS[preset].slots, PRESETS[preset].mask_ratio) == 35
    assert PRESETS["base"].recipe.lr / 256 * 1792 == pytest.approx(5e-4)


def test_the_published_schedule_ends_at_its_floor() -> None:
    recipe = replace(PRESETS["base"].recipe, batch_size=1792)
    assert [recipe.lr_at(epoch) for epoch in (0, 2.5, 5)] == pytest.approx([0, 2.5e-4, 5e-4])
    assert recipe.lr_at(52.5) == pytest.approx((5e-4 + 1e-5) / 2)
    assert recipe.lr_at(100) == pytest.approx(1e-5, rel=1e-12)


@pytest.mark.parametrize("name", ["clear_base_pretrain", "clear_hug_finetune_c5"])
def test_every_official_key_is_consumed_or_named(golden: Path, name: str) -> None:
    listed = official_shapes(golden, name)
    with torch.device("meta"):
        official = {key: torch.empty(shape) for key, shape in listed.items()}
        config, state, left_out = import_official(official)
        own = Clear(config).state_dict()
    assert {n: v.shape for n, v in state.items()} == {n: v.shape for n, v in own.items()}
    published = replace(PRESETS["base"], encoder_mask="full", pad_aware=False, embed="conv")
    assert config == published
    body = {n.removeprefix("backbone.") for n in listed} - {n.removeprefix("backbone.") for n in left_out}
    assert set(export_official(state)) == body
    assert bool(left_out) == (name == "clear_hug_finetune_c5")
    assert len(left_out) in (0, 16)


def test_official_weights_become_a_run_and_come_back_the_same(golden: Path, tmp_path: Path) -> None:
    reference = Reference(golden / "clear_tiny.npz")
    official = reference.weights()
    head = {"mlp_head.weight": torch.zeros(5, reference.sizes["embed_dim"]), "mlp_head.bias": torch.zeros(5)}
    torch.save({"model": official | head, "epoch": 3}, tmp_path / "ckpt.pth")
    imported = import_published(host().get(MethodEntry, "clear"), tmp_path / "ckpt.pth", tmp_path / "run")
    assert imported.left_out == ("mlp_head.weight", "mlp_head.bias")
    run = open_run(tmp_path / "run")
    back = export_official(run.method().state_dict())
    assert set(back) == set(official)
    assert all(torch.equal(back[n], official[n]) for n in official)
    assert run.details["imported"]["left_out"] == ["mlp_head.weight", "mlp_head.bias"]


def test_foreign_and_broken_files_are_refused_by_name(golden: Path) -> None:
    listed = official_shapes(golden, "clear_base_pretrain")
    official = {key: torch.empty(shape, device="meta") for key, shape in listed.items()}
    for change, message in (
        ({"layer4.conv": torch.zeros(1)}, r"layer4\.conv"),
        ({"pos_embed": torch.zeros(1, 100, 768)}, "100 positions"),
        ({"pos_embed": torch.zeros(2, 192, 768)}, "pos_embed has shape"),
        ({"decoder_embed.bias": torch.zeros(())}, "decoder"),
    ):
        with pytest.raises(RunError, match=message):
            import_official(official | change)
    for missing in ("pos_embed", "token_embed.tokenConv.weight", "decoder_embed.bias"):
        with pytest.raises(RunError, match="holds nothing that becomes"):
            import_official({n: v for n, v in official.items() if n != missing})


@torch.no_grad()
def test_beats_are_cut_from_signals_and_a_record_without_peaks_gets_even_ones() -> None:
    model, signal = small(), torch.randn(3, 2, 1000).cumsum(-1)
    peaks = torch.tensor([[0, 100, 230, -1], [-1, -1, -1, -1], [500, 800, 990, -1]])
    beats = model.encoder.cut(signal, peaks, torch.tensor([1000, 1000, 850]))
    assert beats.real.sum(1).tolist() == [3, 15, 2]
    assert beats.seconds[0, 0, :4].tolist() == [0, 2, 3, 0]  # a peak at sample 0 has no second, as published
    assert beats.tokens.shape == (3, 2, 15, 96)
    one = beats.tokens[2, 1, 0]
    assert one.mean().abs() < 1e-5
    assert (beats.tokens[0, :, 3:] == 0).all()
    assert one.std() == pytest.approx(1, abs=1e-3)


def test_the_mask_is_one_a_record_or_one_a_batch() -> None:
    beats = some_beats(8)
    alone, shared = (small(mask_per=per).draw_mask(beats).mask for per in ("record", "batch"))
    assert (alone != alone[:1]).any()
    assert (shared == shared[:1]).all()
    assert (alone.sum(1) == 145).all()
    assert shared.shape == alone.shape


def test_long_records_have_more_slots() -> None:
    config = replace(SMALL, window=replace(SMALL.window, max_beats=60))
    torch.manual_seed(0)
    model = Clear(config)
    peaks = torch.arange(40, 6000, 90)[None]
    batch = Batch(torch.randn(1, 12, 6000).cumsum(-1), ALL, torch.arange(1), extra={"beats": peaks})
    assert torch.isfinite(model.training_step(batch, Clock.end()).loss)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0}, "^width"),
        ({"heads": 5}, "^width"),
        ({"decoder_heads": 3}, "^decoder_width"),
        ({"dropout": 1.0}, "^dropout"),
        ({"mask_ratio": 1.0}, "^mask_ratio"),
        ({"depth": 0}, "^depth"),
        ({"window": replace(SMALL.window, max_beats=None)}, "max_beats"),
        ({"signal": replace(SMALL.signal, leads=("I", "V7"))}, "standard twelve"),
    ],
)
def test_impossible_settings_are_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **wrong)


def test_a_lead_beyond_the_twelve_is_refused() -> None:
    with pytest.raises(SignalError, match="standard twelve"):
        small().encoder(torch.randn(1, 1, 1000), torch.tensor([14]), beats=torch.tensor([[100]]))
