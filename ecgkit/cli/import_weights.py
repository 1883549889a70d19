"""``ecgkit import-weights``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgkit.cli import completion
from ecgkit.cli.render import OverwriteOption, say


def import_weights(
    file: Annotated[Path, typer.Argument(help="Published weights: .pth, .safetensors or .npz.")],
    family: Annotated[str, typer.Option(help="Method family that they belong to.", autocompletion=completion.methods)],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    overwrite: OverwriteOption = False,
) -> None:
    """Make a run folder from published weights under their official names, ready for 'ecgkit probe'."""
    from ecgkit.entries import MethodEntry
    from ecgkit.plugins import host
    from ecgkit.training.published import import_published

    imported = import_published(host().get(MethodEntry, family), file, out, overwrite=overwrite)
    say(f"{out}: {imported.values:,} parameters of {family} from {file.name}")
    if imported.left_out:
        say(f"left out, for a run holds no task's head: {', '.join(imported.left_out)}")
