"""``ecgkit predict``."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.given import given
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
    warn,
)
from ecgkit.wording import duration, plural, quantity

if TYPE_CHECKING:
    from ecgkit.inference.predict import Predicted
    from ecgkit.store.writer import LedgerRow

SHOWN = 20
FILES = "Files that need explaining"
DataArgument = Annotated[
    Path,
    typer.Option(
        "--data",
        help="Store, folder of a dataset, or file.",
        show_default=False,
        autocompletion=completion.stores,
    ),
]
DatasetOption = Annotated[
    str,
    typer.Option(
        help="Dataset layout of a folder or file. Default: detected.",
        autocompletion=completion.datasets,
        rich_help_panel=FILES,
    ),
]
SourceRateOption = Annotated[
    float | None,
    typer.Option(help="Sampling rate in Hz of files that do not state it.", rich_help_panel=FILES),
]
UnitOption = Annotated[
    str, typer.Option(help="Unit of the samples where files state none: V, mV, uV or nV.", rich_help_panel=FILES)
]
LeadNamesOption = Annotated[
    str,
    typer.Option(
        help="Names of all rows in order, such as I,II,V1, or renamings such as ECG=I.", rich_help_panel=FILES
    ),
]
GpusOption = Annotated[int, typer.Option(min=0, help="Number of GPUs to share the work between, instead of --device.")]


def predict(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Folder of a result of 'ecgkit probe'. Several of the same classes are averaged.", metavar="RESULT"
        ),
    ],
    data: DataArgument,
    out: Annotated[Path | None, typer.Option(help="File to write: .csv or .parquet. Default: predictions.csv.")] = None,
    calibrate: Annotated[
        str,
        typer.Option(
            help="Calibration of the probabilities, fitted on validation records: temperature or isotonic. "
            "Default: none."
        ),
    ] = "",
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run folder of the encoder if it was moved, or hf://ORG/NAME.", autocompletion=completion.runs
        ),
    ] = None,
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
    """Predict the records of a store, a folder or a file with fitted probes.

    A folder or a file needs no store: any format that 'ecgkit ingest' reads is read. The table has one row per record,
    with a probability and a decision for each class, and notes on what the record lacked. Records that cannot be read
    are listed in a ledger beside the table; the exit code is then 3.
    """
    options = locals()
    began, out = time.perf_counter(), out or Path("predictions.csv")
    with progress() as watch:
        made = ecgkit.predict(**given(ecgkit.predict, {**options, "out": out}), progress=watch)
    took = time.perf_counter() - began
    show(made, out, took, calibrated=bool(calibrate))
    if as_json:
        print_json(_as_json(made, out, took))
    from ecgkit.workspace.next_step import after_predictions

    next_is(after_predictions(results, data))
    if made.rejected:
        raise typer.Exit(Exit.INCOMPLETE)


def show(made: "Predicted", out: Path, seconds: float, *, calibrated: bool = False) -> None:
    """Print how many records are positive, and what they lacked.

    Thresholds are those of probabilities that are not calibrated, and the table says so.
    """
    rate = quantity(len(made.table) / max(seconds, 1e-9))
    say(f"{out}: {plural(len(made.table), 'record')} in {duration(seconds)} ({rate}/s)")
    rows = [_row(made, name, "threshold before calibration" if calibrated else "threshold") for name in made.names]
    print_table("predictions", rows[:SHOWN], numeric=[name for name in rows[0] if name != "name"])
    if len(rows) > SHOWN:
        say(f"and {len(rows) - SHOWN} more")
    say_left_out(made.notes, made.rejected, made.ledger, "prediction")


def say_left_out(notes: Mapping[str, int], rejected: "Sequence[LedgerRow]", ledger: Path | None, what: str) -> None:
    """Say what records lacked, and which gave nothing.

    Args:
        notes: Number of records with each kind of note.
        rejected: The records that gave nothing.
        ledger: The file that lists them.
        what: What they did not give.
    """
    for words, count in notes.items():
        say(f"{count:,} record{'s' * (count != 1)} {words}")
    if rejected:
        warn(
            f"{len(rejected):,} record{'s' * (len(rejected) != 1)} gave no {what}; see {ledger}. "
            f"The first is {rejected[0].record_id}: {rejected[0].reason}"
        )


def _row(made: "Predicted", name: str, title: str) -> dict[str, Any]:
    values = made.table[f"p_{name}"]
    if made.thresholds is None:
        ends = {"mean": values.mean(), "least": values.min(), "most": values.max()}
        return {"name": name, **{word: quantity(value) for word, value in ends.items()}}
    threshold = made.thresholds[name]
    return {
        "name": name,
        "mean p": f"{values.mean():.3f}",
        title: "-" if threshold is None else f"{threshold:.3f}",
        "positive": "-" if threshold is None else f"{int(made.table[f'positive_{name}'].sum()):,}",
    }


def _as_json(made: "Predicted", out: Path, seconds: float) -> dict[str, Any]:
    return {
        "file": str(out),
        "records": len(made.table),
        "rejected": len(made.rejected),
        "ledger": None if made.ledger is None else str(made.ledger),
        "thresholds": made.thresholds,
        "notes": made.notes,
        "seconds": round(seconds, 2),
    }
