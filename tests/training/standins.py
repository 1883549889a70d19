"""Methods small enough for tests of the engine, and what is asked of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ecgkit.entries import MethodEntry
from ecgkit.methods import Batch, Clock, Encoder, Features, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics, info_nce
from ecgkit.nn.ema import follow, teacher_of
from ecgkit.optimizers import parameter_groups
from ecgkit.recipe import Recipe
from ecgkit.schedules import cosine
from ecgkit.signal.augment.views import Views
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.training.loop import PretrainOptions, Watcher, pretrain
from ecgkit.training.meters import TIMING
from ecgkit.training.run import read_metrics
from ecgkit.training.unfinished import unfinished
from ecgkit.training.weights import load_weights


@dataclass(frozen=True)
class PairConfig:
    """A contrastive method's config."""

    noise: float = 0.0
    signal: SignalSpec = SignalSpec(fs=100, seconds=2, window=2)
    recipe: Recipe = Recipe(epochs=2, batch_size=16, lr=0.1, warmup_epochs=0, precision="fp32")


class Summaries(Encoder):
    """Mean absolute value of each lead, then two blocks."""

    width = 8

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 8)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        x = self.first(signal.abs().mean(-1))
        for block in self.blocks:
            x = x + block(x).tanh()
        return Features(pooled=x)


class Pairs(Method):
    """Pairs a record with itself in noise, over all processes; the noise is torch's, the temperature learnt."""

    def __init__(self, config: PairConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: Summaries = Summaries()
        self.other = nn.Linear(12, 8)
        self.temperature = nn.Parameter(torch.tensor([0.5]))

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        noisy = batch.signal + self.config.noise * torch.randn_like(batch.signal)
        z = self.encoder.encode(replace(batch, signal=noisy)).pooled
        pairs = info_nce(z, self.other(batch.signal.std(-1)), self.temperature)
        stats = {} if self.training else embedding_statistics(z)
        return Losses({"pairs": pairs, "size": 0.01 * z.square().mean()}, stats)


@dataclass(frozen=True)
class ViewConfig(PairConfig):
    """A config that asks for augmented views."""

    views: Views = Views()


class TwoViews(Pairs):
    """Compares two augmented views of each record."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        a, b = (self.encoder.encode(view).pooled for view in batch.views)
        return Losses({"views": info_nce(a, b, self.temperature) + 0 * self.other(batch.signal.std(-1)).mean()})


class Plain(Pairs):
    """Each record for itself, without chance: the same for any cut of a batch."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        error = self.encoder.encode(batch).pooled - self.other(batch.signal.std(-1)) - 1
        return Losses({"error": error.square().mean()})


class Taught(Plain):
    """Follows an EMA teacher too, with SGD on the encoder and AdamW on the rest, whose rate stays as it is."""

    steps: Tensor

    def __init__(self, config: PairConfig) -> None:
        super().__init__(config)
        self.temperature.requires_grad_(False)
        self.teacher = teacher_of(self.encoder)
        self.register_buffer("steps", torch.zeros(()))

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        losses = super().training_step(batch, clock)
        with torch.no_grad():
            target = self.teacher.encode(batch).pooled
        taught = (self.encoder.encode(batch).pooled - 2 * target).square().mean()
        return Losses({**losses.parts, "taught": clock.progress * taught})

    def after_step(self, clock: Clock) -> None:
        follow(self.teacher, self.encoder, cosine(0.9, 1, clock.progress))
        self.steps += 1

    def optimizer(self, recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> list[torch.optim.Optimizer]:
        encoder = [p for name, p in parameters.items() if name.startswith("encoder.")]
        rest = {name: p for name, p in parameters.items() if not name.startswith("encoder.")}
        constant = [{**group, "constant": True} for group in parameter_groups(recipe, rest)]
        sgd = torch.optim.SGD(encoder, lr=recipe.peak_lr, momentum=0.9, weight_decay=recipe.weight_decay)
        return [sgd, torch.optim.AdamW(constant, lr=1e-3)]


def entry(name: str) -> MethodEntry:
    here = "tests.training.standins"
    return MethodEntry(
        name=name, summary="", target=f"{here}:{name}", config=f"{here}:PairConfig", presets="", paper=""
    )


def train(store: Path, out: Path, name: str = "Pairs", config: PairConfig = PairConfig(), **options: Any) -> Any:
    watcher = options.pop("watcher", Watcher())
    return pretrain(entry(name), config, Store(store), out, PretrainOptions(device="cpu", **options), watcher)


def train_one(rank: int, *arguments: Any, **options: Any) -> None:
    """One process of a training; the last argument may say at which step it kills itself."""
    *rest, killed_at = arguments

    def step(done: int, total: int) -> None:
        if done == killed_at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)

    train(*rest[:-1], watcher=Watcher(step=step), **rest[-1])


def outcome(run: Path) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Return what must not depend on how a training went: its curve and its weights."""
    metrics = [{k: v for k, v in line.items() if k not in TIMING} for line in read_metrics(run)]
    return metrics, load_weights(run / "model.safetensors")


def assert_equal(a: Path, b: Path, tolerance: float = 0.0) -> None:
    (metrics, weights), (other_metrics, other_weights) = outcome(a), outcome(b)
    assert [line.keys() for line in metrics] == [line.keys() for line in other_metrics]
    for line, other in zip(metrics, other_metrics, strict=True):
        for name, value in line.items():
            assert abs(value - other[name]) <= tolerance, name
    assert weights.keys() == other_weights.keys()
    for name, value in weights.items():
        assert (value - other_weights[name]).abs().max() <= tolerance, name


__all__ = ["Pairs", "Plain", "Taught", "assert_equal", "entry", "outcome", "train", "train_one", "unfinished"]
