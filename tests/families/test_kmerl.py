"""K-MERL: its query network against reference vectors, and the properties that its paper promises."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ecgkit_kmerl.config import KMERL_PRESETS, KMerlConfig
from ecgkit_kmerl.contrast import clip_loss
from ecgkit_kmerl.kmerl import KMerl, entity_targets
from ecgkit_kmerl.language import Language
from ecgkit_kmerl.masking import Kept, draw_leads, draw_segments, rescale
from torch import Tensor

from ecgkit.errors import SignalError
from ecgkit.knowledge.source import EntitySource
from ecgkit.methods import Batch, Clock, Corpus, ZeroShot
from ecgkit.nn.attention import watching
from ecgkit.nn.contrastive import across
from ecgkit.nn.query_network import QueryNetwork
from ecgkit.signal.normalize import normalize
from ecgkit.store.reader import Store
from ecgkit.text.config import TextConfig
from ecgkit.training.processes import joined
from tests.conftest import official_shapes
from tests.processes import run_in_processes
from tests.reference_vectors import Reference, close

SMALL = replace(
    KMERL_PRESETS["tiny"],
    width=16,
    depth=1,
    heads=2,
    head_width=8,
    query_width=16,
    query_hidden=16,
    projection=8,
    text=TextConfig(width=8),
    entities=EntitySource(names=("atrial fibrillation", "left bundle branch block", "sinus rhythm")),
)
REPORTS = ["sinus rhythm. normal ecg.", "atrial fibrillation. abnormal ecg.", "left bundle branch block. abnormal."]
ALL = torch.arange(12)


def prepared(config: KMerlConfig) -> KMerl:
    torch.manual_seed(0)
    model = KMerl(config)
    language = model.language
    language.encoder.fit([*REPORTS, *config.entities.names])
    language.reports.fill(language.encoder, REPORTS)
    language.names.fill(language.encoder, config.entities.names)
    return model


def batch(B: int = 4, lengths: Tensor | None = None) -> Batch:
    signal = torch.randn(B, 12, 1000, generator=torch.Generator().manual_seed(1))
    extra = {
        "reports": torch.tensor([0, 1, -1, 2, 1])[:B],
        "entities": torch.tensor([[0, 0, 1], [1, 0, 0], [2, 255, 1], [0, 1, 2], [1, 1, 0]], dtype=torch.uint8)[:B],
    }
    return Batch(signal, ALL, torch.arange(B), lengths, extra)


# The query network.


def official_name(name: str) -> str | None:
    """KAD's names: the shared norm twice, and a scale that the network does not use."""
    if name == "logit_scale" or name.startswith("decoder.norm."):
        return None
    for theirs, ours in (("decoder.layers", "layers"), ("decoder_norm", "norm"), ("mlp_head.0", "head")):
        name = name.replace(theirs, ours)
    return name


@torch.no_grad()
def test_the_query_network_equals_the_reference(golden: Path) -> None:
    kad = Reference(golden / "kad_query_network_tiny.npz")
    sizes = kad.sizes
    assert (sizes["activation"], sizes["pre_norm"]) == ("relu", True)
    network = QueryNetwork(
        width=sizes["D"],
        layers=sizes["layers"],
        heads=sizes["heads"],
        hidden=sizes["ffn"],
        dropout=sizes["dropout"],
        outputs=sizes["outputs"],
    ).eval()
    state = {official_name(name): value for name, value in kad.weights().items()}
    state.pop(None, None)
    network.load_state_dict(state)
    outputs: list[Tensor] = []
    for layer in network.layers:
        layer.register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
    queries, memory = kad.tensor("queries"), kad.tensor("memory")
    close(network(queries, memory).view(kad["logits"].shape), kad["logits"])
    assert len(outputs) == sizes["layers"]
    for i, out in enumerate(outputs):
        close(out, kad[f"layer{i}"])
    close(network.norm(outputs[-1]), kad["decoded"])
    seen: list[Tensor] = []
    with watching(network, lambda layer, weights: seen.append(weights)):
        network(queries, memory)
    assert len(seen) == 2 * sizes["layers"]  # among the queries, then of the memory
    close(seen[-1].mean(dim=1), kad["last_cross_attention"])


def test_the_query_network_has_the_official_shapes(golden: Path) -> None:
    listed = official_shapes(golden, "kad_query_network")
    with torch.device("meta"):
        network = QueryNetwork(width=768, outputs=2)
    theirs = {official_name(name): tuple(shape) for name, shape in listed.items()}
    theirs.pop(None)
    assert theirs == {name: tuple(value.shape) for name, value in network.state_dict().items()}


@torch.no_grad()
def test_the_order_of_queries_permutes_their_scores_and_nothing_else() -> None:
    torch.manual_seed(0)
    network, queries, memory = QueryNetwork(width=16).eval(), torch.randn(6, 16), torch.randn(3, 9, 16)
    order = torch.randperm(6)
    torch.testing.assert_close(network(queries[order], memory), network(queries, memory)[:, order])
    tokens = torch.randperm(9)
    torch.testing.assert_close(network(queries, memory[:, tokens]), network(queries, memory))


@torch.no_grad()
def test_independent_queries_are_those_asked_alone() -> None:
    torch.manual_seed(0)
    network, queries, memory = QueryNetwork(width=16).eval(), torch.randn(6, 16), torch.randn(3, 9, 16)
    for layer in network.layers:  # at the start attention hardly matters
        torch.nn.init.normal_(layer.self_attn.in_proj_weight, std=0.5)
        torch.nn.init.normal_(layer.self_attn.out_proj.weight, std=0.5)
    alone = torch.cat([network(queries[i : i + 1], memory) for i in range(6)], dim=1)
    torch.testing.assert_close(network(queries, memory, independent=True), alone)
    assert (network(queries, memory) - alone).abs().max() > 1e-3  # together they do see each other


@torch.no_grad()
def test_padding_tokens_are_not_looked_at() -> None:
    torch.manual_seed(0)
    network, queries, memory = QueryNetwork(width=16).eval(), torch.randn(4, 16), torch.randn(2, 9, 16)
    real = torch.tensor([[True] * 5 + [False] * 4, [True] * 9])
    shown = network(queries, memory, real)
    torch.testing.assert_close(shown[:1], network(queries, memory[:1, :5]))
    torch.testing.assert_close(shown[1:], network(queries, memory[1:]))


# Leads and masks.


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"lead_tokens": False}])
def test_permuting_leads_with_their_ids_changes_nothing(changes: dict[str, Any]) -> None:
    model = prepared(replace(SMALL, **changes)).eval()
    x, order = batch().signal, torch.randperm(12, generator=torch.Generator().manual_seed(3))
    straight, permuted = model.encoder(x, ALL), model.encoder(x[:, order], order)
    torch.testing.assert_close(permuted.pooled, straight.pooled, atol=1e-5, rtol=1e-4)
    classes = model.class_vectors(SMALL.entities.names)
    scores = [model.class_scores(Batch(x[:, o], o, torch.arange(4)), classes) for o in (ALL, order)]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-4)
    if straight.per_lead is not None:
        assert permuted.per_lead is not None
        torch.testing.assert_close(permuted.per_lead, straight.per_lead[:, order], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("scaling", ["record-minmax", "record-zscore", "lead-minmax", "none"])
@pytest.mark.parametrize("changes", [{}, {"lead_tokens": False}])
@pytest.mark.parametrize("leads", [[1], [0, 6], [11, 2, 5]])
def test_inference_with_k_leads_equals_training_time_masking_to_them(
    scaling: Any, changes: dict[str, Any], leads: list[int]
) -> None:
    """The other leads are larger and shifted: whoever scales over them gives another result."""
    config = replace(SMALL, signal=replace(SMALL.signal, normalize=scaling), **changes)
    model = prepared(config).eval()
    raw = batch(2).signal.double() * torch.linspace(1, 5, 12)[:, None] + torch.arange(12.0)[:, None]
    scaled = torch.from_numpy(normalize(raw.numpy(), scaling)).float()
    ids = torch.tensor(leads)
    alone = torch.from_numpy(normalize(raw[:, ids].numpy(), scaling)).float()
    kept = Kept(ids.expand(2, -1), torch.arange(40).expand(2, len(leads), -1))
    masked = model.encoder.visible_tokens(scaled, ALL, None, kept)
    given = model.encoder.visible_tokens(alone, ids)
    torch.testing.assert_close(masked.values, given.values, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_what_is_hidden_reaches_nothing() -> None:
    model = prepared(SMALL).eval()
    x = batch(2).signal
    kept = Kept(torch.tensor([[3, 7], [0, 5]]), torch.tensor([[[0, 4], [1, 2]], [[9, 30], [5, 8]]]))
    hidden = torch.ones(2, 12, 40, dtype=torch.bool)
    for b, (leads, segments) in enumerate(zip(kept.leads, kept.segments, strict=True)):
        for lead, chosen in zip(leads, segments, strict=True):
            hidden[b, lead, chosen] = False
    # Scaling looks at whole leads that stay, so only leads that are hidden whole are changed here.
    whole = hidden.all(-1)
    changed = torch.where(whole[..., None], x + 50 * torch.randn_like(x), x)
    seen, same = (model.encoder.visible_tokens(s, ALL, None, kept) for s in (x, changed))
    torch.testing.assert_close(seen.values, same.values)
    unscaled = prepared(replace(SMALL, signal=replace(SMALL.signal, normalize="none"))).eval()
    changed = x + 50 * hidden.repeat_interleave(25, -1)
    seen, same = (unscaled.encoder.visible_tokens(s, ALL, None, kept) for s in (x, changed))
    torch.testing.assert_close(seen.values, same.values)
    assert seen.values.shape == (2, 2, 2, 16)


@torch.no_grad()
def test_a_mask_token_keeps_the_place_of_what_is_hidden() -> None:
    """Values that are hidden have no effect, but that something is hidden there has."""
    config = replace(SMALL, mask_mode="token", signal=replace(SMALL.signal, normalize="none"))
    model = prepared(config).eval()
    x, kept = batch(1).signal, Kept(torch.tensor([[3, 7]]), torch.tensor([[[0, 4, 5], [1, 2, 39]]]))
    tokens = model.encoder.visible_tokens(x, ALL, None, kept)
    assert tokens.values.shape == (1, 2, 3, 16)
    changed = x.clone()
    changed[:, 0] += 5
    torch.testing.assert_close(model.encoder.visible_tokens(changed, ALL, None, kept).values, tokens.values)
    model.encoder.mask_token += torch.randn(16)
    assert (model.encoder.visible_tokens(x, ALL, None, kept).values - tokens.values).abs().max() > 1e-4


def test_masks_are_uniform_and_rectangular() -> None:
    torch.manual_seed(0)
    sizes, hits = set(), torch.zeros(12)
    for _ in range(60):
        leads = draw_leads((20, 12), (9, 10, 11), 1.0)
        assert leads is not None
        assert all(len(set(row.tolist())) == leads.shape[1] for row in leads)
        sizes.add(leads.shape[1])
        hits += torch.bincount(leads.flatten(), minlength=12)
    assert sizes == {1, 2, 3}
    assert (hits / hits.mean() - 1).abs().max() < 0.25
    assert draw_leads((5, 12), (9,), 0.0) is None
    few = draw_leads((5, 2), (9,), 1.0)
    assert few is not None
    assert few.shape == (5, 2)  # a record of two leads keeps both
    segments = draw_segments((4, 3, 50), 0.25)
    assert segments.shape == (4, 3, 37)  # int(50 * 0.75), the same number in each lead
    assert not torch.equal(segments[0, 0], segments[0, 1])
    assert torch.equal(draw_segments((2, 1, 5), 0.0), torch.arange(5).expand(2, 1, 5))


def test_padding_is_hidden_first_and_counts_nowhere() -> None:
    model = prepared(SMALL).eval()
    lengths = torch.tensor([400, 1000])
    step = batch(2, lengths)
    with torch.no_grad():
        noisy = step.signal.clone()
        noisy[0, :, 400:] = 7.0
        clean = step.signal.clone()
        clean[0, :, 400:] = 0.0
        first, second = (model.encoder(s, ALL, lengths) for s in (noisy, clean))
        torch.testing.assert_close(first.pooled, second.pooled, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            first.pooled[:1], model.encoder(clean[:1, :, :400], ALL).pooled, atol=1e-5, rtol=1e-4
        )
        losses = []
        for signal in (noisy, clean):
            torch.manual_seed(4)
            losses.append(model.training_step(replace(step, signal=signal), Clock.end()).loss)
        torch.testing.assert_close(losses[0], losses[1])


@pytest.mark.parametrize("how", ["record-minmax", "record-zscore"])
def test_rescaling_is_scaling_of_the_raw_leads_padding_apart(how: Any) -> None:
    raw = torch.randn(2, 3, 60).double() * 4 + 2
    lengths = torch.tensor([40, 60])
    rescaled = rescale((raw * 0.3 - 5).float(), how, lengths)
    for b, length in enumerate(lengths):
        expected = normalize(raw[b, :, :length].numpy(), how)
        np.testing.assert_allclose(rescaled[b, :, :length], expected, atol=1e-5)
        assert not rescaled[b, :, length:].any()
    flat = rescale(torch.full((1, 2, 10), 3.0), how)
    assert not flat.any()


# The losses.


def test_the_rule_for_uncertain_entities_is_one_setting() -> None:
    values = torch.tensor([[0, 1, 2, 255]], dtype=torch.uint8)
    for rule, targets, weights in (
        ("negative", [0, 1, 0, 0], [1, 1, 1, 0]),
        ("positive", [0, 1, 1, 0], [1, 1, 1, 0]),
        ("ignore", [0, 1, 0, 0], [1, 1, 0, 0]),
    ):
        found = entity_targets(values, rule)
        assert found[0].tolist() == [targets]
        assert found[1].tolist() == [weights]


def test_losses_equal_a_plain_computation() -> None:
    model = prepared(replace(SMALL, dlm_prob=0.0, lsm_ratio=0.0, uncertain="ignore")).eval()
    step = batch(5)
    losses = model.training_step(step, Clock.end())
    tokens = model.encoder.visible_tokens(step.signal, ALL)
    logits = model.answer(tokens, model.class_vectors(SMALL.entities.names)).detach()
    total, count = 0.0, 0
    for row, labels in zip(logits, step.extra["entities"], strict=True):
        for logit, label in zip(row, labels, strict=True):
            if label < 2:
                p = torch.sigmoid(logit)
                total += -float(torch.log(p if label else 1 - p))
                count += 1
    assert float(losses.parts["query"]) == pytest.approx(total / count, rel=1e-4)
    has = [0, 1, 3, 4]
    ecg = F.normalize(model.ecg_projection(model.encoder.pool(tokens)), dim=-1)[has]
    text = F.normalize(model.text_projection(model.class_vectors(REPORTS)), dim=-1)[[0, 1, 2, 1]]
    similar = (ecg @ text.T / SMALL.temperature).detach().double()
    plain = sum(-float(similar[i, i] - s.logsumexp(0)) for m in (similar, similar.T) for i, s in enumerate(m)) / len(
        has
    )
    assert float(losses.parts["contrast"]) == pytest.approx(plain, rel=1e-4)
    assert {"top1", "top5", "embedding_rank", "embedding_variance"} == set(losses.stats)


ABLATIONS: dict[str, dict[str, Any]] = {
    "as published": {},
    "no query loss": {"w_query": 0.0},
    "no contrastive loss": {"w_contrast": 0.0},
    "no lead tokenisation": {"lead_tokens": False},
    "no dynamic lead masking": {"dlm_prob": 0.0},
    "no segment masking": {"lsm_ratio": 0.0},
    "no masking": {"dlm_prob": 0.0, "lsm_ratio": 0.0},
    "tokens of 50": {"patch": 50},
    "mask tokens": {"mask_mode": "token"},
    "one query layer": {"query_layers": 1},
    "trained text encoder": {"text": TextConfig(encoder="tiny", width=32, vocabulary=100, depth=1)},
}


@pytest.mark.parametrize("changes", ABLATIONS.values(), ids=ABLATIONS)
def test_every_ablation_trains_all_its_parameters(changes: dict[str, Any]) -> None:
    model = prepared(replace(SMALL, **changes))
    losses = model.training_step(batch(), Clock.end())
    losses.loss.backward()
    assert torch.isfinite(losses.loss)
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert isinstance(model, ZeroShot)
    model.eval()
    with torch.no_grad():
        scores = model.class_scores(batch(), model.class_vectors(["atrial fibrillation", "something unseen"]))
    assert scores.shape == (4, 2)
    assert ((scores >= 0) & (scores <= 1)).all()


@torch.no_grad()
def test_a_model_with_queries_can_score_by_cosine() -> None:
    model = prepared(SMALL).eval()
    other = KMerl(replace(SMALL, score="cosine")).eval()
    other.load_state_dict(model.state_dict())
    x, names = batch(), model.class_vectors(["atrial fibrillation", "something unseen"])
    scores = other.class_scores(x, names)
    ecg = model.ecg_projection(model.encoder.pool(model.encoder.visible_tokens(x.signal, x.lead_ids, x.lengths)))
    for row, vector in zip(scores, ecg, strict=True):
        for score, name in zip(row, model.text_projection(names), strict=True):
            torch.testing.assert_close(score, (1 + vector @ name / vector.norm() / name.norm()) / 2)
    assert not torch.allclose(scores, model.class_scores(x, names))
    with pytest.raises(ValueError, match="w_contrast"):
        replace(SMALL, score="cosine", w_contrast=0.0)


def test_a_batch_of_one_record_is_survived() -> None:
    assert torch.isfinite(prepared(SMALL).training_step(batch(1), Clock.end()).loss)


def test_a_run_holds_no_text_of_the_reports() -> None:
    state = prepared(SMALL).state_dict()
    assert not [name for name in state if "reports" in name or "names" in name]


def test_further_reports_teach_the_text_encoder_words(cohort_store: Path, tmp_path: Path) -> None:
    table = tmp_path / "reports.csv"
    table.write_text("report\nsinusrhythmus sonst normales ekg\nsinusrhythmus mit normalem lagetyp\n")
    corpus = Corpus(Store(cohort_store), torch.arange(60).numpy())
    norms = []
    for path in ("", str(table)):
        language = Language(TextConfig(width=64, corpus=path))
        language.prepare(corpus)
        norms.append(language.vectors(["sinusrhythmus"]).norm().item())
    assert norms[0] == 0 < norms[1]


@torch.no_grad()
def test_a_saved_method_answers_as_before() -> None:
    model = prepared(SMALL).eval()
    other = KMerl(SMALL).eval()
    other.load_state_dict(model.state_dict())
    asked = ["atrial fibrillation", "left bundle branch block"]
    before, after = (m.class_scores(batch(), m.class_vectors(asked)) for m in (model, other))
    torch.testing.assert_close(before, after)


def test_one_batch_is_learnt() -> None:
    model = prepared(SMALL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = model.training_step(batch(), Clock.end()).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])


@pytest.mark.parametrize(
    ("preset", "width", "heads"), [("vit-tiny", 192, 3), ("vit-small", 384, 6), ("vit-base", 768, 12)]
)
def test_the_published_sizes(preset: str, width: int, heads: int) -> None:
    config = KMERL_PRESETS[preset]
    assert (config.width, config.heads, config.depth, config.patch) == (width, heads, 12, 100)
    assert (config.signal.samples, config.dlm_counts, config.query_layers) == (5000, (9, 10, 11), 4)
    with torch.device("meta"):
        encoder = KMerl(config).encoder
    block = 2 * 2 * width + width * 3 * width + 3 * width + width * width + width + 2 * 4 * width * width + 5 * width
    assert sum(p.numel() for p in encoder.parameters()) == 100 * width + 62 * width + 12 * block + 2 * width


def test_input_that_does_not_fit_is_refused() -> None:
    model = prepared(SMALL)
    with pytest.raises(SignalError, match="multiple of the segment's 25"):
        model.encoder(torch.zeros(1, 12, 110), ALL)
    with pytest.raises(SignalError, match="standard twelve"):
        model.encoder(torch.zeros(1, 1, 1000), torch.tensor([12]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"patch": 77},
        {"width": 0},
        {"lsm_ratio": 1.0},
        {"dlm_prob": -0.1},
        {"dlm_counts": (12,)},
        {"query_width": 18},
        {"temperature": 0.0},
        {"w_query": 0.0, "w_contrast": 0.0},
    ],
)
def test_impossible_settings_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(SMALL, **wrong)


# Over processes.


def contrast_of_one(rank: int, a: Tensor, b: Tensor, paired: Tensor) -> tuple[float, np.ndarray]:
    half = slice(rank * 3, rank * 3 + 3)
    own = a[half].clone().requires_grad_()
    with joined("cpu"), across((3, 3)):
        loss = clip_loss(own, b[half], 0.2, paired[half])
        loss.backward()
    assert own.grad is not None
    return float(loss), own.grad.numpy()


def test_two_processes_contrast_as_one_whoever_has_the_missing_reports() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 6, 4)
    paired = torch.tensor([True, False, False, True, True, True])
    whole = a.clone().requires_grad_()
    loss = clip_loss(whole, b, 0.2, paired)
    loss.backward()
    assert whole.grad is not None
    found = run_in_processes(2, contrast_of_one, a, b, paired)
    for rank, (value, grad) in enumerate(found):
        assert value == pytest.approx(loss.item(), abs=1e-5)
        # Every process's loss is over all records, so the sum over two of them is twice that of one.
        np.testing.assert_allclose(grad, 2 * whole.grad[rank * 3 : rank * 3 + 3].numpy(), atol=1e-5)
