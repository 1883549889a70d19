"""The options that choose a method and its settings, shared by the commands that build one."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ecgkit.cli import completion
from ecgkit.entries import MethodEntry

PresetOption = Annotated[
    str,
    typer.Option("--preset", help="Sizes by name; 'ecgkit methods' lists them.", autocompletion=completion.presets),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML file of settings, or the config.yaml of a run.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, such as depth=4 or recipe.lr=1e-3; repeatable."),
]


def resolve(entry: MethodEntry, preset: str, file: Path | None, assignments: list[str] | None) -> tuple[str, Any]:
    """Return the preset's name and a method's config: the preset, changed by a file, changed by single settings.

    Raises:
        ConfigError: A preset, key or value does not fit.
    """
    from ecgkit.config import merge, override, read_yaml
    from ecgkit.errors import ConfigError
    from ecgkit.methods import method_config

    name, config = method_config(entry, preset)
    if file is not None:
        values = read_yaml(file)
        if values.get("method", entry.name) != entry.name:
            raise ConfigError(f"{file} holds settings of {values['method']}", f"settings of {entry.name}")
        # A run's config.yaml keeps the settings beside what describes the run.
        config = merge(config, values["config"] if "method" in values else values, source=str(file))
    return name, override(config, assignments or [])
