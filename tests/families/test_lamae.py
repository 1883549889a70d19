"""LAMAE and its baselines: there are no reference vectors, so what the paper promises is tested as properties."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from ecgkit_lamae.alignment import alignment_loss, alignment_weight
from ecgkit_lamae.config import BASE, METHODS, PRESETS, TINY, Alignment, LamaeConfig
from ecgkit_lamae.encoder import Encoded
from ecgkit_lamae.model import Lamae
from torch import Tensor

from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import RunError, SignalError, StoreError
from ecgkit.evaluation.features.extract import pooled_by_lead
from ecgkit.methods import Batch, Clock
from ecgkit.nn.masking import Mask, kept_count, random_mask
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.training.loop import pretrain
from ecgkit.training.run import open_run

ALL = torch.arange(12)
SMALL = replace(
    TINY,
    width=16,
    depth=1,
    heads=2,
    latent_depth=1,
    decoder_depth=1,
    signal=replace(TINY.signal, seconds=4.0),
    recipe=replace(TINY.recipe, epochs=2),
)
N, T = 20, 1000


def build(**changes: Any) -> Lamae:
    torch.manual_seed(0)
    return Lamae(replace(SMALL, **changes)).eval()


def batch_of(signal: Tensor, ids: Tensor = ALL) -> Batch:
    return Batch(signal, ids, torch.arange(len(signal)))


def encode(model: Lamae, signal: Tensor, ids: Tensor, mask: Mask | None) -> Encoded:
    return model.encoder.encode_leads(signal, ids, mask, None)


def reorder(mask: Mask, order: Tensor) -> Mask:
    return Mask(mask.ids_keep[:, order], mask.ids_restore[:, order], mask.mask[:, order])


@torch.no_grad()
def test_leads_are_a_set() -> None:
    """Permuted leads with permuted masks: the same CLS and loss, and the reconstruction permuted."""
    model, x = build(), torch.randn(2, 12, T)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    mask, K = random_mask((2, 12, N), 0.75), 5
    survivors = random_mask((2, 12 * K), 0.5).ids_keep
    lead, token = survivors // K, survivors % K
    moved = order.argsort()[lead] * K + token
    for ids in (ALL, ALL[order]):  # what the leads are called makes no difference either
        features, permuted = model.encoder(x, ALL), model.encoder(x[:, order], ids)
        torch.testing.assert_close(permuted.pooled, features.pooled, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(permuted.per_lead, features.per_lead[:, order], atol=1e-5, rtol=1e-4)
    straight, other = encode(model, x, ALL, mask), encode(model, x[:, order], ALL, reorder(mask, order))
    one, two = model.latent(straight, mask, survivors), model.latent(other, reorder(mask, order), moved)
    torch.testing.assert_close(two.cls, one.cls, atol=1e-5, rtol=1e-4)
    rebuilt, again = model.decode(batch_of(x), one, None), model.decode(batch_of(x[:, order]), two, None)
    torch.testing.assert_close(again, rebuilt[:, order], atol=1e-5, rtol=1e-4)
    losses = [
        model.reconstruction_loss(batch_of(x), straight, mask, survivors),
        model.reconstruction_loss(batch_of(x[:, order]), other, reorder(mask, order), moved),
    ]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize("name", ["lamae", "ind-shared", "ind-separate", "mmvm"])
@pytest.mark.parametrize(
    "changes", [{}, {"reduction": "paper"}, {"norm_patches": True}, {"latent_mask": "lead"}], ids=str
)
def test_what_is_rebuilt_is_what_the_loss_compares(name: str, changes: dict[str, Any], is_padded: bool) -> None:
    """The hidden patches are those of the mask, and their error is the reconstruction part of the loss."""
    model = build(**{**METHODS.get(name, {}), **changes})
    x, ids = 3 + 2 * torch.randn(2, 5, T), torch.tensor([7, 1, 0, 11, 4])
    lengths = torch.tensor([T, 610]) if is_padded else None
    if lengths is not None:
        x[1, :, 610:] = 0
    batch = Batch(x, ids, torch.arange(2), lengths)
    torch.manual_seed(4)
    parts = model.reconstruct(batch)
    torch.manual_seed(4)
    loss = model.training_step(batch, Clock.end()).parts["reconstruction"]
    torch.manual_seed(4)
    real = None if lengths is None else (torch.arange(N) * 50 < lengths[:, None])[:, None].expand(2, 5, N)
    mask = random_mask((2, 5, N), 0.75, real=real)
    counts = mask.mask.bool()
    shown = ~counts if real is None else ~counts & real
    assert torch.equal(parts.visible, shown)
    assert (parts.real is None) == (real is None)
    assert real is None or torch.equal(parts.real, real)
    assert torch.equal(parts.original.flatten(-2), x), "in the unit of the signal"
    error, patch = parts.rebuilt - parts.original, model.config.patch
    if changes.get("norm_patches"):
        error = error / (parts.original.var(-1, keepdim=True) + 1e-6).sqrt()
    squares = error.square().sum(-1)
    if changes.get("reduction") == "paper":
        each = [squares[b][counts[b]].sum() / 5 / 0.75 for b in range(2)]
    else:
        each = [squares[b][counts[b]].mean() / patch for b in range(2)]
    torch.testing.assert_close(torch.stack(each).mean(), loss, rtol=1e-5, atol=1e-6)


def test_training_on_labels_rebuilds_nothing() -> None:
    model = build(**METHODS["scratch"], classes=("a",))
    with pytest.raises(RunError, match="reconstructs no signal"):
        model.reconstruct(batch_of(torch.randn(1, 12, T)))


@torch.no_grad()
def test_a_lead_embedding_tells_leads_apart() -> None:
    model, x, order = build(lead_embedding=True), torch.randn(1, 12, T), torch.arange(12).flip(0)
    kept = model.encoder(x, ALL).pooled
    torch.testing.assert_close(model.encoder(x[:, order], order).pooled, kept, atol=1e-5, rtol=1e-4)
    assert (model.encoder(x[:, order], ALL).pooled - kept).abs().max() > 1e-5


@torch.no_grad()
@pytest.mark.parametrize("name", ["lamae", *METHODS])
@pytest.mark.parametrize("count", [1, 2, 7, 12])
def test_any_number_of_leads(name: str, count: int) -> None:
    model = build(**METHODS.get(name, {}), **({"classes": ("a", "b")} if name == "scratch" else {}))
    ids = ALL.flip(0)[:count]
    features = model.encoder(torch.randn(2, count, T), ids)
    assert [features.pooled.shape, features.per_lead.shape, features.tokens.shape] == [
        (2, 16),
        (2, count, 16),
        (2, count * N, 16),
    ]
    batch = Batch(torch.randn(2, count, T), ids, torch.arange(2), extra={"labels": torch.ones(2, 2)})
    assert torch.isfinite(model.training_step(batch, Clock.end()).loss)


MODES = {**{name: METHODS.get(name, {}) for name in ["lamae", *METHODS]}, "own CLS": {"encoder_cls": True}}
MODES["separate"] = {"shared": False}


@torch.no_grad()
@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [7, 0, 11], [3]])
def test_each_token_names_the_lead_of_its_patch(name: str, ids: list[int]) -> None:
    """For any leads in any order: their means are the features of the leads, and they move with the leads."""
    model = build(**MODES[name])
    leads, x, lengths = torch.tensor(ids), torch.randn(2, len(ids), T), torch.tensor([T, T // 2])
    features = model.encoder(x, leads, lengths)
    assert features.token_leads.tolist() == [place for place in range(len(ids)) for _ in range(N)]
    of_lead = pooled_by_lead(replace(features, per_lead=None))
    assert of_lead is not None
    torch.testing.assert_close(of_lead, features.per_lead, atol=1e-5, rtol=1e-4)
    order = torch.arange(len(ids)).flip(0)
    other = model.encoder(x[:, order], leads[order], lengths)
    for place in range(len(ids)):
        torch.testing.assert_close(
            other.tokens[:, other.token_leads == place],
            features.tokens[:, features.token_leads == int(order[place])],
            atol=1e-5,
            rtol=1e-4,
        )


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in MODES if not replace(SMALL, **MODES[name]).latent_depth])
def test_without_latent_attention_only_the_tokens_of_a_changed_lead_change(name: str) -> None:
    model, x, leads = build(**MODES[name]), torch.randn(1, 3, T), torch.tensor([7, 0, 11])
    changed = x.clone()
    changed[:, 1] += 1
    one, two = model.encoder(x, leads), model.encoder(changed, leads)
    moved = (one.tokens - two.tokens).abs().amax(dim=(0, 2)) > 1e-6
    assert torch.equal(moved, one.token_leads == 1)


@torch.no_grad()
def test_the_encoder_knows_one_lead_only_and_the_latent_attention_is_the_only_road() -> None:
    model, x, mask = build(), torch.randn(1, 12, T), random_mask((1, 12, N), 0.75)
    changed = x.clone()
    changed[:, 4] += 1
    before, after = (encode(model, s, ALL, mask).tokens for s in (x, changed))
    others = [lead for lead in range(12) if lead != 4]
    torch.testing.assert_close(before[:, others], after[:, others])
    assert (before[:, 4] - after[:, 4]).abs().mean() > 1e-3
    survivors = torch.arange(12 * 5)[None]

    def rebuilt(model: Lamae, signal: Tensor) -> Tensor:
        return model.decode(batch_of(signal), model.latent(encode(model, signal, ALL, mask), mask, survivors), None)

    assert (rebuilt(model, x) - rebuilt(model, changed))[:, others].abs().max() > 1e-6
    alone = build(latent_depth=0, readout="enc_mean")
    torch.testing.assert_close(rebuilt(alone, x)[:, others], rebuilt(alone, changed)[:, others])


@torch.no_grad()
def test_leads_that_are_absent_are_leads_that_nobody_may_see() -> None:
    model, x, some = build(), torch.randn(2, 12, T), torch.tensor([1, 6, 9])
    encoded = encode(model, x, ALL, None)
    allowed = torch.zeros(2, 12, N, dtype=torch.bool)
    allowed[:, some] = True
    blocked = model.encoder.latent(encoded.tokens.flatten(1, 2), allowed.flatten(1))
    torch.testing.assert_close(model.encoder(x[:, some], some).pooled, blocked[:, 0], atol=1e-5, rtol=1e-4)


def test_the_loss_ignores_visible_patches_and_reaches_the_encoder_through_the_latent_attention() -> None:
    model, x, mask = build(), torch.randn(2, 12, T), random_mask((2, 12, N), 0.75)
    rebuilt = torch.randn(2, 12, N, 50, requires_grad=True)
    model.decode = lambda *_: rebuilt  # type: ignore[method-assign]
    encoded = encode(model, x, ALL, mask)
    model.reconstruction_loss(batch_of(x), encoded, mask, torch.arange(60).expand(2, -1)).backward()
    assert not rebuilt.grad[mask.mask == 0].any()
    assert (rebuilt.grad[mask.mask == 1] != 0).all()
    # A loss on lead 3 alone, of which no token survives: what lead 0 gives can only come through the others' latents.
    model = build()
    encoded = encode(model, x, ALL, mask)
    encoded.tokens.retain_grad()
    survivors = torch.arange(5).expand(2, -1)
    model.decode(batch_of(x), model.latent(encoded, mask, survivors), None)[:, 3].square().sum().backward()
    assert encoded.tokens.grad[:, 0].abs().min() > 0
    assert not encoded.tokens.grad[:, 1:].any()
    lost = [n for n, p in model.encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert lost == []


@torch.no_grad()
def test_hidden_patches_are_not_seen() -> None:
    model, x, mask = build(), torch.randn(2, 12, T), random_mask((2, 12, N), 0.75)
    noise = 5 * torch.randn(2, 12, N, 50) * mask.mask[..., None]
    changed = (x.view(2, 12, N, 50) + noise).reshape(2, 12, T)
    torch.testing.assert_close(encode(model, x, ALL, mask).tokens, encode(model, changed, ALL, mask).tokens)


def test_counts_and_uniformity_of_both_masks() -> None:
    assert (kept_count(50, 0.75), kept_count(12 * 12, 0.5)) == (12, 72)
    assert replace(BASE).patches == 50
    model = build()
    encoded = Encoded(torch.zeros(400, 12, 5, 16), None, None)
    torch.manual_seed(1)
    survivors = model.latent_mask(encoded)
    assert survivors.shape == (400, 30)
    hits = np.bincount(survivors.ravel().numpy(), minlength=60)
    assert scipy.stats.chisquare(hits).pvalue > 0.001
    everything = build(latent_mask_ratio=0.0).latent_mask(encoded)
    assert (everything.sort(dim=1).values == torch.arange(60)).all()
    by_lead = build(latent_mask="lead").latent_mask(encoded) // 5
    assert by_lead.shape == (400, 30)
    assert all(len(set(row)) == 6 for row in by_lead.tolist())
    assert build(latent_mask="lead").latent_mask(Encoded(torch.zeros(2, 1, 5, 16), None, None)).shape == (2, 5)


@torch.no_grad()
def test_the_papers_reduction_is_t_times_the_mean() -> None:
    signal = replace(SMALL.signal, seconds=4.8)  # 24 patches, of which 18 are hidden: alpha_E N is whole
    x, mask = torch.randn(2, 12, 1200), random_mask((2, 12, 24), 0.75)
    losses = []
    for reduction in ("mean", "paper"):
        model = build(signal=signal, reduction=reduction)
        encoded = encode(model, x, ALL, mask)
        losses.append(model.reconstruction_loss(batch_of(x), encoded, mask, torch.arange(72).expand(2, -1)))
    torch.testing.assert_close(losses[1], 1200 * losses[0])


@torch.no_grad()
def test_independent_leads_are_lamae_with_nothing_in_between() -> None:
    x, mask = torch.randn(2, 12, T), random_mask((2, 12, N), 0.75)
    alone, joined = build(latent_depth=0, readout="enc_mean"), build(decoder_cls=False)
    joined.load_state_dict(alone.state_dict(), strict=False)
    joined.encoder.latent.forward = lambda tokens, real=None: torch.cat([tokens[:, :1], tokens], dim=1)  # the identity
    outputs = [
        m.decode(batch_of(x), m.latent(encode(m, x, ALL, mask), mask, torch.arange(60).expand(2, -1)), None)
        for m in (alone, joined)
    ]
    torch.testing.assert_close(outputs[0], outputs[1])


@torch.no_grad()
def test_separate_encoders_share_nothing() -> None:
    model, x, ids = (
        build(latent_depth=0, readout="enc_mean", shared=False),
        torch.randn(1, 3, T),
        torch.tensor([7, 0, 3]),
    )
    one = build(latent_depth=0, readout="enc_mean")
    mask = random_mask((1, 3, N), 0.75)
    tokens = encode(model, x, ids, mask).tokens
    slots = torch.randn(1, 3, N, 16)
    for i, lead in enumerate(ids.tolist()):
        one.encoder.leads[0].load_state_dict(model.encoder.leads[lead].state_dict())
        torch.testing.assert_close(encode(one, x, ids, mask).tokens[:, i], tokens[:, i])
    from ecgkit_lamae.model import Latent

    rebuilt = model.decode(batch_of(x, ids), Latent(slots, None), None)
    torch.testing.assert_close(rebuilt[:, 0], model.decoders[7](slots[:, 0], None, None))
    assert len({id(p) for p in model.encoder.leads.parameters()}) == 12 * len(list(one.encoder.leads[0].parameters()))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["mse", "cosine"])
@pytest.mark.parametrize("tokens", ["cls", "all", "all_but_cls"])
def test_alignment_against_a_slow_double_loop(kind: str, tokens: str) -> None:
    torch.manual_seed(0)
    encoded = Encoded(torch.randn(3, 4, 5, 8), torch.randn(3, 4, 8), None)
    own = {
        "cls": encoded.cls,
        "all_but_cls": encoded.tokens.mean(2),
        "all": torch.cat([encoded.cls[:, :, None], encoded.tokens], 2).mean(2),
    }[tokens]
    values = []
    for record in own:
        u = [lead / lead.norm() for lead in record]
        if kind == "mse":
            values.append(sum(((a - b) ** 2).mean() for a in u for b in u) / 16)
        else:
            values.append(-sum(u[a] @ u[b] for a in range(4) for b in range(4) if a != b) / 12)
    settings = Alignment(kind=kind, tokens=tokens)  # type: ignore[arg-type]
    torch.testing.assert_close(alignment_loss(encoded, settings), sum(values) / 3)
    equal = Encoded(encoded.tokens[:, :1].expand(-1, 4, -1, -1), encoded.cls[:, :1].expand(-1, 4, -1), None)
    expected = torch.tensor(0.0 if kind == "mse" else -1.0)
    torch.testing.assert_close(alignment_loss(equal, settings), expected, atol=1e-6, rtol=0)
    fewer = Encoded(encoded.tokens[:, :2], encoded.cls[:, :2], None)
    assert alignment_loss(fewer, settings) != alignment_loss(encoded, settings)


@pytest.mark.parametrize(("epoch", "exponent"), [(275, 0), (10, -275), (50, -225), (500, 225)])
def test_the_weight_of_the_alignment_rises_by_epoch(epoch: float, exponent: float) -> None:
    expected = 2 / (1 + np.exp(-0.02 * exponent))
    clock = Clock.at(7 * epoch, 7 * 500, 500)
    for settings in (Alignment(), Alignment(slope=0.02)):
        assert alignment_weight(settings, 50, clock).item() == pytest.approx(expected)
    assert alignment_weight(Alignment(slope=0.1), 50, clock).item() == pytest.approx(2 / (1 + np.exp(-0.1 * exponent)))


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_alignment_follows_optimiser_steps_whatever_is_accumulated(
    accumulate: int, cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All parts of a batch have the weight of their step; validation has that of the end."""
    asked: list[tuple[Clock, float]] = []

    def weight(settings: Alignment, warmup: float, clock: Clock) -> Tensor:
        found = alignment_weight(settings, warmup, clock)
        asked.append((clock, found.item()))
        return found

    monkeypatch.setattr("ecgkit_lamae.model.alignment_weight", weight)
    config = tiny("mmvm")
    recipe = replace(config.recipe, epochs=2, batch_size=16, warmup_epochs=0, accumulate=accumulate)
    pretrain(host().get(MethodEntry, "lamae"), replace(config, recipe=recipe), Store(cohort_store), tmp_path / "run")
    last = asked[-1][0]  # of the last validation
    training = [(clock.step, value) for clock, value in asked if clock.epoch < clock.epochs]
    parts = [sum(step == s for s, _ in training) for step in range(last.steps)]
    assert max(parts) == accumulate and min(parts) >= 1
    for step, value in training:
        epoch = step / (last.steps / 2)
        assert value == pytest.approx(2 / (1 + np.exp(-9 / 2 * (epoch - 1))), rel=1e-5)
    assert last.step == last.steps


def test_a_run_with_the_counters_of_an_earlier_version_is_read() -> None:
    model = build(**METHODS["mmvm"])
    state = model.state_dict()
    old = state | {"align.step": torch.tensor(160), "align.steps_an_epoch": torch.tensor(4)}
    assert not [name for name in state if name.startswith("align.")]
    model.load_state_dict(old)
    with pytest.raises(RuntimeError, match="other"):
        model.load_state_dict(state | {"other": torch.tensor(1)})


@torch.no_grad()
def test_padding_changes_nothing() -> None:
    model = build()
    x, lengths = torch.randn(2, 3, T), torch.tensor([500, 500])
    x[..., 500:] = 0
    ids = torch.tensor([0, 1, 7])
    changed = x.clone()
    changed[..., 500:] = 3.0
    a, b, short = (model.encoder(s, ids, n) for s, n in ((x, lengths), (changed, lengths), (x[..., :500], None)))
    for field in ("pooled", "per_lead"):
        torch.testing.assert_close(getattr(a, field), getattr(b, field))
        torch.testing.assert_close(getattr(a, field), getattr(short, field), atol=1e-5, rtol=1e-4)
    torch.manual_seed(5)
    one = model.training_step(Batch(x, ids, torch.arange(2), lengths), Clock.end()).loss
    torch.manual_seed(5)
    torch.testing.assert_close(
        model.training_step(Batch(changed, ids, torch.arange(2), lengths), Clock.end()).loss, one
    )


@torch.no_grad()
def test_readouts() -> None:
    x = torch.randn(2, 12, T)
    model = build(encoder_cls=True)
    encoded = encode(model, x, ALL, None)
    for readout, expected in (
        ("enc_mean", encoded.tokens.mean((1, 2))),
        ("enc_cls", encoded.cls.mean(1)),
        ("la_cls", model.encoder.latent(encoded.tokens.flatten(1, 2))[:, 0]),
    ):
        model.encoder.config = replace(model.config, readout=readout)  # type: ignore[arg-type]
        torch.testing.assert_close(model.encoder(x, ALL).pooled, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 15}, "heads 2"),
        ({"mask_ratio": 1.0}, "between"),
        ({"mask_ratio": 0.96}, "leave"),
        ({"latent_mask_ratio": 1.0}, "below 1"),
        ({"latent_depth": 0}, "readout"),
        ({"readout": "enc_cls"}, "encoder_cls"),
        ({"alignment": Alignment(tokens="cls")}, "encoder_cls"),
        ({"patch": 37}, "divide"),
        ({"depth": 0}, "depth"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **wrong)


def test_input_that_does_not_fit_is_refused() -> None:
    model = build()
    for signal, ids, message in (
        (torch.zeros(1, 1, 999), torch.tensor([0]), "multiple"),
        (torch.zeros(1, 1, 1050), torch.tensor([0]), "at most 20"),
        (torch.zeros(1, 1, T), torch.tensor([12]), "standard twelve"),
    ):
        with pytest.raises(SignalError, match=message):
            model.encoder(signal, ids)


def test_the_presets_are_the_columns_of_the_papers_tables() -> None:
    assert set(PRESETS) >= {"base", "tiny", "ind-shared", "ind-separate", "mmvm", "scratch"}
    assert all(f"{name}-tiny" in PRESETS for name in METHODS)
    with torch.device("meta"):
        models = {name: Lamae(config) for name, config in PRESETS.items()}
    assert models["mmvm"].encoder.latent is None and models["base"].encoder.latent is not None
    encoder = {n: p.shape for n, p in models["base"].encoder.named_parameters()}
    assert encoder == {n: p.shape for n, p in models["scratch"].encoder.named_parameters()}
    assert len(models["ind-separate"].encoder.leads) == 12


def tiny(preset: str) -> LamaeConfig:
    config = PRESETS[preset if preset == "tiny" else f"{preset}-tiny"]
    return replace(config, depth=1, latent_depth=min(config.latent_depth, 1), width=16, recipe=SMALL.recipe)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["tiny", *METHODS])
def test_every_preset_trains_on_a_cpu(preset: str, cohort_store: Path, tmp_path: Path) -> None:
    entry, store = host().get(MethodEntry, "lamae"), Store(cohort_store)
    task = host().get(TaskEntry, "simulated") if preset == "scratch" else None
    metrics = pretrain(entry, tiny(preset), store, tmp_path / "run", task=task)
    assert np.isfinite([m["val_loss"] for m in metrics]).all()
    run = open_run(tmp_path / "run")
    assert run.encoder().width == 16
    assert len(run.config.classes) == (10 if preset == "scratch" else 0)


def test_scratch_without_a_task_is_told_what_is_missing(cohort_store: Path, tmp_path: Path) -> None:
    entry = host().get(MethodEntry, "lamae")
    with pytest.raises(StoreError, match="--task"):
        pretrain(entry, tiny("scratch"), Store(cohort_store), tmp_path / "run")


def test_one_batch_is_learnt() -> None:
    model = build().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    batch, losses = batch_of(torch.randn(4, 12, T).cumsum(-1) / 20), []
    for _ in range(40):
        loss = model.training_step(batch, Clock.end()).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])


@torch.no_grad()
@pytest.mark.parametrize("preset", ["lamae", "ind-shared", "ind-separate", "mmvm"])
def test_layers_are_what_leaves_the_blocks_pooled_as_the_readout_pools(preset: str) -> None:
    """Without the last norm the last layer is the representation; any layer is that of a model that ends after it."""
    latent_depth = 2 if preset == "lamae" else 0
    model = build(**{**METHODS.get(preset, {}), "depth": 2, "latent_depth": latent_depth})
    signal = torch.randn(3, 12, T)
    features = model.encoder(signal, ALL)
    assert features.layers.shape == (3, 2 + latent_depth, model.encoder.width)
    stacks = [model.encoder.latent.stack] if model.encoder.latent else [lead.stack for lead in model.encoder.leads]
    for stack in stacks:
        stack.norm = torch.nn.Identity()
    torch.testing.assert_close(model.encoder(signal, ALL).pooled, features.layers[:, -1], atol=1e-5, rtol=1e-4)
    for stack in stacks:
        del stack.blocks[-1]
    torch.testing.assert_close(model.encoder(signal, ALL).pooled, features.layers[:, -2], atol=1e-5, rtol=1e-4)
