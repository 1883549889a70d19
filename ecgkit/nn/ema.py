"""A teacher whose weights are a moving average of a student's, as in BYOL, MoCo-v3, DINO, data2vec and JEPA.

A method makes its teacher once with `teacher_of`, calls it under `torch.no_grad` in `training_step`, and moves it once
after each optimiser step, in `after_step`, with `follow`. The momentum comes from the clock, such as
``cosine(0.996, 1.0, clock.progress)``.

Buffers, such as the running statistics of a BatchNorm: a teacher that runs in training mode keeps its own buffers, and
only its parameters follow the student. A teacher that runs in evaluation mode, or that a probe will use, takes the
student's buffers too: floating-point buffers by the same average, whole numbers by copying.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
PRECISE = {torch.float32, torch.float64}


def teacher_of(student: M) -> M:
    """Return a copy of a student, with the same weights, that no gradient reaches."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float, *, buffers: bool = False) -> None:
    """Move a teacher: ``teacher <- momentum teacher + (1 - momentum) student``, in float32 or better.

    Args:
        teacher: The module that `teacher_of` returned.
        student: The module that the teacher was made from.
        momentum: Share of the teacher that is kept, 0 to 1.
        buffers: Whether to average floating-point buffers in the same way and copy whole-number ones.
    """
    _average(dict(teacher.named_parameters()), dict(student.named_parameters()), momentum)
    if buffers:
        _average(dict(teacher.named_buffers()), dict(student.named_buffers()), momentum)


def _average(own: dict[str, Tensor], other: dict[str, Tensor], momentum: float) -> None:
    plain = [name for name, value in own.items() if {value.dtype, other[name].dtype} <= PRECISE]
    if plain:  # in one call for all, and in place
        values = [own[name] for name in plain]
        torch._foreach_mul_(values, momentum)
        torch._foreach_add_(values, [other[name].to(own[name].dtype) for name in plain], alpha=1 - momentum)
    done = set(plain)
    for name, value in own.items():
        if name in done:
            continue
        if value.is_floating_point():
            rounded = value.to(torch.float32).mul(momentum).add(other[name].to(torch.float32), alpha=1 - momentum)
            value.copy_(rounded)
        else:
            value.copy_(other[name])
