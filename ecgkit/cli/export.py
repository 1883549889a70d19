"""``ecgkit export``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgkit.cli.render import JsonOption, OverwriteOption, print_json, print_table, progress, say


def export(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    onnx: Annotated[Path | None, typer.Option(help="Write the encoder as this .onnx file.")] = None,
    hub: Annotated[Path | None, typer.Option(help="Write a folder as model hubs hold them.")] = None,
    leads: Annotated[str, typer.Option(help="With --onnx, leads of its input: some of the model's, or a set.")] = "",
    whole: Annotated[
        bool, typer.Option("--whole", help="With --hub, the whole method's weights and not the encoder's alone.")
    ] = False,
    results: Annotated[
        list[Path] | None, typer.Option(help="With --hub, results of probes for its card; repeatable.")
    ] = None,
    license: Annotated[str, typer.Option(help="With --hub, licence of the weights, such as cc-by-4.0.")] = "",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the encoder of a run in another form: an ONNX model, or a folder for a model hub.

    An ONNX model takes what the contract makes of a record, which its metadata describes; it is compared with torch
    before it appears. A hub folder holds weights, config and card, and 'ecgkit probe' and ecgkit.load read it again.
    """
    from ecgkit.errors import ConfigError

    if onnx is None and hub is None:
        raise ConfigError("nothing to write", "--onnx FILE, --hub DIR or both")
    if onnx is None and leads:
        raise ConfigError("--leads without --onnx", "both; a hub folder holds a model of all its leads")
    if hub is None and (whole or results or license):
        raise ConfigError("--whole, --results or --license without --hub", "both")
    written = {}
    if onnx is not None:
        written["onnx"] = _onnx(run, onnx, leads, overwrite)
    if hub is not None:
        written["hub"] = _hub(run, hub, whole, results or [], license, overwrite)
    if as_json:
        print_json(written)


def _onnx(run: Path, file: Path, leads: str, overwrite: bool) -> dict[str, object]:
    from ecgkit.arrays.encoder import load
    from ecgkit.export.onnx import export_onnx
    from ecgkit.leads import parse_leads
    from ecgkit.training.run import WEIGHTS
    from ecgkit.training.weights import file_sha256

    details = {"checkpoint_sha256": file_sha256(run / WEIGHTS)} if (run / WEIGHTS).is_file() else {}
    chosen = parse_leads(leads) if leads else None
    with progress() as watch:
        done = export_onnx(load(run), file, leads=chosen, details=details, overwrite=overwrite, progress=watch)
    rows = [
        {"": what, "name": name, "shape": " x ".join(map(str, shape))}
        for what, named in (("in", done.inputs), ("out", done.outputs))
        for name, shape in named.items()
    ]
    print_table(str(file), rows)
    say(f"differs from torch by at most {done.difference:.1g}, in onnxruntime on random signals")
    return {"file": str(file), "inputs": done.inputs, "outputs": done.outputs, "difference": done.difference}


def _hub(run: Path, folder: Path, whole: bool, results: list[Path], license: str, overwrite: bool) -> dict[str, object]:
    from ecgkit.export.hub import export_hub

    done = export_hub(run, folder, whole=whole, results=results, license=license, overwrite=overwrite)
    what = "the whole method" if whole else "the encoder"
    say(f"{folder}: {done.parameters:,} parameters of {what}, {done.results} results on the card")
    return {"folder": str(folder), "parameters": done.parameters, "results": done.results}
