"""Choose the config of a method family: a preset, changed by a file and by single settings."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch

from ecgkit.config import merge, override, read_yaml
from ecgkit.entries import MethodEntry, load_target
from ecgkit.errors import ConfigError
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec


class MethodConfig(Protocol):
    """The fields that every family's config has besides its own; a frozen dataclass.

    A config may have a field ``views`` of type `ecgkit.signal.augment.views.Views`; see `Batch.views`.
    """

    @property
    def signal(self) -> SignalSpec:
        """The signal contract: the model's input."""

    @property
    def recipe(self) -> Recipe:
        """The default training recipe."""


def method_config(entry: MethodEntry, preset: str = "") -> tuple[str, Any]:
    """Return the name and the config of a family's preset; the first preset is the default.

    Raises:
        ConfigError: The family has no such preset.
    """
    presets = load_target(entry.presets, f"the presets of {entry.name}")
    name = preset or next(iter(presets))
    if name not in presets:
        raise ConfigError(f"{entry.name} has no preset {preset!r}", f"one of {', '.join(presets)}")
    return name, presets[name]


LITTLE = 4  # times the least work of the presets


def lightest_preset(entry: MethodEntry) -> str:
    """Return the first of the family's presets that ask for little work: parameters times samples times epochs.

    The models are built without weights. Presets that cannot be built so are left out; empty if none can.
    """
    work = {}
    for name, config in load_target(entry.presets, f"the presets of {entry.name}").items():
        with suppress(Exception), torch.device("meta"):
            parameters = sum(p.numel() for p in entry.load()(config).parameters())
            work[name] = parameters * config.signal.samples * config.recipe.epochs
    return next((name for name in work if work[name] <= LITTLE * min(work.values())), "")


def chosen_config(
    entry: MethodEntry, preset: str = "", file: Path | None = None, assignments: Sequence[str] = ()
) -> tuple[str, Any]:
    """Return the preset's name and the config: the preset, changed by a file, then by single settings.

    Args:
        entry: The method family.
        preset: Name of the preset; empty for the first.
        file: YAML file of settings, or the ``config.yaml`` of a run.
        assignments: Settings such as ``depth=4``.

    Raises:
        ConfigError: A preset, key or value is not valid.
    """
    name, config = method_config(entry, preset)
    if file is not None:
        values = read_yaml(file)
        if values.get("method", entry.name) != entry.name:
            raise ConfigError(f"{file} holds settings of {values['method']}, not of {entry.name}")
        # A run's config.yaml holds the settings together with facts about the run.
        config = merge(config, values["config"] if "method" in values else values, source=str(file))
    return name, override(config, assignments)
