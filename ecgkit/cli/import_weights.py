"""``ecgkit import-weights``."""

from pathlib import Path
from typing import Annotated

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.render import OverwriteOption, say


def import_weights(
    file: Annotated[Path, typer.Argument(help="Published weights: .pth, .safetensors or .npz.")],
    method: Annotated[
        str, typer.Option(help="Method family that the weights belong to.", autocompletion=completion.methods)
    ],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    overwrite: OverwriteOption = False,
) -> None:
    """Make a run folder from published weights under their official names, ready for 'ecgkit probe'."""
    imported = ecgkit.import_weights(file, method=method, out=out, overwrite=overwrite)
    say(f"{out}: {imported.values:,} parameters of {method} from {file.name}")
    if imported.left_out:
        say(f"left out, because a run holds no classifier of a task: {', '.join(imported.left_out)}")
