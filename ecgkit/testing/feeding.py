"""Checks of a method's inputs: supplies are declared, groups stay together, and views are repeatable."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ecgkit.methods import VIEWS, Batch
from ecgkit.testing.case import Case
from ecgkit.testing.encoding import encoded
from ecgkit.testing.learning import losses_of
from ecgkit.testing.result import CheckFailed, CheckSkipped
from ecgkit.training.data import Epochs
from ecgkit.training.processes import Processes

CUTS = ((1, 2), (2, 1), (2, 2), (3, 1))  # accumulated parts and processes


class Asked(Mapping[str, Any]):
    """The contents of a batch besides the signal; it records the names that are read."""

    def __init__(self, extra: Mapping[str, Any]) -> None:
        self._extra = extra
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return self._extra[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._extra)

    def __len__(self) -> int:
        return len(self._extra)


def check_supplies(case: Case) -> None:
    """The training step and the encoder read only declared supplies."""
    method, batch = case.method(), case.batch()
    _check_asked(batch, case.needs, lambda b: losses_of(method, b), "training_step", "needs of the MethodEntry")
    encoder = method.eval().encoder
    _check_asked(batch, encoder.needs, lambda b: encoded(method, b), "the encoder", "Encoder.needs")


def _check_asked(batch: Batch, declared: tuple[str, ...], use: Callable[[Batch], object], who: str, where: str) -> None:
    extra = Asked(batch.extra)
    try:
        use(replace(batch, extra=extra))
    except KeyError:
        if extra.names <= {*declared, VIEWS}:
            raise
    undeclared = sorted(extra.names - {*declared, VIEWS})
    if undeclared:
        raise CheckFailed(f"{who} asks for {', '.join(undeclared)}", f"it in the {where}")


def check_sampler(case: Case) -> None:
    """The sampler gives whole groups of its rows, depends only on its generator, and no group is split."""
    sampler = case.setup.sampler
    if sampler is None:
        raise CheckSkipped("the method has no sampler")
    rows = _rows_of_one_lead_set(case)
    first, again, later = (sampler(rows, np.random.default_rng([0, epoch])) for epoch in (0, 0, 1))
    if first.ndim != 2 or first.shape[1] != sampler.group or not np.isin(first, rows).all():
        raise CheckFailed(
            f"the sampler gives {list(first.shape)} with rows from {first.min()} to {first.max()}",
            f"[n, {sampler.group}] of the rows that it was given",
        )
    if not np.array_equal(first, again):
        raise CheckFailed(
            "the sampler gives other groups for the same epoch", "the same", "Draw from the generator that it is given."
        )
    if len(first) != len(later):
        raise CheckFailed(f"the sampler gives {len(first)} groups in one epoch and {len(later)} in another", "as many")
    whole = _groups(case, 1, 1, sampler.group)
    torn = [cut for cut in CUTS if _groups(case, *cut, sampler.group) != whole]
    if torn:
        parts, processes = torn[0]
        raise CheckFailed(f"{parts} accumulated parts in {processes} processes tear groups apart", "whole groups")


def _rows_of_one_lead_set(case: Case) -> Any:
    setup = case.setup
    present = setup.view.present[setup.split.train]
    _, lead_set, counts = np.unique(present, axis=0, return_inverse=True, return_counts=True)
    return setup.split.train[lead_set.ravel() == int(counts.argmax())]


def _groups(case: Case, parts: int, processes: int, group: int) -> list[set[tuple[int, ...]]]:
    """Return the counted groups in each step of an epoch."""
    setup = case.variant(accumulate=parts, batch_size=12 * group)
    plans = [setup.plan(Processes(size=processes, rank=rank)).epoch(0) for rank in range(processes)]
    steps = []
    for pieces in zip(*plans, strict=True):
        counted = [piece.rows[: piece.counted] for own in pieces for piece in own]
        steps.append({tuple(map(int, rows)) for some in counted for rows in some.reshape(-1, group)})
    return steps


def check_augmentations(case: Case) -> None:
    """An augmented view depends only on the seed, the epoch, the record and the view's number."""
    setup = case.setup
    if VIEWS not in setup.supplies:
        raise CheckSkipped("the method asks for no views")
    rows = case.batch().rows.numpy()

    def views(epoch: int, rows: Any) -> torch.Tensor:
        found: torch.Tensor = Epochs(setup.view, 0, setup.supplies)[epoch, rows].extra[VIEWS]
        return found

    first = views(0, rows)
    views(1, rows)  # whatever else is made in between
    for what, found in (
        ("made again", views(0, rows)),
        ("made in another order", views(0, rows[::-1].copy()).flip(0)),
        ("made alone", torch.cat([views(0, rows[i : i + 1]) for i in range(len(rows))])),
    ):
        if not torch.equal(first, found):
            raise CheckFailed(
                f"the views of a record differ when they are {what}",
                "the same views",
                "Draw only from the augmentation's generator, and keep no state.",
            )
