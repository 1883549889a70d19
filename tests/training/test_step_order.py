"""The order of one optimiser step, with parts that are accumulated and a teacher that follows, against stored values.

The stored training uses the learning rate of a step's beginning, where a `Recipe` uses that of its end.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Encoder, Features, Losses, Method
from ecgkit.nn.ema import follow, teacher_of
from ecgkit.recipe import Recipe
from ecgkit.schedules import cosine
from ecgkit.training.engine import Engine
from ecgkit.training.plan import cut
from ecgkit.training.processes import Processes

Vectors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class FromTheBeginning(Recipe):
    """Half a cosine to 0, by the steps that are complete before each step."""

    def lr_at(self, epoch: float, steps_per_epoch: int | None = None) -> float:
        assert steps_per_epoch is not None
        return cosine(self.lr, 0, (epoch * steps_per_epoch - 1) / (self.epochs * steps_per_epoch))


class Line(Encoder):
    """y = w x for the only sample of each lead, with a running mean of all inputs."""

    mean: Tensor

    def __init__(self, weight: NDArray[np.float64]) -> None:
        super().__init__()
        self.width = len(weight)
        self.weight = nn.Parameter(torch.from_numpy(weight).clone())
        self.register_buffer("mean", torch.zeros(weight.shape[1], dtype=torch.float64))

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        return Features(pooled=signal @ self.weight.T)


class Byol(Method):
    """BYOL without heads: the two views are the batch's two leads."""

    def __init__(self, weight: NDArray[np.float64], momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.encoder: Line = Line(weight)
        self.teacher = teacher_of(self.encoder)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        student = self.encoder.encode(batch).pooled
        with torch.no_grad():
            target = self.teacher.encode(batch).pooled
            self.encoder.mean.mul_(0.9).add_(batch.signal.mean((0, 1)), alpha=0.1)
        agreement = torch.cosine_similarity(student, target.flip(1), dim=-1, eps=1e-12).sum(1)
        return Losses({"byol": (4 - 2 * agreement).mean()})

    def after_step(self, clock: Clock) -> None:
        follow(self.teacher, self.encoder, cosine(self.momentum, 1, clock.progress), buffers=True)


@pytest.fixture(scope="module")
def vectors(golden: Path) -> Vectors:
    with np.load(golden / "ssl_step_order.npz") as file:
        return {name: file[name] for name in file.files}


def engine_of(config: dict[str, Any], method: Method) -> Engine:
    recipe = FromTheBeginning(
        epochs=config["epochs"],
        batch_size=config["batch"],
        accumulate=config["accumulate"],
        lr=config["lr"],
        weight_decay=config["weight_decay"],
        momentum=config["sgd_momentum"],
        optimizer="sgd",
        clip=None,
        precision="fp32",
    )
    return Engine(method, recipe, Processes(), compile=False, idle=False)


def steps_of(vectors: Vectors, config: dict[str, Any], engine: Engine, first: int, last: int) -> Iterator[float]:
    """Train from one step to before another; yield the loss of each step."""
    pieces = cut(np.arange(config["batch"]), parts=config["accumulate"], processes=1, rank=0)
    for s in range(first, last):
        views = torch.from_numpy(vectors["views"][s]).transpose(0, 1)  # [B, view, features]
        rows = [torch.from_numpy(piece.rows) for piece in pieces]
        batches = iter([Batch(views[part], torch.arange(2), part) for part in rows])
        clock = Clock.at(s, config["epochs"] * config["steps_per_epoch"], config["epochs"])
        done = engine.step(pieces, batches, clock)
        yield float(sum(piece.weight * float(part["loss"]) for piece, part in zip(pieces, done, strict=True)))


def test_the_teacher_follows_once_after_each_step(vectors: Vectors) -> None:
    config = json.loads(str(vectors["config"]))
    method = Byol(vectors["w0"], config["momentum_start"])
    engine = engine_of(config, method)
    for s, loss in enumerate(steps_of(vectors, config, engine, 0, config["epochs"] * config["steps_per_epoch"])):
        student, teacher = method.encoder, method.teacher
        found = {"loss": loss, "w": student.weight, "teacher": teacher.weight}
        found |= {"student_buffer": student.mean, "teacher_buffer": teacher.mean}
        for name, value in found.items():
            plain = value.detach() if isinstance(value, Tensor) else value
            np.testing.assert_allclose(plain, vectors[f"after/{name}{s}"], atol=1e-8, rtol=1e-7, err_msg=f"{name}{s}")


def test_a_resumed_training_is_the_same_to_the_bit(vectors: Vectors) -> None:
    config = json.loads(str(vectors["config"]))
    stop, end = config["resume_after_step"], config["epochs"] * config["steps_per_epoch"]
    methods = [Byol(vectors["w0"], config["momentum_start"]) for _ in range(3)]
    straight, stopped, resumed = methods
    list(steps_of(vectors, config, engine_of(config, straight), 0, end))
    first = engine_of(config, stopped)
    list(steps_of(vectors, config, first, 0, stop))
    resumed.load_state_dict(stopped.state_dict())
    second = engine_of(config, resumed)
    for optimizer, saved in zip(second.optimization.optimizers, first.optimization.optimizers, strict=True):
        optimizer.load_state_dict(saved.state_dict())
    list(steps_of(vectors, config, second, stop, end))
    for (name, a), b in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
