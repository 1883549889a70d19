"""The hierarchical transformer against its reference vectors, and the properties that it is built for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ecgkit_hierarchical.attention import DifferentialAttention, initial_lambda
from ecgkit_hierarchical.config import BASE, PRESETS, STAGE_INPUTS, TINY
from ecgkit_hierarchical.heads import GateHead
from ecgkit_hierarchical.model import Hierarchical, HierarchicalEncoder, positions, stage_spans
from ecgkit_hierarchical.official import LABELS, import_official
from torch import Tensor

from ecgkit import export_encoder
from ecgkit.config import override
from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import RunError, SignalError
from ecgkit.evaluation.features.encoder import pretrained_encoder
from ecgkit.methods import Batch, Clock
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.loading import load_task
from ecgkit.training.loop import pretrain
from tests.conftest import Outcome, official_shapes
from tests.evaluation.probing import probe
from tests.reference_vectors import Reference, close

ALL = torch.arange(12)
SMALL = replace(
    TINY,
    width=24,
    heads=2,
    hidden=16,
    deep=8,
    dropout=0.0,
    deep_dropout=0.0,
    gate_dropout=0.0,
    classes=("a", "b", "c"),
    signal=replace(TINY.signal, seconds=5.0, window=5.0),
    recipe=replace(TINY.recipe, epochs=2),
)


@pytest.fixture(scope="module")
def reference(golden: Path) -> Reference:
    return Reference(golden / "hierarchical_heads_ab.npz")


def load(state: dict[str, Tensor], reference: Reference, head: str) -> HierarchicalEncoder:
    """The encoder of a file's weights, of the sizes that the file names."""
    sizes = reference.sizes
    config, renamed = import_official(state, heads=sizes["nhead"])
    seconds = sizes["samples"] / config.signal.fs
    config = replace(config, signal=replace(config.signal, seconds=seconds, window=seconds))
    assert (config.width, config.hidden, len(config.classes)) == (sizes["d_model"], sizes["d_ff"], sizes["n_classes"])
    assert head == "B" or (config.deep, config.wide_features) == (sizes["deepfeat"], sizes["wide"])
    assert config.stages * config.stage_layers == sizes["num_layers"]
    model = Hierarchical(config)
    model.load_state_dict(renamed)
    return model.eval().encoder


def inputs_of(reference: Reference, records: int) -> tuple[Tensor, Tensor]:
    """Signal in mV and wide features of the first records."""
    return torch.from_numpy(reference["x_int16"][:records] / np.float32(1000)), reference.tensor("wide")[:records]


@torch.no_grad()
@pytest.mark.parametrize("head", ["A", "B"])
def test_the_network_equals_the_reference(reference: Reference, head: str) -> None:
    encoder = load(reference.weights(f"{head}/sd/"), reference, head)
    x, wide = inputs_of(reference, len(reference["x_int16"]))
    raw = encoder.convolutions(x)
    for conv in encoder.config.stage_inputs:
        close(raw[conv - 1].mean(-1), reference[f"{head}/conv{conv}_mean"])
        assert raw[conv - 1].shape[-1] == reference[f"{head}/conv{conv}_len"]
    outputs = list(encoder.run_blocks(x, ALL))
    stages, layers = encoder.config.stages, encoder.config.stage_layers
    for stage in range(1, stages + 1):
        out = outputs[layers * stage - 1]
        close(out[:, 0], reference[f"{head}/cls_stage{stage}"])
        close(out[:, 1:].mean(1), reference[f"{head}/tok_stage{stage}"])
    features = encoder(x, ALL, wide=wide)
    close(features.logits, reference[f"{head}/logits"])
    close(features.pooled, reference[f"{head}/cls_stage{stages}"])
    np.testing.assert_allclose([block.attn.initial for block in encoder.blocks], reference.sizes["lambda_init"])
    if head == "B":
        rows = encoder.head.rows(outputs[-1], wide)
        close(rows.mean(-1), reference["B/rows"])
        close(encoder.head.scores(rows), reference["B/gate_scores"])


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("head", ["A", "B"])
def test_the_released_size_equals_the_reference(golden: Path, reference: Reference, head: str) -> None:
    full = Reference(golden / "hierarchical_full.npz")
    encoder = load(full.filled(f"{head}/"), full, head)
    x, wide = inputs_of(reference, len(full[f"{head}/logits"]))
    features = encoder(x, ALL, wide=wide)
    close(features.logits, full[f"{head}/logits"], 1e-4)
    for stage in range(1, encoder.config.stages + 1):
        layer = encoder.config.stage_layers * stage - 1
        close(features.layers[:, layer], full[f"{head}/cls_stage{stage}"], 1e-4)


@torch.no_grad()
def test_differential_attention_equals_the_reference(golden: Path) -> None:
    reference = Reference(golden / "hierarchical_diff_attention.npz")
    for case in range(reference.sizes["n"]):
        x = reference.tensor(f"x{case}")
        heads, depth = int(reference[f"heads{case}"]), int(reference[f"depth{case}"])
        layer = DifferentialAttention(width=x.shape[-1], heads=heads, depth=depth)
        layer.load_state_dict(reference.weights(f"sd{case}/"))
        close(layer(x), reference[f"y{case}"])
        seen: list[Tensor] = []
        layer.watcher = seen.append
        close(layer(x), reference[f"y{case}"])
        close(seen[0], reference[f"attention{case}"])
        torch.testing.assert_close(seen[0].sum(-1), (1 - layer.share()).expand(seen[0].shape[:-1]))


@torch.no_grad()
def test_without_lambda_it_is_plain_attention_and_a_norm() -> None:
    torch.manual_seed(0)
    layer, x = DifferentialAttention(width=24, heads=2, depth=0), torch.randn(2, 7, 24)
    layer.initial = 0.0
    for name in ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"):
        getattr(layer, name).zero_()  # exp(0) - exp(0) + 0
    q, k = (p(x).view(2, 7, 4, 6).transpose(1, 2)[:, ::2] for p in (layer.q_proj, layer.k_proj))
    v = layer.v_proj(x).view(2, 7, 2, 12).transpose(1, 2)
    plain = torch.softmax(q @ k.transpose(-1, -2) / 6**0.5, -1) @ v
    plain = plain / (plain.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(layer(x), layer.out_proj(plain.transpose(1, 2).reshape(2, 7, 24)))
    assert initial_lambda(0) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("preset", "official", "parameters"),
    [
        ("base", "hierarchical_head_a", 18_517_693),
        ("gate", "hierarchical_head_b", 18_626_254),
    ],
)
def test_every_official_key_is_consumed(golden: Path, preset: str, official: str, parameters: int) -> None:
    listed = official_shapes(golden, official)
    with torch.device("meta"):
        config, state = import_official({f"module.{key}": torch.empty(shape) for key, shape in listed.items()})
        model = Hierarchical(replace(PRESETS[preset], classes=LABELS))
    assert {n: v.shape for n, v in state.items()} == {n: v.shape for n, v in model.state_dict().items()}
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert config == replace(PRESETS[preset], classes=LABELS, wide="none")
    task = load_task(host().get(TaskEntry, "cinc2020-unmerged"))
    assert tuple(task.labels) == LABELS
    assert [label.codes[0] for label in task.labels.values()] == sorted(c.codes[0] for c in task.labels.values())


def test_a_foreign_or_incomplete_file_is_refused(golden: Path) -> None:
    listed = official_shapes(golden, "hierarchical_head_a")
    state = {key: torch.empty(shape, device="meta") for key, shape in listed.items()}
    with pytest.raises(RunError, match=r"layer4\.conv"):
        import_official(state | {"layer4.conv": torch.zeros(1)})
    with pytest.raises(RunError, match=r"no encoder\.6\.weight"):
        import_official({n: v for n, v in state.items() if n != "encoder.6.weight"})
    with pytest.raises(RunError, match="5 convolutions"):
        import_official({n: v for n, v in state.items() if not n.startswith("encoder.15.")})


def test_the_published_schedule_is_that_of_vaswani_with_adam() -> None:
    recipe, per_epoch = BASE.recipe, 1257  # 30,171 records in batches of 24
    assert (recipe.optimizer, recipe.betas, recipe.eps, recipe.weight_decay, recipe.clip) == (
        "adam",
        (0.9, 0.98),
        1e-9,
        0.0,
        None,
    )
    for step in (1, 100, 3999, 4000, 4001, 60_000):
        expected = 288**-0.5 * min(step**-0.5, step * 4000**-1.5)
        clock = Clock.at(step - 1, 100 * per_epoch, 100)
        assert recipe.lr_at(clock.next_epoch, clock.steps_per_epoch) == pytest.approx(expected, rel=1e-9)


def test_lengths_are_those_of_the_paper() -> None:
    assert BASE.conv_lengths(7500) == (2497, 828, 410, 201, 192, 183)
    assert BASE.conv_lengths(5000) == (1664, 551, 271, 131, 122, 113)
    assert (BASE.stage_inputs, BASE.channels) == ((3, 4, 6), (132, 264, 288, 288, 288, 288))
    paper = replace(BASE, conv_layers=4, attention="standard")
    assert (paper.stage_inputs, paper.channels) == ((2, 3, 4), (132, 288, 288, 288))


@pytest.fixture
def small() -> Hierarchical:
    torch.manual_seed(0)
    return Hierarchical(SMALL).eval()


def depends(out: Tensor, x: Tensor) -> list[bool]:
    """Which leads of the input a value depends on."""
    (gradient,) = torch.autograd.grad(out, x, retain_graph=True)
    return [bool(lead.any()) for lead in gradient[0]]


@pytest.mark.parametrize("grouped", [True, False])
def test_grouped_convolutions_keep_leads_apart_and_plain_ones_do_not(grouped: bool) -> None:
    torch.manual_seed(0)
    convolutions = Hierarchical(replace(SMALL, grouped=grouped)).eval().encoder.convolutions
    x = torch.randn(1, 12, 1250, requires_grad=True)
    for raw in convolutions(x):
        size = raw.shape[1] // 12
        for lead in (0, 7, 11):
            seen = depends(raw[0, lead * size : (lead + 1) * size].sum(), x)
            assert seen == [i == lead or not grouped for i in range(12)]


@torch.no_grad()
def test_only_the_cls_goes_from_stage_to_stage(small: Hierarchical) -> None:
    """The other tokens of stage 1 change nothing; the CLS does, and through it the first convolution that is read."""
    encoder, x = small.encoder, torch.randn(2, 12, 1250)
    raw = encoder.convolutions(x)
    whole = encoder(x, ALL).pooled

    def run(first: Tensor, keep: bool) -> Tensor:
        encoder.convolutions.forward = lambda _: [*raw[:2], first, *raw[3:]]  # type: ignore[method-assign]
        original = encoder.blocks[0].forward

        def cut(y: Tensor) -> Tensor:
            out = original(y)
            return torch.cat(
                [out[:, :1] if keep else torch.zeros_like(out[:, :1]), torch.randn_like(out[:, 1:])], dim=1
            )

        encoder.blocks[0].forward = cut
        try:
            return encoder(x, ALL).pooled
        finally:
            del encoder.convolutions.forward
            encoder.blocks[0].forward = original

    torch.testing.assert_close(run(raw[2], keep=True), whole)
    assert (run(raw[2] + 1, keep=True) - whole).abs().max() > 1e-4
    torch.testing.assert_close(run(raw[2] + 1, keep=False), run(raw[2], keep=False))


@torch.no_grad()
@pytest.mark.parametrize("samples", [1000, 1250, 2500, 5000])
def test_head_a_takes_any_length(small: Hierarchical, samples: int) -> None:
    features = small.encoder(torch.randn(1, 12, samples), ALL)
    assert features.tokens.shape[1] == SMALL.conv_lengths(samples)[-1]
    assert torch.isfinite(features.logits).all()


def test_head_b_is_built_for_its_window_and_says_so(small: Hierarchical) -> None:
    for seconds, tokens in ((5.0, 9), (10.0, 44)):
        signal = replace(SMALL.signal, seconds=seconds, window=seconds)
        gated = Hierarchical(replace(SMALL, gate=True, signal=signal)).eval().encoder
        assert gated.head.attention_a.in_features == tokens + 1 == gated.config.tokens(signal.samples) + 1
        assert gated(torch.randn(1, 12, signal.samples), ALL).logits.shape == (1, 3)
        with pytest.raises(SignalError, match=r"gate=false"):
            gated(torch.randn(1, 12, 5000), ALL)
    with pytest.raises(SignalError, match="longer"):
        small.encoder(torch.randn(1, 12, 100), ALL)
    with pytest.raises(SignalError, match="standard twelve"):
        small.encoder(torch.randn(1, 1, 2500), torch.tensor([12]))


@torch.no_grad()
def test_the_gates_weights_sum_to_one_over_rows_and_classify_as_the_sum_says() -> None:
    torch.manual_seed(0)
    head, tokens, wide = GateHead(tokens=9, classes=2, dropout=0.25).eval(), torch.randn(3, 9, 24), torch.randn(3, 4)
    torch.nn.init.normal_(head.weight)
    rows = head.rows(tokens, wide)
    weights = head.scores(rows).softmax(dim=1)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3, 2))
    for b in range(3):
        for c in range(2):
            pooled = sum(weights[b, r, c] * rows[b, r] for r in range(28))
            logit = torch.relu(head.rho(pooled)) @ head.weight[c] + head.bias[c]
            torch.testing.assert_close(head(tokens, wide)[b, c], logit, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_leads_go_to_their_places_by_id(small: Hierarchical) -> None:
    x, order = torch.randn(2, 12, 2500), torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(small.encoder(x[:, order], order).logits, small.encoder(x, ALL).logits)
    some = torch.tensor([1, 6])
    blank = torch.zeros_like(x)
    blank[:, some] = x[:, some]
    torch.testing.assert_close(small.encoder(x[:, some], some).logits, small.encoder(blank, ALL).logits)


VARIANTS = [
    "grouped=false",
    "stages=1",
    "stages=2",
    "stages=3",
    "stages=4",
    "stages=5",
    "gate=true",
    "gate=false",
    "cls=last",
    "cls=several",
    "cls=all",
    "attention=standard",
    "conv_layers=4",
    "wide=none",
    "signal={seconds: 8, window: 8}",
]


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_is_one_setting_and_learns(variant: str) -> None:
    torch.manual_seed(0)
    config = override(SMALL, [variant])
    model = Hierarchical(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    extra = {
        "labels": (torch.rand(6, 3) < 0.5).float(),
        "demographics": torch.tensor([[0.6, 1.0]] * 5 + [[np.nan] * 2]),
    }
    batch = Batch(torch.randn(6, 12, config.signal.samples).cumsum(-1) / 50, ALL, torch.arange(6), extra=extra)
    losses = []
    for _ in range(40):
        loss = model.training_step(batch, Clock.end()).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.mean(losses[-5:]) < 0.9 * losses[0]
    unused = {n for n, p in model.named_parameters() if p.grad is None}
    expected = {f"encoder.convolutions.norms.{config.conv_layers - 1}.{kind}" for kind in ("weight", "bias")}
    assert unused == expected


def test_variants_have_the_stages_that_they_say() -> None:
    for convs, inputs in STAGE_INPUTS.items():
        for stages, read in inputs.items():
            config = replace(SMALL, conv_layers=convs, stages=stages)
            assert (config.stage_inputs, len(config.stage_depths), config.channels[read[0] - 1]) == (read, stages, 24)
            assert read[-1] == convs
    last = replace(SMALL, cls="last")
    assert (last.stage_inputs, last.stage_depths) == ((6,), (3,))
    assert len(Hierarchical(last).encoder.blocks) == len(Hierarchical(SMALL).encoder.blocks)


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("cls", ["carried", "several", "all", "last"])
def test_what_goes_from_stage_to_stage(cls: str, gate: bool) -> None:
    torch.manual_seed(0)
    config = replace(SMALL, cls=cls, gate=gate, stages=3)
    model = Hierarchical(config).eval()
    encoder, T = model.encoder, config.signal.samples
    x = torch.randn(2, 12, T)
    n = [config.conv_lengths(T)[conv - 1] for conv in (3, 4, 6)]
    K, counts = {
        "carried": (1, n),
        "several": (3, n),
        "all": (1, [n[0], n[0] + n[1], sum(n)]),
        "last": (1, [n[2]] * 3),
    }[cls]
    outputs = list(encoder.run_blocks(x, ALL))
    assert [len(out[0]) for out in outputs] == [K + count for count in counts]
    features = encoder(x, ALL)
    assert features.tokens.shape == (2, counts[-1], 24)
    torch.testing.assert_close(features.tokens, outputs[-1][:, K:])
    torch.testing.assert_close(features.pooled, outputs[-1][:, :K].mean(1))
    torch.testing.assert_close(features.layers[:, 0], outputs[0][:, :K].mean(1))
    assert features.layer_input.shape == (2, 24)
    assert features.logits.shape == (2, 3)
    # Padding and leads that are not there are the middle of the scale.
    short = x.clone()
    short[1, :, T // 2 :] = 0
    padded = encoder(short, ALL, torch.tensor([T, T // 2]))
    torch.testing.assert_close(padded.pooled, encoder(short, ALL).pooled)
    some = torch.tensor([6, 1])
    blank = torch.zeros_like(x).index_copy(1, some, x[:, some])
    torch.testing.assert_close(encoder(x[:, some], some).pooled, encoder(blank, ALL).pooled)
    # The first stage reaches the representation through what is carried; every CLS gets a gradient of its own.
    features.logits.sum().backward()
    gradient = encoder.cls_token.grad
    assert gradient.shape == (1, K, 24)
    assert (gradient.abs().sum(-1) > 0).all()
    assert (encoder.blocks[0].mlp.fc1.weight.grad.abs() > 0).any()


@torch.no_grad()
def test_one_cls_of_several_is_the_published_model_and_all_embeddings_see_finer_scales() -> None:
    models = {}
    for cls in ("carried", "several"):
        torch.manual_seed(0)
        models[cls] = Hierarchical(replace(SMALL, cls=cls, stages=1)).eval()
    x = torch.randn(2, 12, SMALL.signal.samples)
    one, other = (model.encoder(x, ALL) for model in models.values())
    assert torch.equal(one.logits, other.logits)
    torch.manual_seed(0)
    model = Hierarchical(replace(SMALL, cls="all", stages=2)).eval()
    encoder = model.encoder
    before = list(encoder.run_blocks(x, ALL))[1]
    # The second stage's own tokens, from its first block: embeddings of the first stage, then the convolution's.
    handle = encoder.blocks[1].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0]))
    seen: list[Tensor] = []
    first, second = encoder.run_blocks(x, ALL)
    handle.remove()
    raw = encoder.convolutions(x)[5].transpose(1, 2)
    expected = torch.cat([first, raw], dim=1)
    torch.testing.assert_close(seen[0], expected + positions(expected.shape[1], 24, x.device))
    torch.testing.assert_close(second, before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stages": 6}, "1 to 5"),
        ({"stages": 5, "conv_layers": 4}, "1 to 4"),
        ({"width": 26}, "12 leads"),
        ({"heads": 5}, "5 heads"),
        ({"heads": 24}, "twice"),
        ({"dropout": 1.0}, "dropout"),
        ({"deep": 0}, "deep"),
        ({"width": 25, "grouped": False}, "even"),
        ({"signal": replace(TINY.signal, seconds=0.5, window=1)}, "longer"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **wrong)


@torch.no_grad()
def test_age_and_sex_are_standardised_and_missing_ones_are_zero_before(cohort_store: Path) -> None:
    from ecgkit.methods import Corpus

    store = Store(cohort_store)
    model = Hierarchical(SMALL)
    rows = np.arange(len(store))
    model.prepare(Corpus(store, rows, SMALL.classes))
    age = store.table["age"].fillna(0.0).to_numpy()
    assert model.encoder.wide_mean[0] == pytest.approx(age.mean(), rel=1e-5)
    assert model.encoder.wide_deviation[0] == pytest.approx(age.std(), rel=1e-5)
    wide = model.encoder.wide_features(
        torch.tensor([[50.0, 1.0], [float("nan"), float("nan")]]), 2, torch.device("cpu")
    )
    assert wide.shape == (2, 22) and not wide[:, 2:].any()
    assert wide[0, 0] == pytest.approx((50 - age.mean()) / age.std(), rel=1e-4)
    assert wide[1, 0] == pytest.approx(-age.mean() / age.std(), rel=1e-4)
    model.encoder.config = replace(SMALL, wide="none")
    assert not model.encoder.wide_features(torch.ones(2, 2), 2, torch.device("cpu")).any()


@torch.no_grad()
def test_receptive_fields_are_what_a_token_depends_on(small: Hierarchical) -> None:
    spans = stage_spans(SMALL, SMALL.stage_inputs[-1], 1250)
    x = torch.randn(1, 12, 1250, requires_grad=True)
    with torch.enable_grad():
        raw = small.encoder.convolutions(x)[-1]
        for token in (0, 4, raw.shape[-1] - 1):
            (gradient,) = torch.autograd.grad(raw[..., token].sum(), x, retain_graph=True)
            touched = torch.nonzero(gradient[0].abs().sum(0)).ravel()
            assert (touched[0].item(), touched[-1].item() + 1) == tuple(spans[token].tolist())


@torch.no_grad()
def test_the_gate_shares_a_class_among_leads() -> None:
    torch.manual_seed(0)
    encoder = Hierarchical(replace(SMALL, gate=True)).eval().encoder
    batch = Batch(torch.randn(2, 12, 1250), ALL, torch.arange(2))
    gate = encoder.lead_gate(batch)
    assert gate.shape == (2, 3, 12)
    assert (gate.sum(-1) < 1).all() and (gate > 0).all()  # the rest is age and sex
    assert Hierarchical(SMALL).eval().encoder.lead_gate(batch) is None


@pytest.fixture(scope="module")
def trained(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "hierarchical"
    entry, task = host().get(MethodEntry, "hierarchical"), host().get(TaskEntry, "simulated")
    pretrain(entry, replace(SMALL, classes=()), Store(cohort_store), out, task=task)
    return out


@pytest.mark.slow
def test_a_run_is_probed_like_any_other_and_by_its_own_classifier(
    trained: Path, cohort_store: Path, tmp_path: Path
) -> None:
    encoder, store = pretrained_encoder(trained), Store(cohort_store)
    task = host().get(TaskEntry, "simulated")
    assert encoder.encoder.classes == tuple(load_task(task).labels)
    for head in ("linear", "own"):
        row = probe(encoder, store, "simulated", tmp_path / head, head)
        assert row.head == head and row.macro_auroc is not None
        with pytest.raises(RunError, match="an encoder of signals alone"):  # this one reads age and sex
            export_encoder(tmp_path / head, onnx=tmp_path / f"{head}.onnx")


def test_pretrain_without_a_task_says_what_is_missing(
    ecgkit: Callable[..., Outcome], cohort_store: Path, tmp_path: Path
) -> None:
    shown = ecgkit(
        "pretrain", "--method", "hierarchical", "--preset", "tiny", "--data", cohort_store, "--out", tmp_path / "r"
    )
    assert shown.code == 2 and "--task" in shown.err
    assert not (tmp_path / "r").exists()
