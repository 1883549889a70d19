"""DINO: the student's view must give the teacher's distribution over prototypes, centred and sharpened.

Caron et al., Emerging Properties in Self-Supervised Vision Transformers, arXiv 2104.14294, algorithm 1. With V views of
the student, two of the teacher, the same records, and the centre c:

    P_t = softmax((teacher_t - c) / T_t);   Q_s = log softmax(student_s / T_s)
    L = mean over the 2 V - 2 pairs t != s of mean_i (-P_t . Q_s)
    c <- 0.9 c + 0.1 mean of the teacher's logits over views and records

The loss uses the centre from before the batch. `Centre.update` moves it once per optimiser step, with what all parts of
the batch and all processes collected, so that accumulation changes nothing.
"""

import torch
from torch import Tensor, nn

from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def dino_loss(student: Tensor, teacher: Tensor, centre: Tensor, temperatures: tuple[float, float]) -> Tensor:
    """Return the loss of this process's records.

    Args:
        student: ``[V, B, K]``, logits of all views; the teacher's views come first.
        teacher: ``[2, B, K]``, logits without gradient.
        centre: ``[K]``.
        temperatures: T_s of the student and T_t of the teacher.
    """
    log_q = (student / temperatures[0]).log_softmax(-1)
    p = ((teacher - centre) / temperatures[1]).softmax(-1)
    pairs = -torch.einsum("tbk,sbk->ts", p, log_q) / student.shape[1]
    other = ~torch.eye(len(teacher), len(student), dtype=torch.bool, device=pairs.device)
    return (pairs * other).sum() / other.sum()


class Centre(nn.Module):
    """The moving mean of a teacher's logits.

    Args:
        width: K.
        momentum: Share of the centre that stays.
    """

    value: Tensor
    total: Tensor
    count: Tensor

    def __init__(self, width: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(width))
        # What a step collects; buffers, so that whoever tries a step out can put everything back.
        self.register_buffer("total", torch.zeros(width), persistent=False)
        self.register_buffer("count", torch.zeros(()), persistent=False)

    def collect(self, logits: Tensor) -> None:
        """Add logits ``[..., N, K]`` of all processes' records to what the next `update` takes the mean of."""
        rows = logits.detach().to(self.total.dtype).flatten(0, -2)
        self.total += rows.sum(0)
        self.count += len(rows)

    def update(self) -> None:
        """Move the centre to the mean of what was collected since the last update."""
        moved = self.momentum * self.value + (1 - self.momentum) * self.total / self.count.clamp(min=1)
        self.value.copy_(torch.where(self.count > 0, moved, self.value))
        self.total.zero_()
        self.count.zero_()


def teacher_temperature(epoch: float, warmup_epochs: int, start: float, end: float) -> float:
    """Return T_t: from `start` to `end` on a line over the first epochs, both included, constant within each epoch."""
    if warmup_epochs < 2 or epoch >= warmup_epochs:
        return end
    return start + (end - start) * int(epoch) / (warmup_epochs - 1)
