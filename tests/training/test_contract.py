"""What a method may ask of the engine: a clock, a hook after each step, its own optimisers; and all of it resumes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from ecgkit.config import fingerprint, to_dict
from ecgkit.errors import PluginError, RunError
from ecgkit.methods import Batch, Clock, Losses
from ecgkit.optimizers import build_optimizer
from ecgkit.recipe import LATER, Recipe
from ecgkit.testing import check_method
from ecgkit.training.loop import Watcher
from ecgkit.training.optimization import Optimization, method_optimization, trained_parameters
from ecgkit.training.setup import identity_of
from ecgkit.training.weights import load_weights
from tests.processes import run_in_processes
from tests.training import standins
from tests.training.standins import PairConfig, Plain, Taught, assert_equal, train, train_one

STEPS = 7  # an epoch of the cohort
CPU = torch.device("cpu")
TAUGHT = replace(
    PairConfig(),
    recipe=replace(PairConfig().recipe, accumulate=2, weight_decay=0.1, final_weight_decay=0.3, lr=0.05),
)


class Watched(Plain):
    """Notes every call."""

    calls: ClassVar[list[tuple[str, bool, Clock]]] = []

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        self.calls.append(("step", self.training, clock))
        return super().training_step(batch, clock)

    def after_step(self, clock: Clock) -> None:
        assert not torch.is_grad_enabled()
        self.calls.append(("after", self.training, clock))


def test_the_clock_counts_optimiser_steps_and_not_calls(
    cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standins, "Plain", Watched)
    Watched.calls.clear()
    config = replace(PairConfig(), recipe=replace(PairConfig().recipe, accumulate=4))
    train(cohort_store, tmp_path / "run", "Plain", config, workers=0)
    counting, *calls = Watched.calls
    assert counting[2] == Clock.end(epochs=2) == Clock(2, 2, 2.0, 2)  # of a record's cost
    training = [(kind, clock) for kind, training, clock in calls if training]
    expected = []
    for step in range(2 * STEPS):
        clock = Clock(step, 2 * STEPS, step / STEPS, 2)
        parts = sum(1 for kind, seen in training if kind == "step" and seen.step == step)
        assert 1 <= parts <= 4
        expected += [("step", clock)] * parts + [("after", clock)]
    assert [(kind, clock.step) for kind, clock in training] == [(kind, clock.step) for kind, clock in expected]
    for (_, clock), (_, right) in zip(training, expected, strict=True):
        assert (clock.steps, clock.epochs) == (right.steps, right.epochs)
        assert clock.epoch == pytest.approx(right.epoch)
        assert clock.progress == clock.step / clock.steps
    assert {clock for _, training, clock in calls if not training} == {Clock.end(2 * STEPS, 2)}


def test_the_clock_says_when_a_step_ends() -> None:
    clocks = [Clock.at(step, 12, 3) for step in range(12)]
    assert [clock.next_epoch for clock in clocks] == [e + (i + 1) / 4 for e in range(3) for i in range(4)]
    assert [clock.epoch for clock in clocks] == [e + i / 4 for e in range(3) for i in range(4)]
    assert Clock.end(12, 3).progress == 1


def test_a_teacher_and_two_optimisers_resume_to_the_bit(cohort_store: Path, tmp_path: Path) -> None:
    undisturbed, out = tmp_path / "a", tmp_path / "b"
    train(cohort_store, undisturbed, "Taught", TAUGHT, workers=0)
    options: dict[str, Any] = {"workers": 0, "save_minutes": 0}
    run_in_processes(1, train_one, cohort_store, out, "Taught", TAUGHT, options, STEPS + 3, killed=True)
    train(cohort_store, out, "Taught", TAUGHT, workers=0, resume=True)
    assert_equal(out, undisturbed)
    weights = load_weights(out / "model.safetensors")
    assert weights["steps"] in (STEPS, 2 * STEPS)  # of the best epoch
    assert not torch.equal(weights["teacher.first.weight"], weights["encoder.first.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True])
def test_two_processes_come_to_the_teacher_of_one(cohort_store: Path, tmp_path: Path, shard: bool) -> None:
    options = {"workers": 0, "shard": shard}
    run_in_processes(2, train_one, cohort_store, tmp_path / "two", "Taught", TAUGHT, options, None)
    train(cohort_store, tmp_path / "one", "Taught", TAUGHT, workers=0)
    assert_equal(tmp_path / "one", tmp_path / "two", 1e-5)


@pytest.mark.slow
def test_a_compiled_step_follows_the_clock(cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compilations = []

    def backend(graph: Any, inputs: Any) -> Any:
        compilations.append(graph)
        return graph

    eager = lambda self: setattr(self, "_compiled_call_impl", torch.compile(self._call_impl, backend=backend))  # noqa: E731
    monkeypatch.setattr(nn.Module, "compile", eager)
    torch._dynamo.reset()
    train(cohort_store, tmp_path / "compiled", "Taught", TAUGHT, workers=0, compile=True)
    train(cohort_store, tmp_path / "plain", "Taught", TAUGHT, workers=0)
    assert_equal(tmp_path / "compiled", tmp_path / "plain", 1e-4)
    assert len(compilations) < STEPS  # a number that changes with every step must not compile every step


def test_rates_and_decay_reach_the_groups_that_want_them() -> None:
    method = Taught(TAUGHT)
    recipe = replace(TAUGHT.recipe, lr=1.0, batch_size=256, epochs=2, schedule="linear")
    optimization = method_optimization(method, recipe, CPU)
    seen = []
    for step in range(4):
        optimization.step([sum(p.square().sum() for p in trained_parameters(method).values())], Clock.at(step, 4, 2))
        seen.append([(group["lr"], group["weight_decay"]) for group in optimization.groups])
    sgd, matrices, vectors = zip(*seen, strict=True)
    assert [lr for lr, _ in sgd] == pytest.approx([0.75, 0.5, 0.25, 0])
    assert {lr for lr, _ in (*matrices, *vectors)} == {1e-3}
    assert (
        [decay for _, decay in sgd]
        == [decay for _, decay in matrices]
        == [recipe.weight_decay_at(step / 4) for step in range(4)]
    )
    assert {decay for _, decay in vectors} == {0}


def test_an_optimiser_that_forgets_a_parameter_is_refused() -> None:
    class Forgetful(Plain):
        def optimizer(self, recipe: Recipe, parameters: Any) -> torch.optim.Optimizer:
            return build_optimizer(recipe, {name: p for name, p in parameters.items() if name != "other.bias"})

    with pytest.raises(PluginError, match=r"Forgetful.optimizer holds the parameter other.bias 0 times"):
        method_optimization(Forgetful(PairConfig()), PairConfig().recipe, CPU)


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD"), ("lars", "LARS")])
def test_a_recipe_names_its_optimiser(name: Any, kind: str) -> None:
    layer = nn.Linear(3, 2)
    recipe = Recipe(optimizer=name, weight_decay=0.1, eps=1e-9, momentum=0.8, lr=0.1)
    optimizer = build_optimizer(recipe, trained_parameters(layer))
    assert type(optimizer).__name__ == kind
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0]
    group = optimizer.param_groups[0]
    assert group.get("eps", 1e-9) == 1e-9 or kind == "LARS"
    assert group.get("momentum", 0.8) == 0.8
    before = layer.weight.detach().clone()
    Optimization(recipe, CPU, optimizer).step([layer(torch.ones(1, 3)).sum()], Clock.at(99, 100, 1))
    assert not torch.equal(before, layer.weight) or recipe.lr_at(1.0) == 0
    everything = build_optimizer(replace(recipe, decayed="all"), trained_parameters(layer)).param_groups
    assert [group["weight_decay"] for group in everything] == [0.1]


def test_an_unfinished_run_of_the_first_release_is_the_same_run() -> None:
    config = PairConfig()
    old = to_dict(config)
    for setting in LATER:
        del old["recipe"][setting]
    assert fingerprint(identity_of(config)) == fingerprint(old)
    changed = replace(config, recipe=replace(config.recipe, final_lr=1e-5))
    assert fingerprint(identity_of(changed)) != fingerprint(old)


def test_a_warm_up_longer_than_the_training_is_told(cohort_store: Path, tmp_path: Path) -> None:
    told: list[str] = []
    begun: list[str] = []
    config = replace(PairConfig(), recipe=replace(PairConfig().recipe, lr=0.16, epochs=1, warmup_epochs=4))
    watcher = Watcher(warn=told.append, start=lambda beginning: begun.append(str(beginning)))
    metrics = train(cohort_store, tmp_path / "run", "Plain", config, workers=0, watcher=watcher)
    assert metrics[-1]["lr"] == pytest.approx(0.01 / 4)
    assert "reaches 0.0025 and not its peak of 0.01" in told[0]
    assert "0.0025 reached, below 0.01" in begun[0]


def test_a_method_that_compares_records_refuses_to_see_one_alone(
    cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standins.Pairs, "fewest_records", classmethod(lambda cls, config: 2))
    alone = ((1, 1, "gives Pairs 1 record to compare"), (8, 5, "in 5 accumulated parts gives Pairs 1 record"))
    for batch_size, accumulate, told in alone:
        recipe = replace(PairConfig().recipe, batch_size=batch_size, accumulate=accumulate)
        with pytest.raises(RunError, match=told):
            train(cohort_store, tmp_path / "run", config=replace(PairConfig(), recipe=recipe))
    assert not list(tmp_path.iterdir())
    seen: list[int] = []
    whole = standins.Pairs.training_step

    def noted(self: Any, batch: Batch, clock: Clock) -> Losses:
        seen.append(len(batch.rows))
        return whole(self, batch, clock)

    monkeypatch.setattr(standins.Pairs, "training_step", noted)
    recipe = replace(PairConfig().recipe, batch_size=8, accumulate=4, epochs=1)
    train(cohort_store, tmp_path / "run", config=replace(PairConfig(), recipe=recipe), workers=0)
    assert min(seen) == 2


def test_a_family_that_only_encodes_is_not_pretrained(ecgkit: Callable[..., Any], cohort_store: Path) -> None:
    shown = ecgkit("pretrain", "--method", "ecgfounder", "--data", cohort_store, "--dry-run")
    assert shown.code == 2
    text = " ".join(shown.err.split())
    assert "ecgfounder only encodes" in text
    assert "ecgkit import-weights FILE --method ecgfounder --out RUN" in text
    results = {result.check: result for result in check_method("s4", checks=("features", "learns", "resume"))}
    assert {name: result.outcome for name, result in results.items()} == {
        "features": "ok",
        "learns": "skipped",
        "resume": "skipped",
    }
    assert "no training to check" in results["learns"].why
