"""Schedules: pure functions that give a learning rate, a weight decay, a momentum or a temperature during training.

`p` is the progress of training, ``s / S``, where s of S optimiser steps are complete. So p is 0 in the first step and
stays below 1. Progress below 0 or above 1 counts as 0 or 1, so every schedule keeps its end value afterwards. Other
conventions only need another argument: ``s / (S - 1)`` reaches the end value in the last step, ``(s + 1) / S``
counts the current step, and ``epoch / epochs`` makes a staircase.

`t` is a time in any unit, such as steps or epochs. Functions that take it also take a period or a milestone in the same
unit, so that whole steps fall exactly on a boundary.

Sources: cosine, Loshchilov and Hutter, SGDR, arXiv 1608.03983, equation 5; inverse square root, Vaswani et al.,
arXiv 1706.03762, section 5.3; cosine momentum of a teacher, Grill et al., BYOL, arXiv 2006.07733, section 3.3.
"""

import math
from collections.abc import Sequence


def linear(start: float, end: float, p: float) -> float:
    """Return the value on a straight line from `start` to `end`."""
    return start + (end - start) * _within(p)


def cosine(start: float, end: float, p: float) -> float:
    """Return the value on half a cosine from `start` to `end`, flat at both."""
    return end + (start - end) * (1 + math.cos(math.pi * _within(p))) / 2


def warm_up(peak: float, p: float, share: float, start: float = 0.0) -> float:
    """Return the value on a straight line from `start` to `peak`, which is reached at progress `share`."""
    return linear(start, peak, p / share) if share > 0 else peak


def after_warm_up(p: float, share: float) -> float:
    """Return the progress of the schedule after a warm-up: 0 at progress `share`, 1 at progress 1."""
    return _within((p - share) / max(1 - share, 1e-12))


def inverse_square_root(peak: float, t: float, warmup: float) -> float:
    """Return ``peak sqrt(warmup / t)`` after a linear warm-up from 0 to `peak`.

    Args:
        peak: The value at the end of the warm-up.
        t: The time.
        warmup: Length of the warm-up, above 0, in the unit of `t`.
    """
    return peak * t / warmup if t < warmup else peak * math.sqrt(warmup / t)


def steps(start: float, t: float, milestones: Sequence[float], factor: float) -> float:
    """Return `start`, multiplied by `factor` once for each milestone that is reached."""
    return start * factor ** sum(t >= milestone for milestone in milestones)


def restarts(start: float, end: float, t: float, period: float, growth: float = 1.0) -> float:
    """Return the value on a cosine from `start` to `end` that begins again after every period.

    Args:
        start: The value at the beginning of each period.
        end: The value that each period approaches.
        t: The time, at least 0.
        period: Length of the first period, above 0, in the unit of `t`.
        growth: Each period is this many times as long as the one before it; at least 1.
    """
    if growth == 1:
        return cosine(start, end, t % period / period)
    while t >= period:
        t, period = t - period, period * growth
    return cosine(start, end, t / period)


def _within(p: float) -> float:
    return min(1.0, max(0.0, p))
