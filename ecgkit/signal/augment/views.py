"""Augmented views of a record, as a method's config asks for them.

A method whose config has a field ``views`` of type `Views` finds them in every batch, see `ecgkit.methods.Batch.views`.
Each view is made after normalisation, so amplitudes are in the units of the model's input. Its draws depend on the
seed, the epoch, the record and the view alone, so neither the number of loading processes nor a resumed training
changes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from ecgkit.config import build
from ecgkit.entries import AugmentationEntry
from ecgkit.errors import ConfigError
from ecgkit.plugins import host
from ecgkit.signal.augment.base import Augmentation, Layout, Signal

STRICT = {"extra": "forbid"}  # pydantic: a misspelt field is an error


@dataclass(frozen=True)
class Augment:
    """One augmentation of a view.

    Args:
        name: Name of the augmentation. List them with: ecgkit plugins list
        probability: How often it is applied.
        settings: Settings that differ from its own defaults, by name.
        views: Numbers of the views that it is applied to, from 0 on; empty for all.
    """

    __pydantic_config__: ClassVar = STRICT

    name: str
    probability: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    views: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability {self.probability:g} of {self.name} must be between 0 and 1")


# Ours, for methods that compare two views. Nothing in it changes rhythm or axis, and so the label.
TWO_VIEWS = (
    Augment("crop_resize", settings={"share": [0.5, 1.0]}),
    Augment("timeout", 0.5, {"share": [0.2, 0.4]}),
    Augment("scale", settings={"factor": [0.7, 1.4], "shared": True}),
    Augment("wander", 0.3, {"largest": 0.1}),
    Augment("gauss", 0.5, {"sigma": 0.01}),
)


@dataclass(frozen=True)
class Views:
    """How many augmented copies of each record a batch holds, and how they are made.

    Args:
        count: Number of views, V.
        crops: ``shared``: all views are of the batch's own crop. ``own``: each view is of a crop of its own.
        augmentations: What is done to a view, in this order.
    """

    __pydantic_config__: ClassVar = STRICT

    count: int = 2
    crops: Literal["shared", "own"] = "shared"
    augmentations: tuple[Augment, ...] = TWO_VIEWS

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count {self.count} must be at least 1")
        beyond = [a.name for a in self.augmentations if any(not 0 <= view < self.count for view in a.views)]
        if beyond:
            raise ValueError(f"{beyond[0]} names a view that is not there; {self.count} views are numbered from 0")


class Pipeline:
    """The augmentations of views, loaded.

    Args:
        views: What is asked for.

    Raises:
        PluginError: No augmentation has this name, or it cannot be loaded.
        ConfigError: A setting does not fit.
    """

    def __init__(self, views: Views) -> None:
        self.views = views
        self._steps = [(augment, load_augmentation(augment)) for augment in views.augmentations]

    def __call__(self, x: Signal, layout: Layout, view: int, key: Sequence[int]) -> Signal:
        """Return one view of a signal, ``[L, T]``.

        Args:
            x: ``[L, T]``, all of it real.
            layout: The form of `x`.
            view: Number of the view.
            key: What the draws depend on, whole numbers from 0 on.
        """
        rng = np.random.default_rng(list(key))
        for augment, augmentation in self._steps:
            if (not augment.views or view in augment.views) and rng.random() < augment.probability:
                x = augmentation(x, layout, rng)
        return x


def load_augmentation(augment: Augment) -> Augmentation:
    """Return an augmentation with its settings.

    Raises:
        PluginError: No augmentation has this name, or it cannot be loaded.
        ConfigError: A setting does not fit.
    """
    kind = host().get(AugmentationEntry, augment.name).load()
    if not (isinstance(kind, type) and issubclass(kind, Augmentation)):
        raise ConfigError(f"augmentation {augment.name} is {kind!r}", "a subclass of Augmentation")
    return build(kind, dict(augment.settings), source=f"augmentation {augment.name}")
