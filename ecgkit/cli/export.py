"""``ecgkit export``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli.given import given
from ecgkit.cli.render import JsonOption, OverwriteOption, next_is, print_json, print_table, progress, say

if TYPE_CHECKING:
    from ecgkit.export.onnx import Exported


def export(
    run: Annotated[
        Path,
        typer.Argument(
            help="Finished run folder, or hf://ORG/NAME; with --onnx also a result of 'ecgkit probe', with its head."
        ),
    ],
    onnx: Annotated[Path | None, typer.Option(help="ONNX file to write.")] = None,
    hub: Annotated[
        Path | None, typer.Option(help="Folder to write for a model hub: weights, config and model card.")
    ] = None,
    leads: Annotated[
        str,
        typer.Option(
            help="With --onnx, leads of the model's input, such as 12, limb or I,II. Default: all leads of the model."
        ),
    ] = "",
    whole: Annotated[
        bool,
        typer.Option("--whole", help="With --hub, write the weights of the whole method, not only of the encoder."),
    ] = False,
    results: Annotated[
        list[Path] | None,
        typer.Option(help="With --hub, folder of probe results to show on the model card. Repeatable."),
    ] = None,
    license: Annotated[
        str, typer.Option(help="With --hub, licence of the weights for the model card, such as cc-by-4.0.")
    ] = "",
    push: Annotated[
        str,
        typer.Option(
            help="With --hub, repository ORG/NAME of a Hugging Face hub to send the folder to. Default: none."
        ),
    ] = "",
    public: Annotated[
        bool, typer.Option("--public", help="With --push, make a new repository public. Default: private.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Export the encoder of a run to an ONNX model or to a folder for a model hub.

    The ONNX model takes preprocessed crops; its metadata describes the preprocessing. Its outputs are compared with
    torch before the file is written. 'ecgkit probe' and ecgkit.load can read the hub folder.

    Of a result of 'ecgkit probe' the ONNX model holds encoder and head: it takes mV at the model's rate and gives what
    'ecgkit predict' gives.
    """
    options = locals()
    with progress() as watch:
        made = ecgkit.export_encoder(**given(ecgkit.export_encoder, options), progress=watch)
    written = {}
    if made.onnx is not None:
        _show_onnx(str(onnx), made.onnx)
        shapes = {"inputs": made.onnx.inputs, "outputs": made.onnx.outputs}
        written["onnx"] = {"file": str(onnx), **shapes, "difference": made.onnx.difference}
    if made.hub is not None:
        what = "the whole method" if whole else "the encoder"
        say(f"{hub}: {made.hub.parameters:,} parameters of {what}, {made.hub.results} results on the card")
        written["hub"] = {"folder": str(hub), "parameters": made.hub.parameters, "results": made.hub.results}
    if made.pushed:
        say(f"sent to {made.pushed}")
        written["pushed"] = {"address": made.pushed}
    from ecgkit.download.hub import shown

    if hub:
        next_is("ecgkit probe " + shlex.quote(str(hub)))
    elif made.onnx is not None and not made.onnx.with_head:
        next_is(f"ecgkit export {shlex.quote(shown(run))} --hub FOLDER")
    if as_json:
        print_json(written)


def _show_onnx(file: str, made: "Exported") -> None:
    rows = [
        {"": what, "name": name, "shape": " x ".join(map(str, shape))}
        for what, named in (("in", made.inputs), ("out", made.outputs))
        for name, shape in named.items()
    ]
    print_table(file, rows)
    say(f"differs from torch by at most {made.difference:.1g}, in onnxruntime on random signals")
