"""PPA, PMA and HUG against their reference vectors; trained heads on features; leads that are missing."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ecgkit_clear.official import hug_state
from ecgkit_stmem.model import StMem
from ecgkit_stmem.official import import_official
from torch import nn

from ecgkit.entries import HeadEntry, MethodEntry
from ecgkit.errors import ConfigError, RunError
from ecgkit.evaluation.features.extract import RecordFeatures, pooled_by_lead
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.hug import Hug, HugClassifier, HugConfig, HugHead, mean_of
from ecgkit.evaluation.heads.layer_mixture import Gate, LayerMixture, PmaConfig, PmaHead, PpaConfig, PpaHead
from ecgkit.evaluation.heads.settings import build_head, check_head, head_config, head_title
from ecgkit.evaluation.heads.trained import RECIPE
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Features
from ecgkit.plugins import host
from tests.reference_vectors import Reference, close

ALL = torch.arange(12)
QUICK = replace(RECIPE, epochs=15, warmup_epochs=1.0, batch_size=32, lr=0.16)


@torch.no_grad()
@pytest.mark.parametrize("name", ["ppa", "pma"])
def test_layer_mixtures_equal_the_reference(golden: Path, name: str) -> None:
    reference = Reference(golden / f"{name}_tiny.npz")
    sizes, state = reference.sizes, reference.weights()
    config, renamed, left_out = import_official(state)
    encoder = StMem(replace(config, heads=sizes["heads"])).eval().encoder
    encoder.load_state_dict({n.removeprefix("encoder."): v for n, v in renamed.items()})
    # The reference feeds leads as they come; ours takes the embeddings by name.
    ids = torch.tensor([STANDARD_LEADS.index(lead) for lead in config.signal.leads])
    features = encoder(reference.tensor("x"), ids)
    close(features.layers.transpose(0, 1), reference["layers"])
    gate = Gate(sizes["width"], sizes["depth"]) if name == "pma" else None
    mixture = LayerMixture(sizes["width"], sizes["num_classes"], "bn_mlp", gate).eval()
    mixture.norm.load_state_dict({n: state[f"norm.{n}"] for n in ("weight", "bias")})
    mixture.head.load_state_dict({n.removeprefix("head."): state[n] for n in left_out if n.startswith("head.")})
    if gate is not None:
        gate.load_state_dict({n.removeprefix("gating."): state[n] for n in left_out if n.startswith("gating.")})
        close(features.layer_input, reference["gate_in"])
        close(gate(features.layer_input), reference["weights"])
    close(mixture(features.layers, features.layer_input), reference["logits"])


@torch.no_grad()
def test_pma_with_equal_weights_is_ppa_and_depth_one_is_the_last_layer() -> None:
    torch.manual_seed(0)
    gate = Gate(8, 4)
    for p in gate.net[-1].parameters():
        nn.init.zeros_(p)
    pma = LayerMixture(8, 3, "linear", gate).eval()
    ppa = LayerMixture(8, 3, "linear").eval()
    ppa.load_state_dict({n: v for n, v in pma.state_dict().items() if not n.startswith("gate.")})
    layers, first = torch.randn(5, 4, 8), torch.randn(5, 8)
    torch.testing.assert_close(pma(layers, first), ppa(layers))
    torch.testing.assert_close(ppa(layers[:, -1:]), ppa.head(ppa.norm(layers[:, -1])))


def test_parameter_counts_of_the_published_heads() -> None:
    count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    assert count(Gate(768, 12)) == 232_844
    assert count(LayerMixture(768, 5, "bn_mlp").head) == 200_197
    for C in (1, 5, 71):
        assert count(HugClassifier(768, STANDARD_LEADS, C, HugConfig())) == 4_134_144 + 769 * C


@pytest.fixture
def hug(golden: Path) -> tuple[Hug, Reference]:
    reference = Reference(golden / "hug_tiny.npz")
    model = Hug(reference.sizes["D"], STANDARD_LEADS)
    model.load_state_dict(hug_state(reference.weights()))
    return model.eval(), reference


@torch.no_grad()
def test_hug_equals_the_reference(hug: tuple[Hug, Reference]) -> None:
    model, reference = hug
    per_lead = reference.tensor("cls")
    parts, exist = model(per_lead, torch.ones(per_lead.shape[:2], dtype=torch.bool))
    close(parts, reference["groups"])
    close(mean_of(parts, exist), reference["pooled"])


@torch.no_grad()
def test_hug_collapses_to_three_maps_of_the_group_means(hug: tuple[Hug, Reference]) -> None:
    """Everything in it is linear: z = A g1 + B g2 + C g3 + d, with matrices made of its weights."""
    model, reference = hug
    W = [layer.weight.double() for layer in (*model.groups, *model.pairs, model.whole)]
    b = [layer.bias.double() for layer in (*model.groups, *model.pairs, model.whole)]
    eye = torch.eye(W[0].shape[0], dtype=torch.float64)
    pairs = {0: (3, 5), 1: (3, 4), 2: (4, 5)}  # which of p12, p23, p13 hold group k
    after_pair = eye + W[6] / 3  # of a pair's output: itself, and what the whole makes of it
    maps, bias = [], after_pair @ (b[3] + b[4] + b[5]) + b[6]
    for k in range(3):
        total = eye + sum(after_pair @ W[p] / 2 for p in pairs[k])
        maps.append(total @ W[k] / 7)
        bias = bias + total @ b[k]
    per_lead = reference.tensor("cls").double()
    means = [per_lead[:, rows].mean(1) for rows in (slice(0, 3), slice(3, 6), slice(6, 12))]
    z = sum(m @ A.T for m, A in zip(means, maps, strict=True)) + bias / 7
    close(z, reference["pooled"])


@torch.no_grad()
def test_hug_takes_any_leads(hug: tuple[Hug, Reference]) -> None:
    model, reference = hug
    per_lead = reference.tensor("cls")
    sets = [c for k in (1, 2, 3) for c in combinations(range(12), k)][::9]
    sets += [tuple(range(6)), tuple(range(6, 12))]
    for leads in sets:
        present = torch.zeros(per_lead.shape[:2], dtype=torch.bool)
        present[:, list(leads)] = True
        noise = torch.where(present[..., None], per_lead, 1e6 * torch.randn_like(per_lead))
        parts, exist = model(noise, present)
        pooled = mean_of(parts, exist)
        assert torch.isfinite(pooled).all()
        # A slow version: what exists, and nothing else.
        groups = {}
        for k, members in enumerate((range(3), range(3, 6), range(6, 12))):
            here = [i for i in members if i in leads]
            if here:
                groups[k] = torch.stack([model.groups[k](per_lead[:, i]) for i in here]).mean(0)
        pairs = [
            layer((groups[j] + groups[k]) / 2)
            for layer, (j, k) in zip(model.pairs, ((0, 1), (1, 2), (0, 2)), strict=True)
            if j in groups and k in groups
        ]
        whole = [model.whole(torch.stack(pairs).mean(0))] if pairs else []
        close(pooled, torch.stack([*groups.values(), *pairs, *whole]).mean(0), atol=1e-4)
        # A model built for those leads only says the same.
        own = Hug(per_lead.shape[-1], tuple(STANDARD_LEADS[i] for i in leads))
        own.load_state_dict(model.state_dict())
        few = own(per_lead[:, list(leads)], present[:, list(leads)])
        close(mean_of(*few), pooled, atol=1e-4)


def records(R: int = 240, L: int = 12, D: int = 6, depth: int = 3) -> tuple[RecordFeatures, np.ndarray]:
    """Features whose precordial leads, or whose second layer, carry the labels in two of their columns."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (R, 2)).astype(np.int8)
    per_lead = rng.normal(size=(R, L, D)).astype(np.float32)
    per_lead[:, 6:, :2] += 3 * y[:, None]
    layers = rng.normal(size=(R, depth, D)).astype(np.float32)
    layers[:, 1, :2] += 9 * y
    fields = {"per_lead": per_lead, "layers": layers, "layer_input": layers[:, 0], "pooled": per_lead.mean(1)}
    return RecordFeatures(fields, STANDARD_LEADS, np.ones((R, L), bool)), y


HEADS = [
    *(HugHead(config=HugConfig(QUICK, levels, "mean")) for levels in ("full", "groups", "weighted", "mean")),
    *(HugHead(config=HugConfig(QUICK, levels, "concat")) for levels in ("full", "groups")),
    *(PpaHead(config=PpaConfig(QUICK, classifier)) for classifier in ("linear", "bn_mlp")),
    *(PmaHead(config=PmaConfig(QUICK, "linear", gate)) for gate in ("trained", "frozen")),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "head", HEADS, ids=lambda h: head_title(host().get(HeadEntry, type(h).__name__[:3].lower()), h.config)
)
def test_every_trained_head_learns_and_repeats(head: Any) -> None:
    features, y = records()
    train, val = (Part(features.take(rows), y[rows]) for rows in (np.arange(160), np.arange(160, 200)))
    test = np.arange(200, 240)
    seen: list[tuple[int, int]] = []
    head.progress(lambda done, total: seen.append((done, total)))
    before = torch.random.get_rng_state()
    head.fit(train, val)
    assert torch.equal(torch.random.get_rng_state(), before)
    p = head.predict(features.take(test))
    again = type(head)(seed=head.seed, config=head.config)
    again.fit(train, val)
    np.testing.assert_array_equal(again.predict(features.take(test)), p)
    assert macro_auroc(y[test], p) > 0.85
    assert seen[-1] == (15, 15)
    assert "by macro AUROC on val" in head.choices()["chosen"]
    json.dumps(head.choices())


def test_the_epoch_is_the_one_that_val_likes_and_labels_without_a_score_do_not_stop_it() -> None:
    features, y = records()
    train, val = (Part(features.take(rows), y[rows]) for rows in (np.arange(160), np.arange(160, 200)))
    head = PpaHead(config=PpaConfig(QUICK))
    head.fit(train, val)
    score = macro_auroc(val.targets, head.predict(val.features))
    assert f"({score:.4f})" in head.choices()["chosen"]
    head.fit(train, Part(val.features, np.ones_like(val.targets)))
    assert head.choices()["chosen"].endswith("by loss, for val scores no class")


def test_the_frozen_gate_stays_and_the_trained_one_moves() -> None:
    features, y = records()
    part = Part(features, y)
    gates = {}
    for gate in ("trained", "frozen"):
        head = PmaHead(config=PmaConfig(QUICK, "linear", gate))
        torch.manual_seed(head.seed)
        start = head.build(part).gate.state_dict()
        head.fit(part, part)
        gates[gate] = all(torch.equal(v, start[n]) for n, v in head._model.gate.state_dict().items())
    assert gates == {"trained": False, "frozen": True}


def test_hug_learns_from_records_with_different_leads() -> None:
    features, y = records()
    features.present[::3, 6:] = False
    features.present[1::3, :6] = False
    features.present[:5] = False
    features.present[:5, 0] = True
    part = Part(features, y)
    for levels in ("full", "groups", "weighted", "mean"):
        head = HugHead(config=HugConfig(QUICK, levels))
        head.fit(part, part)
        assert np.isfinite(head.predict(features)).all()


def test_tokens_are_pooled_by_lead_for_an_encoder_with_a_single_summary() -> None:
    tokens = torch.randn(2, 7, 4)
    leads = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    real = torch.tensor([[1, 1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1]]).bool()
    pooled = pooled_by_lead(Features(tokens[:, 0], tokens=tokens, token_leads=leads, token_real=real))
    assert pooled is not None
    torch.testing.assert_close(pooled[0], torch.stack([tokens[0, :2].mean(0), tokens[0, 3], torch.zeros(4)]))
    torch.testing.assert_close(pooled[1, 2], tokens[1, 5:].mean(0))
    assert pooled_by_lead(Features(tokens[:, 0], tokens=tokens)) is None


def test_a_head_that_does_not_fit_names_those_that_do() -> None:
    method = replace(host().get(MethodEntry, "stmem"), features=())
    hug = host().get(HeadEntry, "hug")
    with pytest.raises(RunError, match=r"no per_lead features.*one of linear, knn, boosting, prevalence$"):
        check_head(hug, method)
    check_head(hug, replace(method, features=("tokens", "token_leads")))
    with pytest.raises(RunError, match="per_lead"):
        check_head(hug, replace(method, features=("tokens",)))


def test_settings_of_a_head() -> None:
    pma, linear = (host().get(HeadEntry, name) for name in ("pma", "linear"))
    config = head_config(pma, ["gate=frozen", "recipe.epochs=3"])
    assert (config.gate, config.recipe.epochs, config.recipe.peak_lr) == ("frozen", 3, 1e-3)
    assert head_title(pma, config) == "pma (recipe=epochs=3, gate=frozen)"
    assert head_title(pma, head_config(pma)) == "pma"
    assert head_title(linear) == "linear"
    assert head_config(linear) is None
    assert build_head(pma, 3, config).config is config
    assert build_head(pma, 3).config == PmaConfig()
    for assignment, message in (("gate=open", "gate"), ("gates=frozen", "gate"), ("recipe.lr=0", "lr")):
        with pytest.raises(ConfigError, match=message):
            head_config(pma, [assignment])
    with pytest.raises(ConfigError, match="no settings"):
        head_config(linear, ["C=1"])


def test_a_head_computes_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a machine with a GPU, a head that is given the CPU stays there.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    rng = np.random.default_rng(0)
    fields = {"layers": rng.normal(size=(60, 2, 4)).astype(np.float32)}
    parts = Part(RecordFeatures(fields, ("I",), np.ones((60, 1), bool)), rng.integers(0, 2, (60, 2)))
    head = build_head(host().get(HeadEntry, "ppa"), 0, PpaConfig(QUICK), device=torch.device("cpu"))
    head.fit(parts, parts)
    assert {p.device.type for p in head._model.parameters()} == {"cpu"}
    assert build_head(host().get(HeadEntry, "hug"), 0, device=torch.device("meta")).device.type == "meta"


def test_a_head_is_trained_on_whole_batches() -> None:
    for name in ("pma", "hug", "attention-pooling", "fine-tune"):
        with pytest.raises(ConfigError, match="accumulate 2 must be 1"):
            head_config(host().get(HeadEntry, name), ["recipe.accumulate=2"])
