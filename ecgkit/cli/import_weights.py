"""``ecgkit import-weights``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.render import OverwriteOption, next_is, say, warn
from ecgkit.cli.settings import SetOption

if TYPE_CHECKING:
    from ecgkit.training.published import Imported

SHOWN = 4  # names in a line


def import_weights(
    file: Annotated[Path, typer.Argument(help="File of published weights: .pth, .pt, .ckpt, .safetensors or .npz.")],
    method: Annotated[
        str, typer.Option(help="Method family that the weights belong to.", autocompletion=completion.methods)
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="HF://ORG/NAME",
            help="Fetch FILE, and nothing else, from this repository of a model hub. Default: FILE is a local file.",
        ),
    ] = "",
    settings: SetOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a run folder for 'ecgkit probe' from published weights with their official parameter names.

    Every tensor of the file must have a place, and none may be missing. 'ecgkit encoders' says where weights can be
    got and under which licence.
    """
    imported = ecgkit.import_weights(
        file, method=method, out=out, source=source, settings=settings or (), overwrite=overwrite
    )
    say(f"{out}: {imported.values:,} parameters of {method} from {imported.source or file.name}")
    _say_counts(imported)
    for card in imported.cards:
        say(f"{card.name}: trained on {card.trained_on}")
    for caution in imported.cautions:
        warn(caution)
    next_is(f"ecgkit probe {shlex.quote(str(out))} --data STORE")


def _say_counts(imported: "Imported") -> None:
    """Say how many tensors were taken and left out; those that match nothing are an error before this."""
    left = imported.left_out
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    names = f" ({', '.join(left[:SHOWN])}{more})" if left else ""
    say(f"tensors: {imported.tensors} taken, 0 unmatched, {len(left)} left out because a run does not need them{names}")
