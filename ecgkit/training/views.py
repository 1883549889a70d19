"""The augmented views of a batch, made in the loading process."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.methods import VIEWS
from ecgkit.signal.augment.base import Layout
from ecgkit.signal.augment.views import Pipeline, Views
from ecgkit.signal.spec import SignalSpec

Read = Callable[[NDArray[np.int64]], tuple[Tensor, NDArray[np.int64]]]


@dataclass(frozen=True)
class AugmentedViews:
    """Makes the augmented views of records.

    Args:
        pipeline: The augmentations.
        spec: The model's input.
        seed: Seed of the training.
        epoch: Number of the epoch. None makes the same views each time, for validation.
    """

    pipeline: Pipeline
    spec: SignalSpec
    seed: int = 0
    epoch: int | None = None

    def in_epoch(self, epoch: int) -> "AugmentedViews":
        """Return the maker of an epoch's views."""
        return replace(self, epoch=epoch)

    def of(
        self, rows: NDArray[np.int64], leads: tuple[str, ...], room: NDArray[np.int64], shared: Any, read: Read
    ) -> Tensor:
        """Return the views of records, ``[B, V, L, T]``.

        Args:
            rows: ``[B]``, the records.
            leads: Names of the L leads.
            room: ``[B]``, the latest sample at which a crop of each record may start.
            shared: The batch's own crops ``[B, L, T]`` and the number of real samples of each, ``[B]``.
            read: Returns crops and lengths, as in `shared`, for other starts.
        """
        views = []
        for view in range(self.pipeline.views.count):
            crops, lengths = read(self._starts(rows, room, view)) if self.pipeline.views.crops == "own" else shared
            views.append(self._augmented(crops, lengths, rows, leads, view))
        return torch.stack(views, dim=1)

    def _augmented(
        self, crops: Tensor, lengths: NDArray[np.int64], rows: NDArray[np.int64], leads: tuple[str, ...], view: int
    ) -> Tensor:
        made = torch.zeros_like(crops)
        for x, y, length, row in zip(crops.numpy(), made.numpy(), lengths, rows, strict=True):
            layout = Layout(leads, int(length), self.spec.fs)
            if length:  # what follows is padding, and stays zero
                y[:, :length] = self.pipeline(x[:, :length], layout, view, self._key(row, view, 2))
        return made

    def _starts(self, rows: NDArray[np.int64], room: NDArray[np.int64], view: int) -> NDArray[np.int64]:
        """Return the start of a view's own crop, ``[B]``."""
        if self.spec.crop == "start":
            return np.zeros_like(room)
        share = [np.random.default_rng(self._key(row, view, 3)).random() for row in rows]
        return (np.array(share) * (room + 1)).astype(np.int64)

    def _key(self, row: int, view: int, purpose: int) -> list[int]:
        return [self.seed, 0 if self.epoch is None else self.epoch + 1, int(row), view, purpose]


def views_of(config: Any, seed: int = 0) -> dict[str, AugmentedViews]:
    """Return the view makers of a method's config, by their name in a batch.

    Raises:
        PluginError: An augmentation is unknown.
        ConfigError: A setting of an augmentation does not fit.
    """
    views = getattr(config, "views", None)
    return {VIEWS: AugmentedViews(Pipeline(views), config.signal, seed)} if isinstance(views, Views) else {}
