"""MERL against its reference vectors, and what ecgkit adds to it: few leads, missing reports, published names."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from ecgkit_kmerl.config import MERL_PRESETS, MerlConfig
from ecgkit_kmerl.contrast import clip_loss, retrieval_accuracy
from ecgkit_kmerl.merl import Merl
from ecgkit_kmerl.official import MIMIC_LEADS, import_official
from ecgkit_kmerl.resnet import AttentionPool
from ecgkit_kmerl.vit import keep_only
from torch import Tensor

from ecgkit.errors import RunError, SignalError
from ecgkit.leads import lead_ids
from ecgkit.methods import Batch, Clock
from ecgkit.nn.resnet import map_length
from ecgkit.signal.normalize import normalize
from ecgkit.text.config import TextConfig
from tests.conftest import official_shapes
from tests.reference_vectors import Reference, close

SMALL = replace(MERL_PRESETS["tiny"], channels=4, projection=16, hidden=16, text=TextConfig(width=8))
VIT = replace(SMALL, encoder="vit", width=16, depth=1, heads=1, head_width=16)
ALL = torch.arange(12)
ROWS = torch.tensor(lead_ids(MIMIC_LEADS))  # the references' signals are in this order
REPORTS = ["sinus rhythm. normal ecg.", "atrial fibrillation. abnormal ecg.", "left bundle branch block. abnormal."]


def load(golden: Path, name: str) -> Reference:
    return Reference(golden / f"{name}.npz")


def imported(state: dict[str, Tensor], head_width: int = 64, **changes: Any) -> Merl:
    config, renamed = import_official(state, head_width=head_width)
    model = Merl(replace(config, text=TextConfig(width=config.text.width), **changes)).eval()
    left = model.load_state_dict(renamed, strict=False)
    assert not left.unexpected_keys
    part = "" if "text_projection.0.weight" in renamed else "encoder."
    missing = [n for n in left.missing_keys if n.startswith(part) and "num_batches" not in n and "language" not in n]
    assert not missing
    return model


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnets_equal_the_reference(golden: Path, name: str) -> None:
    reference = load(golden, f"merl_{name}")
    model = imported(reference.filled())
    assert model.config.encoder == name == reference.sizes["model"]
    features = model.encoder(reference.tensor("x"), ROWS)
    close(features.pooled, reference["pooled"])
    assert features.tokens is not None
    if name == "resnet18":
        close(features.tokens.transpose(1, 2), reference["feature_map"])
        x = F.relu(model.encoder.trunk.norm(model.encoder.trunk.conv(reference.tensor("x"))))
        for i, stage in enumerate(model.encoder.trunk.stages[:3], 1):
            x = stage(x)
            close(x.mean(-1), reference[f"layer{i}_mean_time"])
    else:
        assert tuple(features.tokens.transpose(1, 2).shape) == tuple(reference["map_shape"])


@torch.no_grad()
def test_the_vit_equals_the_reference(golden: Path) -> None:
    reference = load(golden, "merl_vit1d_tiny")
    model = imported(reference.weights(), reference.sizes["dim_head"])
    assert (model.config.heads, model.config.depth) == (reference.sizes["heads"], reference.sizes["depth"])
    x = reference.tensor("x")
    close(model.encoder.visible_tokens(x, ROWS).flat()[0], reference["tokens"])
    close(model.encoder(x, ROWS).pooled, reference["features"])


@torch.no_grad()
def test_attention_pooling_equals_the_reference(golden: Path) -> None:
    reference = load(golden, "merl_attention_pool")
    sizes = reference.sizes
    pool = AttentionPool(width=sizes["D"], heads=sizes["heads"], positions=sizes["n"]).eval()
    pool.load_state_dict(reference.weights())
    pooled, attention = pool.attend(reference.tensor("feature_map"))
    close(pooled, reference["pooled"])
    close(attention, reference["attention"])


@torch.no_grad()
def test_heads_equal_the_reference(golden: Path) -> None:
    reference = load(golden, "merl_heads")
    sizes = reference.sizes
    head_width = sizes.get("dim_head", 64)
    model = imported(reference.weights(), head_width, uma_dropout=0.0)
    found = (model.config.hidden, model.config.projection, model.config.heads)
    assert found == (sizes["hidden"], sizes["proj"], sizes["heads"])
    x, text = reference.tensor("x"), reference.tensor("text_embedding")
    ecg, views = model.represent(x, ROWS)
    close(ecg, reference["ecg_projected_raw"])
    close(F.normalize(ecg, dim=-1), reference["ecg_projected"])
    close(F.normalize(model.text_projection(text), dim=-1), reference["text_projected"])
    close(model.view1(views), reference["uma_1"])
    close(model.view2(views), reference["uma_2"])
    model.train()
    ecg, views = model.represent(x, ROWS)
    close(F.normalize(ecg, dim=-1), reference["train_ecg_projected"])
    close(model.view1(views), reference["train_uma_1"])
    close(model.view2(views), reference["train_uma_2"])


def test_the_loss_equals_the_reference(golden: Path) -> None:
    reference = load(golden, "merl_clip_loss")
    for j in range(reference.sizes["n"]):
        a, b = (reference.tensor(f"{side}{j}").requires_grad_() for side in "ab")
        loss = clip_loss(a, b, float(reference[f"temperature{j}"]))
        loss.backward()
        assert a.grad is not None
        assert b.grad is not None
        close(loss, reference[f"loss{j}"])
        close(a.grad, reference[f"grad_a{j}"])
        close(b.grad, reference[f"grad_b{j}"])
        accuracy = retrieval_accuracy(a, b)
        close(accuracy["top1"], reference[f"acc1_{j}"][0])
        close(accuracy["top5"], reference[f"acc5_{j}"][0])


def test_the_released_schedule_restarts_every_5000_steps_and_the_papers_does_not() -> None:
    code, paper = (MERL_PRESETS[name].recipe for name in ("resnet18", "resnet18-paper"))
    steps = 763  # per epoch of the released training: 781,000 reports in batches of 1,024
    rates = [code.lr_at(step / steps, steps) for step in (0, 2500, 4999, 5000, 7500, 15000)]
    low, high = 1e-8, 1e-3
    last = low + (high - low) * (1 + math.cos(math.pi * 4999 / 5000)) / 2
    assert rates == pytest.approx([high, (low + high) / 2, last, high, (low + high) / 2, high])
    assert [paper.lr_at(epoch, 191) for epoch in (0, 25, 50)] == pytest.approx([2e-4, 1e-4, 0])


def test_records_without_a_report_are_left_out_of_the_contrast() -> None:
    a, b = torch.randn(5, 8), torch.randn(5, 8)
    paired = torch.tensor([True, False, True, True, False])
    torch.testing.assert_close(clip_loss(a, b, 0.07, paired), clip_loss(a[paired], b[paired], 0.07))
    assert clip_loss(a, b, 0.07, torch.zeros(5, dtype=torch.bool)) == 0
    accuracy = retrieval_accuracy(a, b, torch.zeros(5, dtype=torch.bool))
    assert accuracy["top5"] == 0


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("vit-tiny", 5_473_152),
        ("resnet18", 3_853_962),
        ("resnet34", 7_228_298),
        ("resnet50", 15_979_658),
        ("resnet101", 28_287_114),
    ],
)
def test_parameter_counts_of_the_published_sizes(name: str, parameters: int) -> None:
    with torch.device("meta"):
        encoder = Merl(MERL_PRESETS[name]).encoder
    unused = 0 if name.startswith("vit") else 10 * encoder.width + 10  # the released ResNets carry a classifier
    assert sum(p.numel() for p in encoder.parameters()) + unused == parameters


@pytest.mark.parametrize("part", ["full_without_text_model", "encoder"])
@pytest.mark.parametrize("kind", ["resnet18", "vit_tiny"])
def test_every_official_key_is_consumed(golden: Path, kind: str, part: str) -> None:
    listed = official_shapes(golden, f"merl_{kind}_{part}")
    config, state = import_official({f"module.{n}": torch.empty(s, device="meta") for n, s in listed.items()})
    assert config.signal.leads == MIMIC_LEADS
    assert config.text == TextConfig(encoder="medcpt", width=768, pooling="pooler")
    expected = replace(MERL_PRESETS[kind.replace("_", "-")], signal=config.signal, text=config.text)
    assert config == expected
    with torch.device("meta"):
        own = Merl(replace(config, text=TextConfig(width=768))).state_dict()
    own = {n: v.shape for n, v in own.items() if not n.startswith("language.")}
    if part == "encoder":
        own = {n: shape for n, shape in own.items() if n.startswith("encoder.")}
    assert {n: v.shape for n, v in state.items()} == own


@pytest.mark.parametrize("name", ["layer5.0.conv1.weight", "block0.attn.fn.to_key.weight", "proj_x.0.weight"])
def test_a_foreign_key_is_named(name: str) -> None:
    with pytest.raises(RunError, match=re.escape(name)):
        import_official({name: torch.zeros(1), "conv1.weight": torch.zeros(64, 12, 7)})


def test_an_incomplete_file_is_refused() -> None:
    with pytest.raises(RunError, match="stages"):
        import_official({"conv1.weight": torch.zeros(64, 12, 7)})
    with pytest.raises(RunError, match="to_token"):
        import_official({"pos_embedding": torch.zeros(1, 10, 192)})


@torch.no_grad()
@pytest.mark.parametrize("config", [SMALL, VIT])
def test_leads_go_by_name_and_missing_ones_are_zeros(config: MerlConfig) -> None:
    torch.manual_seed(0)
    model = Merl(config).eval()
    x, order = torch.randn(2, 12, 1000), torch.randperm(12)
    torch.testing.assert_close(model.encoder(x[:, order], order).pooled, model.encoder(x, ALL).pooled)
    few = torch.tensor([1, 7])
    zeroed = torch.zeros_like(x)
    zeroed[:, few] = x[:, few]
    torch.testing.assert_close(model.encoder(x[:, few], few).pooled, model.encoder(zeroed, ALL).pooled)
    assert model.encoder.fill == "zeros"
    with pytest.raises(SignalError, match="no row"):
        model.encoder(x[:, :1], torch.tensor([12]))


def test_masking_leads_in_training_equals_reduced_leads_at_inference() -> None:
    raw = torch.randn(3, 12, 1000).cumsum(-1)
    scaled = torch.from_numpy(normalize(raw.double().numpy(), "record-minmax")).float()
    kept = torch.tensor([[0, 1], [6, 2], [11, 3]])
    masked = keep_only(scaled, kept, "record-minmax", None)
    for b, leads in enumerate(kept):
        alone = torch.from_numpy(normalize(raw[b, leads].double().numpy(), "record-minmax")).float()
        torch.testing.assert_close(masked[b, leads], alone, atol=1e-5, rtol=1e-4)
        others = [i for i in range(12) if i not in leads.tolist()]
        assert not masked[b, others].any()


def prepared(config: MerlConfig) -> Merl:
    torch.manual_seed(0)
    model = Merl(config)
    model.language.encoder.fit(REPORTS)
    model.language.reports.fill(model.language.encoder, REPORTS)
    return model


def batch(B: int = 4) -> Batch:
    signal = torch.rand(B, 12, 1000, generator=torch.Generator().manual_seed(1))
    return Batch(signal, ALL, torch.arange(B), extra={"reports": torch.tensor([0, 1, -1, 2, 1])[:B]})


@pytest.mark.parametrize(
    "changes", [{}, {"uma_shared": True}, {"w_uma": 0.0}, {"w_cma": 0.0}, {"dlm_prob": 1.0}, {"encoder": "resnet50"}]
)
def test_gradients_reach_every_parameter_that_the_losses_use(changes: dict[str, Any]) -> None:
    model = prepared(replace(SMALL, **changes))
    model.training_step(batch(), Clock.end()).loss.backward()
    lost = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert lost == []
    assert all(p.requires_grad for p in model.encoder.parameters())


def test_a_batch_of_one_record_is_survived() -> None:
    for config in (SMALL, VIT):
        loss = prepared(config).training_step(batch(1), Clock.end()).loss
        assert torch.isfinite(loss)


def test_prompts_are_scored_by_cosine() -> None:
    model = prepared(SMALL).eval()
    with torch.no_grad():
        classes = model.class_vectors(["Atrial FIBRILLATION", "normal ecg"])
        scores = model.class_scores(batch(), classes)
        ecg, _ = model.represent(batch().signal, ALL)
        text = model.text_projection(classes)
        expected = F.cosine_similarity(ecg[:, None], text[None], dim=-1)
    torch.testing.assert_close(2 * scores - 1, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(classes[0], model.class_vectors(["atrial fibrillation"])[0])


def test_the_map_of_ten_seconds_has_313_positions() -> None:
    assert (map_length(5000), map_length(320), map_length(1000)) == (313, 20, 63)


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 0},
        {"dlm_prob": 1.5},
        {"dlm_counts": (12,)},
        {"uma_dropout": 1.0},
        {"temperature": 0.0},
        {"w_cma": 0.0, "w_uma": 0.0},
    ],
)
def test_impossible_settings_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(SMALL, **wrong)
