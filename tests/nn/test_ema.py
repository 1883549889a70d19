"""A teacher that follows its student: a whole small training against stored values, and what happens to buffers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgkit.nn.ema import follow, teacher_of
from ecgkit.schedules import cosine


class Line(nn.Module):
    """y = w x, with a running mean of its inputs."""

    mean: Tensor

    def __init__(self, weight: NDArray[np.float64]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(weight).clone())
        self.register_buffer("mean", torch.zeros(weight.shape[1], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


def byol(student: Line, teacher: Line, a: Tensor, b: Tensor) -> Tensor:
    def similarity(x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            target = teacher(y)
        return torch.cosine_similarity(student(x), target, dim=1, eps=1e-12)

    return (4 - 2 * similarity(a, b) - 2 * similarity(b, a)).mean()


def train(stored: dict[str, NDArray[Any]], config: dict[str, Any], order: str) -> list[dict[str, Tensor]]:
    """Return what each optimiser step leaves: the loss, the student and the teacher with their buffers."""
    student = Line(stored["w0"])
    teacher = teacher_of(student)
    S, accumulate = config["epochs"] * config["steps_per_epoch"], config["accumulate"]
    decay, momentum = config["weight_decay"], config["sgd_momentum"]
    optimizer = torch.optim.SGD(student.parameters(), lr=1.0, momentum=momentum, weight_decay=decay)
    history = []
    for s in range(S):
        optimizer.param_groups[0]["lr"] = cosine(config["lr"], 0, s / S)
        m = cosine(config["momentum_start"], 1, s / S)
        if order == "before":
            follow(teacher, student, m, buffers=True)
        views = torch.from_numpy(stored["views"][s])
        loss = torch.zeros((), dtype=torch.float64)
        for part in np.array_split(np.arange(config["batch"]), accumulate):
            piece = byol(student, teacher, *views[:, part]) * len(part) / config["batch"]
            piece.backward()
            loss = loss + piece.detach()
            student.mean.mul_(0.9).add_(views[:, part].mean((0, 1)), alpha=0.1)
            if order == "after_every_part":
                follow(teacher, student, m, buffers=True)
        optimizer.step()
        optimizer.zero_grad()
        if order == "after":
            follow(teacher, student, m, buffers=True)
        state = {"w": student.weight, "teacher": teacher.weight}
        buffers = {"student_buffer": student.mean, "teacher_buffer": teacher.mean}
        history.append({"loss": loss, **{name: value.detach().clone() for name, value in {**state, **buffers}.items()}})
    return history


@pytest.mark.parametrize("order", ["after", "before", "after_every_part"])
def test_a_training_step_by_step(golden: Path, order: str) -> None:
    with np.load(golden / "ssl_step_order.npz") as file:
        stored = {name: file[name] for name in file.files}
    config = json.loads(str(stored["config"]))
    for step, state in enumerate(train(stored, config, order)):
        for name, value in state.items():
            if f"{order}/{name}{step}" in stored:
                np.testing.assert_allclose(value, stored[f"{order}/{name}{step}"], atol=1e-8, rtol=1e-7, err_msg=name)


def test_buffers_follow_only_when_asked() -> None:
    student = nn.BatchNorm1d(3)
    teacher = teacher_of(student)
    student(torch.randn(8, 3) + 5)
    follow(teacher, student, 0.5)
    assert torch.equal(teacher.running_mean, torch.zeros(3))  # type: ignore[arg-type]
    follow(teacher, student, 0.5, buffers=True)
    assert student.running_mean is not None
    assert torch.equal(teacher.running_mean, student.running_mean / 2)  # type: ignore[arg-type]
    assert teacher.num_batches_tracked == student.num_batches_tracked


def test_half_precision_is_averaged_in_single() -> None:
    student = nn.Linear(1, 1, bias=False).bfloat16()
    teacher = teacher_of(student)
    with torch.no_grad():
        teacher.weight.fill_(1.0)
        student.weight.fill_(2.0)
    follow(teacher, student, 0.25)
    assert teacher.weight.item() == 1.75
    assert teacher.weight.dtype == torch.bfloat16
    assert not any(p.requires_grad for p in teacher.parameters())
