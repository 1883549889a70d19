"""From a family and its presets to a config, changed by a file and by single settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ecgkit.config import merge, override, read_yaml
from ecgkit.entries import MethodEntry, load_target
from ecgkit.errors import ConfigError
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec


class MethodConfig(Protocol):
    """What every family's config holds besides its own fields; a frozen dataclass.

    A config may have a field ``views`` of type `ecgkit.signal.augment.views.Views`; see `Batch.views`.
    """

    @property
    def signal(self) -> SignalSpec:
        """The model's input."""

    @property
    def recipe(self) -> Recipe:
        """How it is trained by default."""


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


def chosen_config(
    entry: MethodEntry, preset: str = "", file: Path | None = None, assignments: Sequence[str] = ()
) -> tuple[str, Any]:
    """Return the preset's name and a family's config: the preset, changed by a file, changed by single settings.

    Args:
        entry: The family.
        preset: Its preset; empty for the first.
        file: YAML of settings, or the ``config.yaml`` of a run.
        assignments: Such as ``depth=4``.

    Raises:
        ConfigError: A preset, key or value does not fit.
    """
    name, config = method_config(entry, preset)
    if file is not None:
        values = read_yaml(file)
        if values.get("method", entry.name) != entry.name:
            raise ConfigError(f"{file} holds settings of {values['method']}", f"settings of {entry.name}")
        # A run's config.yaml keeps the settings beside what describes the run.
        config = merge(config, values["config"] if "method" in values else values, source=str(file))
    return name, override(config, assignments)
