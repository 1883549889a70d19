"""Fine-tuning: rates decay with depth in every family, the pretrained encoder stays as it is, and its row says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgkit.entries import HeadEntry, MethodEntry, load_target
from ecgkit.errors import ConfigError, EcgkitError, RunError
from ecgkit.evaluation.features.encoder import EncoderChoice, pretrained_encoder
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.end_to_end import train_supervised
from ecgkit.evaluation.heads.fine_tune import GENTLE, FineTune, FineTuneConfig
from ecgkit.evaluation.heads.settings import build_head, check_head, check_trained_with, head_config
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.methods import Clock, Encoder, Method
from ecgkit.optimizers import build_optimizer
from ecgkit.plugins import host
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.tasks.task import Label, Task
from ecgkit.training.loop import PretrainOptions, pretrain
from ecgkit.training.optimization import Optimization, decayed_shares, trained_parameters
from tests.evaluation.probing import probe
from tests.training.test_training import SMALL

PRESETS = [
    (name, preset)
    for name, entry in host().entries(MethodEntry).items()
    for preset in load_target(entry.presets, name)
    if not entry.baseline and ("tiny" in preset or preset == "resnet18")
]


def encoder_of(name: str, preset: str) -> tuple[Encoder, MethodEntry, object]:
    entry = host().get(MethodEntry, name)
    config = load_target(entry.presets, name)[preset]
    torch.manual_seed(0)
    method: Method = entry.load()(config)
    return method.encoder, entry, config


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_rates_decay_with_depth_in_every_family(name: str, preset: str) -> None:
    encoder, _, _ = encoder_of(name, preset)
    shares, stages = decayed_shares(encoder, 0.5), encoder.stages()
    depth = len(stages) - 1
    assert depth >= 1
    assert set(shares) == {parameter for parameter, _ in encoder.named_parameters()}
    staged = {id(p) for stage in stages for part in stage for p in part.parameters()}
    has_beginning = any(id(p) not in staged for p in encoder.parameters())
    assert min(shares.values()) == 0.5 ** (depth + has_beginning)
    names = {id(p): parameter for parameter, p in encoder.named_parameters()}
    listed = [[names[id(p)] for part in stage for p in part.parameters()] for stage in stages]
    assert len({parameter for stage in listed for parameter in stage}) == sum(map(len, listed))
    for i, stage in enumerate(listed):
        assert {shares[parameter] for parameter in stage} <= {0.5 ** (depth - i)}
        assert stage or i == depth
    assert {*decayed_shares(encoder, 1.0).values()} == {1.0}


class Given:
    """Anything that an encoder reads besides the signal, the same for every record."""

    def __init__(self, value: torch.Tensor) -> None:
        self.value = value

    def at(self, rows: np.ndarray, starts: np.ndarray) -> torch.Tensor:
        return self.value.expand(len(rows), -1)


def eight_records(spec: SignalSpec) -> tuple[View, TaskData]:
    """Noise, and two classes in turn."""
    R, L = 8, len(spec.leads)
    signal = np.random.default_rng(0).normal(size=(R, L, spec.window_samples)).astype(np.float32)
    view = View(spec, signal, np.ones((R, L), bool), np.full(R, spec.window_samples))
    targets = np.tile([[0, 1], [1, 0]], (R // 2, 1)).astype(np.int8)
    parts = {"train": np.arange(4), "val": np.arange(4, 6), "test": np.arange(6, 8)}
    task = Task("t", "scp", {"a": Label("a", ("A",)), "b": Label("b", ("B",))})
    return view, TaskData(np.arange(R), targets, ("a", "b"), parts, 0, task)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, entry in host().entries(MethodEntry).items() if not entry.baseline])
def test_every_family_can_be_fine_tuned(name: str) -> None:
    encoder, _, config = encoder_of(name, "tiny")
    spec = config.signal
    view, data = eight_records(spec)
    beats = torch.arange(0, spec.samples, int(0.8 * spec.fs))[None]
    supplies = {"beats": Given(beats), "demographics": Given(torch.tensor([[60.0, 1.0]]))}
    config = FineTuneConfig(replace(GENTLE, epochs=1, batch_size=4, lr=1e-2, warmup_epochs=0))
    before = {parameter: value.clone() for parameter, value in encoder.state_dict().items()}
    trained = FineTune(config=config).train(
        encoder, view, data, supplies={need: supplies[need] for need in encoder.needs}
    )
    assert trained.probabilities.shape == (8, 2)
    assert np.isfinite(trained.probabilities).all()
    assert "layer decay 0.75" in trained.choices["training"]
    assert all(torch.equal(value, before[parameter]) for parameter, value in encoder.state_dict().items())


def test_a_teacher_that_no_gradient_reached_is_fine_tuned_as_well() -> None:
    encoder, _, config = encoder_of("stmem", "tiny")
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    before = {name: p.clone() for name, p in encoder.requires_grad_(False).named_parameters()}
    view, data = eight_records(config.signal)
    recipe = replace(GENTLE, epochs=1, batch_size=4, lr=1e-2, warmup_epochs=0, schedule="constant")
    train_supervised(encoder, view, data, recipe=recipe)
    assert {name for name, p in encoder.named_parameters() if not torch.equal(p, before[name])} >= trained


JOINT = ("linear", "attention-pooling", "ppa", "pma", "hug")


@pytest.mark.parametrize("head", JOINT)
def test_gradients_reach_the_encoder_and_the_head(head: str) -> None:
    """Without weight decay a weight moves only by its gradient."""
    encoder, _, config = encoder_of("stmem", "tiny")
    view, data = eight_records(config.signal)
    recipe = replace(GENTLE, epochs=1, batch_size=4, lr=1e-2, warmup_epochs=0, schedule="constant", weight_decay=0)
    tuning = FineTune(config=FineTuneConfig(recipe, head=head))
    made = tuning.train(encoder, view, data, supplies={})
    begun = tuning.head(torch.device("cpu"))
    torch.manual_seed(tuning.seed)
    begun.begin(made.like)
    before, after = dict(begun.trained.named_parameters()), dict(made.head.trained.named_parameters())
    assert before.keys() == after.keys()
    assert not [name for name, p in after.items() if torch.equal(p, before[name])]
    read_late = {"norm.weight", "norm.bias"} if head in ("ppa", "pma") else set()  # layers come before the last norm
    old = dict(encoder.named_parameters())
    still = {name for name, p in made.encoder.named_parameters() if p.requires_grad and torch.equal(p, old[name])}
    assert still == read_late


@pytest.mark.parametrize(
    "settings",
    [
        ["head=hug", "inner.levels=groups", "inner.combine=concat"],
        ["head=hug", "inner={levels: weighted}"],
        ["head=attention-pooling", "inner.heads=2"],
        ["head=pma", "inner.gate=frozen"],
    ],
)
def test_the_inner_head_has_the_settings_that_it_is_given(settings: list[str]) -> None:
    """The module is that of the head's own probe with the same settings."""
    config = head_config(host().get(HeadEntry, "fine-tune"), settings)
    inner = [text.removeprefix("inner.") for text in settings[1:] if text.startswith("inner.")] or ["levels=weighted"]
    entry = host().get(HeadEntry, config.head)
    own = build_head(entry, 0, head_config(entry, inner))
    made = FineTune(config=config).head(torch.device("cpu"))
    assert made.config == own.config != head_config(entry)
    encoder, _, of_encoder = encoder_of("stmem", "tiny")
    view, data = eight_records(of_encoder.signal)  # type: ignore[attr-defined]
    recipe = replace(GENTLE, epochs=1, batch_size=4)
    tuned = FineTune(config=replace(config, recipe=recipe)).train(encoder, view, data, supplies={})
    own.begin(tuned.like)
    shapes = {name: tuple(value.shape) for name, value in own.trained.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in tuned.head.trained.state_dict().items()} == shapes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["head=hug", "inner.level=groups"], "unknown key 'level'.* Did you mean 'levels'"),
        (["head=hug", "inner.levels=some"], "levels = 'some'"),
        (["head=hug", "inner=3"], "inner = 3"),
        (["inner.levels=groups"], "inner.levels with a linear layer"),
        (["head=hug", "inner.recipe.epochs=3"], "without start=probe"),
        (["head=hug", "start=probe", "inner.recipe.epoch=3"], "Did you mean 'epochs'"),
    ],
)
def test_wrong_settings_of_the_inner_head_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        head_config(host().get(HeadEntry, "fine-tune"), settings)


def forty_records(spec: SignalSpec) -> tuple[View, TaskData]:
    """Noise, and a slow wave that hints at the first class; every record has the second. Some records lack a lead."""
    rng, R, L = np.random.default_rng(1), 40, len(spec.leads)
    targets = np.stack([rng.integers(0, 2, R), np.ones(R, int)], axis=1).astype(np.int8)
    hint = np.where(np.arange(R) % 6 == 1, 1 - targets[:, 0], targets[:, 0])  # it errs for every sixth record
    wave = hint[:, None] * np.sin(np.arange(spec.window_samples) / 20)
    signal = (rng.normal(size=(R, L, spec.window_samples)) + 2 * wave[:, None]).astype(np.float32)
    present = np.ones((R, L), bool)
    present[::5, 2] = False
    view = View(spec, signal * present[..., None], present, np.full(R, spec.window_samples))
    parts = {"train": np.arange(20), "val": np.arange(20, 36), "test": np.arange(36, 40)}
    task = Task("t", "scp", {"a": Label("a", ("A",)), "b": Label("b", ("B",))})
    return view, TaskData(np.arange(R), targets, ("a", "b"), parts, 0, task)


@pytest.mark.parametrize("head", JOINT)
def test_a_start_from_the_probe_begins_with_what_the_probe_predicts(head: str) -> None:
    """With a learning rate of almost nothing, the first epoch is still the probe."""
    torch.manual_seed(0)
    encoder: Encoder = host().get(MethodEntry, "stmem").load()(SMALL).encoder
    view, data = forty_records(SMALL.signal)
    entry = host().get(HeadEntry, head)
    part = {
        name: Part(extract(encoder, view, rows, entry.needs), data.targets[rows]) for name, rows in data.parts.items()
    }
    plain = build_head(entry, 0)
    plain.fit(part["train"], part["val"])
    expected = {name: plain.predict(own.features) for name, own in part.items()}
    score = macro_auroc(part["val"].targets, expected["val"])
    assert score > 0.5
    recipe = replace(GENTLE, epochs=1, lr=1e-12, weight_decay=0, precision="fp32")
    made = {
        start: FineTune(config=FineTuneConfig(recipe, head=head, start=start)).train(encoder, view, data, supplies={})
        for start in ("probe", "random")
    }
    for name, rows in data.parts.items():
        np.testing.assert_allclose(made["probe"].probabilities[rows], expected[name], rtol=0, atol=1e-5)
    assert np.abs(made["random"].probabilities[:36] - made["probe"].probabilities[:36]).max() > 1e-2
    assert made["probe"].metrics[0]["val_macro_auroc"] == pytest.approx(score, abs=1e-12)
    assert made["probe"].choices["start"] == f"a probe, macro AUROC {score:.4f} on val"
    assert "start" not in made["random"].choices


def test_a_step_moves_each_depth_by_its_share() -> None:
    """With a constant gradient, AdamW's first step has the length of the rate, whatever the gradient."""
    encoder, _, _ = encoder_of("stmem", "tiny")
    shares = decayed_shares(encoder, 0.5)
    before = {name: p.detach().clone() for name, p in encoder.named_parameters() if p.requires_grad}
    for p in encoder.parameters():
        p.grad = torch.ones_like(p) if p.requires_grad else None
    recipe = Recipe(weight_decay=0.0, warmup_epochs=0, clip=None, schedule="constant")
    optimizer = build_optimizer(recipe, trained_parameters(encoder), shares)
    Optimization(recipe, torch.device("cpu"), optimizer).step([], Clock.at(0, 1, 1))
    for name, p in encoder.named_parameters():
        if p.requires_grad:
            step = (before[name] - p.detach()).abs().mean().item()
            assert step == pytest.approx(recipe.peak_lr * shares[name], rel=0.02)


@pytest.mark.slow
def test_its_row_says_pretrained_and_fine_tune(cohort_store: Path, tmp_path: Path) -> None:
    store, entry = Store(cohort_store), host().get(MethodEntry, "stmem")
    config = replace(SMALL, recipe=replace(SMALL.recipe, epochs=1))
    run = tmp_path / "run"
    pretrain(entry, config, store, run, PretrainOptions(device="cpu"))
    options = {"head": "fine-tune", "head_settings": ("recipe.epochs=2",)}
    encoder = pretrained_encoder(run)
    row = probe(encoder, store, "simulated", tmp_path / "r", **options)
    assert (row.weights, row.head.split()[0]) == ("pretrained", "fine-tune")
    assert [epoch["epoch"] for epoch in row.training] == [1, 2]
    assert "peak lr 6.66667e-05" in row.facts.head["training"]  # two epochs of a warm-up of three
    again = probe(encoder, store, "simulated", tmp_path / "r2", **options)
    assert again.classes == row.classes  # the first left the encoder as it was


def test_what_fine_tuning_refuses() -> None:
    entry = host().get(HeadEntry, "fine-tune")
    for wrong in ("layer_decay=0", "layer_decay=1.5"):
        with pytest.raises(ConfigError, match="layer_decay"):
            head_config(entry, [wrong])
    with pytest.raises(ConfigError, match="start"):
        head_config(entry, ["start=knn"])
    stmem = host().get(MethodEntry, "stmem")
    with pytest.raises(RunError, match="trains the encoder itself"):
        check_head(entry, stmem)
    for wrong in ("knn", "fine-tune", "own"):
        with pytest.raises(RunError, match=f"head {wrong} cannot be trained with an encoder.*linear, .*hug"):
            check_trained_with(wrong, stmem)
    with pytest.raises(RunError, match="stmem gives no per_lead features, which head hug reads"):
        check_trained_with("hug", replace(stmem, features=("tokens",)))


@pytest.mark.parametrize("wrong", ["knn", "hugg"])
def test_a_probe_refuses_it_before_it_trains(wrong: str, cohort_store: Path) -> None:
    choice = EncoderChoice(method="stmem", weights="random-init", preset="tiny")
    asked = ProbeRequest(str(cohort_store), "simulated", choice, head="fine-tune", head_settings=(f"head={wrong}",))
    with pytest.raises(EcgkitError, match=wrong):
        Probe(asked)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "more"), [("random-init", ()), ("random-init", ("head=hug", "start=probe")), ("scratch", ())]
)
def test_two_processes_train_as_one_does(
    cohort_store: Path, tmp_path: Path, weights: str, more: tuple[str, ...]
) -> None:
    settings = ("width=16", "depth=1", "heads=1", "head_width=16", "signal.eval_starts=[0.5]")
    choice = EncoderChoice(method="stmem", weights=weights, preset="tiny", settings=settings)  # type: ignore[arg-type]
    recipe = ("recipe.epochs=2", "recipe.precision=fp32", "recipe.batch_size=15", "recipe.warmup_epochs=1")
    request = ProbeRequest(
        str(cohort_store),
        "simulated",
        choice,
        head="linear" if weights == "scratch" else "fine-tune",
        head_settings=() if weights == "scratch" else (*recipe, *more),
        epochs=2 if weights == "scratch" else None,
        device="cpu",
        cache=None,
    )
    rows, scores = [], []
    for workers in (1, 2):
        made = Probe(replace(request, workers=workers)).fit()
        rows.append(made.training)
        scores.append(made.probabilities)
    # A part of a batch is multiplied in another order; over some steps of AdamW that grows, but no further.
    np.testing.assert_allclose(scores[1], scores[0], rtol=0, atol=2e-4)
    for one, two in zip(*rows, strict=True):
        assert two["train_loss"] == pytest.approx(one["train_loss"], abs=2e-5)
