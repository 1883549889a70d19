"""``ecgkit embed``."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.given import given
from ecgkit.cli.predict import (
    DataArgument,
    DatasetOption,
    GpusOption,
    LeadNamesOption,
    SourceRateOption,
    UnitOption,
    say_left_out,
)
from ecgkit.cli.render import (
    DaskOption,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    WorkersOption,
    next_is,
    print_json,
    print_table,
    progress,
    say,
)
from ecgkit.wording import duration, plural, quantity

if TYPE_CHECKING:
    from ecgkit.inference.embed import Embedded


def embed(
    run: Annotated[
        Path,
        typer.Argument(help="Finished run folder, or hf://ORG/NAME.", metavar="RUN", autocompletion=completion.runs),
    ],
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="Output: .parquet, .npz, .h5 or .zarr.", show_default=False)],
    features: Annotated[
        str, typer.Option(help="Features to write, joined by commas: pooled, per_lead, tokens, layers, logits.")
    ] = "pooled",
    leads: Annotated[
        str,
        typer.Option(help="Leads that the model is given, such as limb or II,V5. Default: all leads of the model."),
    ] = "",
    columns: Annotated[
        str,
        typer.Option(
            help="Columns of the record table to write, joined by commas. Default: all but the text of the report."
        ),
    ] = "",
    extraction: Annotated[
        str, typer.Option(help="Extraction whose entities become columns. Default: the only one of the store.")
    ] = "",
    dataset: DatasetOption = "",
    source_fs: SourceRateOption = None,
    unit: UnitOption = "",
    lead_names: LeadNamesOption = "",
    workers: WorkersOption = 1,
    dask: DaskOption = "",
    device: DeviceOption = "auto",
    gpus: GpusOption = 0,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the features of the records of a store, a folder or a file.

    A folder or a file needs no store: any format that 'ecgkit ingest' reads is read. The output also holds a table of
    the records. If the command is stopped, the same command continues where it stopped. Records that cannot be read are
    listed in a ledger beside the output; the exit code is then 3.
    """
    options = locals()
    began = time.perf_counter()
    with progress() as watch:
        made = ecgkit.embed(**given(ecgkit.embed, options), progress=watch)
    took = time.perf_counter() - began
    say(f"{out}: {plural(made.records, 'record')} in {duration(took)} ({quantity(made.records / max(took, 1e-9))}/s)")
    rows = [{"array": name, "shape": " x ".join(map(str, shape))} for name, shape in made.shapes.items()]
    print_table("features", rows)
    say(f"table: {len(made.columns)} columns, {', '.join(made.columns[:6])}{', ...' if len(made.columns) > 6 else ''}")
    for line in made.remarks:
        say(line)
    say_left_out(made.notes, made.rejected, made.ledger, "features")
    if as_json:
        print_json(_as_json(made, out, took))
    from ecgkit.download.hub import shown

    next_is(f"ecgkit probe {shlex.quote(shown(run))}")
    if made.rejected:
        raise typer.Exit(Exit.INCOMPLETE)


def _as_json(made: "Embedded", out: Path, seconds: float) -> dict[str, Any]:
    return {
        "file": str(out),
        "records": made.records,
        "shapes": made.shapes,
        "columns": made.columns,
        "rejected": len(made.rejected),
        "ledger": None if made.ledger is None else str(made.ledger),
        "notes": made.notes,
        "seconds": round(seconds, 2),
    }
