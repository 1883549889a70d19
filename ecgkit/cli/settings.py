"""The options that choose a method and its settings, shared by the commands that build one."""

from pathlib import Path
from typing import Annotated

import typer

from ecgkit.cli import completion

PresetOption = Annotated[
    str,
    typer.Option(
        "--preset",
        help="Preset of the method, such as tiny. List them with: ecgkit encoders",
        autocompletion=completion.presets,
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML file with settings of the method, or the config.yaml of a run.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="One setting, such as depth=4 or recipe.lr=1e-3. Repeatable.",
        autocompletion=completion.settings,
    ),
]
