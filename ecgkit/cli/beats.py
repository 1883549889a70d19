"""``ecgkit beats STORE`` and ``ecgkit beats score RECORDS``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.given import given
from ecgkit.cli.path_or_command import PathOrCommand
from ecgkit.cli.render import (
    DaskOption,
    JsonOption,
    OverwriteOption,
    WorkersOption,
    next_is,
    print_facts,
    print_json,
    print_table,
    progress,
    say,
    say_choices,
)
from ecgkit.wording import percent

if TYPE_CHECKING:
    from ecgkit.beats.peaks import PeaksSummary
    from ecgkit.beats.score import RecordScore, Report, Score

SHOWN = 20

DetectorOption = Annotated[
    str,
    typer.Option(
        "--detector",
        help="Name of the detector. List them with: ecgkit plugins list",
        autocompletion=completion.detectors,
    ),
]
LeadsOption = Annotated[
    str,
    typer.Option(
        "--leads", help="Leads to give to the detector, such as 12, limb or II,V5. Default: the detector's choice."
    ),
]
RateOption = Annotated[
    float | None,
    typer.Option("--fs", help="Sampling rate in Hz at which the detector works. Default: each record's own."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="One setting of the detector, such as high=0.4. Repeatable.")
]


app = typer.Typer(cls=PathOrCommand, invoke_without_command=True, no_args_is_help=False)


@app.callback()
def beats(
    ctx: typer.Context,
    store: Annotated[
        Path | None,
        typer.Argument(
            help="Store to find R peaks in. Default: the only store in this folder.",
            metavar="STORE",
            autocompletion=completion.stores,
        ),
    ] = None,
    detector: DetectorOption = "consensus",
    leads: LeadsOption = "",
    fs: RateOption = None,
    settings: SetOption = None,
    workers: WorkersOption = 1,
    dask: DaskOption = "",
    plot: Annotated[
        Path | None, typer.Option(help="PNG file to draw mean beats and a histogram of the RR intervals into.")
    ] = None,
    before: Annotated[
        float, typer.Option(min=0.05, max=5, help="With --plot, seconds to show before the R peak.")
    ] = 0.3,
    after: Annotated[float, typer.Option(min=0.05, max=5, help="With --plot, seconds to show after the R peak.")] = 0.5,
    max_beats: Annotated[
        int | None,
        typer.Option(min=1, help="With --plot, largest number of beats to average per record. Default: all."),
    ] = None,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Find the R peaks of every record and keep them in the store.

    If the command is stopped, the same command continues where it stopped. Records with doubtful peaks are flagged with
    a reason; none is dropped. 'ecgkit beats score RECORDS' compares a detector with annotations.
    """
    options = locals()
    if ctx.invoked_subcommand:
        return
    from ecgkit.workspace.defaults import the_store
    from ecgkit.workspace.next_step import after_store

    path = the_store(store, "ecgkit beats")
    say_choices()
    with progress() as watch:
        peaks = ecgkit.find_beats(**given(ecgkit.find_beats, {**options, "store": path}), progress=watch)
    say_choices()
    summary = peaks.summary()
    if as_json:
        print_json(summary.to_dict())
    else:
        _show(path.name, summary)
    if plot is not None:
        say(f"drew {plot}")
    next_is(after_store(path))


@app.command("score")
def score(
    records: Annotated[Path, typer.Argument(help="Folder of a dataset with annotations beside its records.")],
    detector: DetectorOption = "consensus",
    leads: LeadsOption = "",
    fs: RateOption = None,
    settings: SetOption = None,
    annotator: Annotated[
        str, typer.Option(help="Suffixes of the annotation files, joined by commas. Each is compared separately.")
    ] = "atr",
    against: Annotated[
        str, typer.Option(help="Name of another detector to compare with, instead of annotations.")
    ] = "",
    tolerance: Annotated[
        list[float] | None,
        typer.Option(min=1, max=1000, help="Tolerance in ms. Repeatable. Default: 150 and 50."),
    ] = None,
    dataset: Annotated[
        str,
        typer.Option(
            help="Dataset layout of the folder. Default: detected from its files.", autocompletion=completion.datasets
        ),
    ] = "",
    plot: Annotated[Path | None, typer.Option(help="PNG file to draw the worst records into.")] = None,
    most: Annotated[int, typer.Option(min=1, max=20, help="With --plot, number of records to draw.")] = 6,
    as_json: JsonOption = False,
) -> None:
    """Compare a detector with reference annotations: sensitivity, PPV and F1, per record and pooled.

    Episodes of ventricular flutter are excluded. If the annotations mark waves, as in LUDB, each record is scored
    between its first and last mark.
    """
    options = locals()
    with progress() as watch:
        report = ecgkit.score_beats(**given(ecgkit.score_beats, options), progress=watch)
    if as_json:
        print_json(report.to_dict())
    else:
        _show_report(report, detector, against)
    if plot is not None and report.worst():
        say(f"drew {plot}")
    next_is("ecgkit beats STORE")


def _show(name: str, summary: "PeaksSummary") -> None:
    how = summary.attributes
    least, median, most = summary.beats_per_record
    print_facts(
        f"R peaks of {name}",
        {
            "detector": " ".join(part for part in (how["detector"], how["library"]) if part),
            "leads": ", ".join(how["leads"]) or "chosen by the detector",
            "rate (Hz)": "each record's own" if how["fs"] is None else f"{how['fs']:g}",
            "records": f"{summary.records}",
            "beats": f"{summary.beats}",
            "beats per record": f"{least} to {most}, median {median:g}",
            "flagged records": ", ".join(f"{flag} ({n})" for flag, n in summary.flagged.items()) or "none",
        },
    )


def _show_report(report: "Report", detector: str, against: str) -> None:
    what = "records" if len({record.reference for record in report.records}) == 1 else "records and annotators"
    pooled = [{"tolerance": f"{score.tolerance:g} ms", **_cells(score)} for score in report.pooled()]
    title = f"{detector} against {against or 'annotations'}: {len(report.records)} {what} pooled"
    print_table(title, pooled, numeric=list(pooled[0])[1:])
    say(f"median absolute error {report.median_error:.1f} ms")
    worst = report.worst()
    title = f"{len(worst)} of {len(report.records)} with errors" + (f", {SHOWN} worst" if len(worst) > SHOWN else "")
    rows = [_row(record) for record in worst[:SHOWN]]
    print_table(title, rows, numeric=["beats", "missed", "extra", "F1", "error (ms)"])
    if report.without:
        say(f"{len(report.without)} records have no such annotations and are excluded")
    for record, reason in list(report.unread.items())[:SHOWN]:
        say(f"cannot read record {record}: {reason}")


def _cells(score: "Score") -> dict[str, str]:
    return {
        "beats": f"{score.paired + score.missed}",
        "missed": f"{score.missed}",
        "extra": f"{score.extra}",
        "sensitivity": percent(score.sensitivity, 2),
        "PPV": percent(score.ppv, 2),
        "F1": percent(score.f1, 2),
    }


def _row(record: "RecordScore") -> dict[str, str]:
    cells = _cells(record.scores[0])
    shown = {name: cells[name] for name in ("beats", "missed", "extra", "F1")}
    error = f"{record.median_error:.1f}"
    return {"record": record.record, "reference": record.reference, **shown, "error (ms)": error}
