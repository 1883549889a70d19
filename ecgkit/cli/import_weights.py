"""``ecgkit import-weights``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.render import OverwriteOption, next_is, say


def import_weights(
    file: Annotated[Path, typer.Argument(help="File of published weights: .pth, .safetensors or .npz.")],
    method: Annotated[
        str, typer.Option(help="Method family that the weights belong to.", autocompletion=completion.methods)
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    overwrite: OverwriteOption = False,
) -> None:
    """Make a run folder for 'ecgkit probe' from published weights with their official parameter names."""
    imported = ecgkit.import_weights(file, method=method, out=out, overwrite=overwrite)
    say(f"{out}: {imported.values:,} parameters of {method} from {file.name}")
    next_is(f"ecgkit probe {shlex.quote(str(out))} --data STORE")
    if imported.left_out:
        say(f"left out, because a run does not hold the classifier of a task: {', '.join(imported.left_out)}")
