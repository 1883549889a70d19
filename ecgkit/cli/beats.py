"""``ecgkit beats STORE`` and ``ecgkit beats score RECORDS``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ecgkit.cli import completion
from ecgkit.cli.render import (
    DaskOption,
    JsonOption,
    OverwriteOption,
    WorkersOption,
    print_json,
    print_table,
    progress,
    say,
)
from ecgkit.wording import percent

if TYPE_CHECKING:
    from ecgkit.beats.detector import Detector
    from ecgkit.beats.peaks import Peaks
    from ecgkit.beats.score import RecordScore, Report
    from ecgkit.store.reader import Store

SHOWN = 20
_NAMED = "ecgkit.beats.named"  # whether a command stands where the store would

DetectorOption = Annotated[
    str,
    typer.Option(
        "--detector",
        help="Detector that finds the beats. List them with: ecgkit plugins list",
        autocompletion=completion.detectors,
    ),
]
LeadsOption = Annotated[
    str, typer.Option("--leads", help="Leads to give to the detector: 12, limb, or names such as II,V5.")
]
RateOption = Annotated[
    float | None, typer.Option("--fs", help="Sampling rate in Hz for the detection. Default: each record's own rate.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of the detector, such as high=0.4. Repeatable.")
]


class _StoreOrCommand(TyperGroup):
    """A group that takes a store where no command is named, with options before or after it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_NAMED] = bool(args) and args[0] in self.commands
        ctx.allow_interspersed_args = not ctx.meta[_NAMED]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters: without the store where a command is named, in its help too."""
        named = ctx.command is not self or ctx.meta.get(_NAMED)
        return [p for p in super().get_params(ctx) if not named or p.param_type_name == "option"]


app = typer.Typer(cls=_StoreOrCommand, invoke_without_command=True, no_args_is_help=True)


@app.callback()
def beats(
    ctx: typer.Context,
    store: Annotated[Path | None, typer.Argument(help="A store.", metavar="STORE")] = None,
    detector: DetectorOption = "consensus",
    leads: LeadsOption = "",
    fs: RateOption = None,
    settings: SetOption = None,
    workers: WorkersOption = 1,
    dask: DaskOption = "",
    plot: Annotated[
        Path | None, typer.Option(help="Draw mean beats and the histogram of RR intervals into this PNG file.")
    ] = None,
    before: Annotated[float, typer.Option(min=0.05, max=5, help="Seconds before the R peak that --plot shows.")] = 0.3,
    after: Annotated[float, typer.Option(min=0.05, max=5, help="Seconds after the R peak that --plot shows.")] = 0.5,
    max_beats: Annotated[int | None, typer.Option(min=1, help="Most beats per record that --plot uses.")] = None,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Find the R peaks of every record and keep them in the store.

    If the command is stopped, the same command goes on where it was. Doubtful records are flagged with a reason; none
    is dropped. 'ecgkit beats score RECORDS' compares a detector with annotations.
    """
    if ctx.invoked_subcommand:
        return
    from ecgkit.atomic import check_suffix
    from ecgkit.errors import ConfigError
    from ecgkit.store.reader import Store

    if store is None:
        raise ConfigError("no store to find beats in", remedy="Name it: ecgkit beats STORE")
    if plot is not None:
        check_suffix(plot, ".png")
    opened = Store(store)
    peaks = _find(opened, _detector(detector, leads, fs, settings), workers, dask, overwrite=overwrite)
    summary = _summary(peaks)
    if as_json:
        print_json(summary)
    else:
        _show(opened.name, summary)
    if plot is not None:
        from ecgkit.reporting.pictures.beats import plot_beats

        plot_beats(opened, peaks, plot, before=before, after=after, most=max_beats)
        say(f"drew {plot}")


def _find(store: "Store", detector: "Detector", workers: int, dask: str, *, overwrite: bool) -> "Peaks":
    from ecgkit.beats.find import find_beats
    from ecgkit.executor import open_executor

    with open_executor(workers, dask) as executor, progress() as watch:
        return find_beats(store, detector, overwrite=overwrite, progress=partial(watch, "records"), executor=executor)


@app.command("score")
def score(
    records: Annotated[Path, typer.Argument(help="Folder of a dataset with annotation files beside its records.")],
    detector: DetectorOption = "consensus",
    leads: LeadsOption = "",
    fs: RateOption = None,
    settings: SetOption = None,
    annotator: Annotated[
        str, typer.Option(help="Suffix of the annotation files. Several, such as i,ii, are compared one by one.")
    ] = "atr",
    against: Annotated[str, typer.Option(help="Compare with this detector instead of annotations.")] = "",
    tolerance: Annotated[
        list[float] | None,
        typer.Option(min=1, max=1000, help="Tolerance in ms. Repeatable. Default: 150 and 50."),
    ] = None,
    dataset: Annotated[str, typer.Option(help="Dataset layout. Default: recognised from the files.")] = "",
    plot: Annotated[Path | None, typer.Option(help="Draw the worst records into this PNG file.")] = None,
    most: Annotated[int, typer.Option(min=1, max=20, help="Number of records that --plot shows.")] = 6,
    as_json: JsonOption = False,
) -> None:
    """Compare a detector with reference annotations: sensitivity, PPV and F1, per record and pooled.

    Ventricular flutter is left out. Where annotations mark waves, as in LUDB, each record is compared from its first
    mark to its last.
    """
    from ecgkit.atomic import check_suffix
    from ecgkit.beats.detector import Detector
    from ecgkit.beats.score import TOLERANCES, score_folder

    if plot is not None:
        check_suffix(plot, ".png")
    chosen = _detector(detector, leads, fs, settings)
    with progress() as watch:
        report = score_folder(
            records,
            chosen,
            annotators=[name.strip() for name in annotator.split(",") if name.strip()],
            against=Detector(against) if against else None,
            tolerances=tuple(tolerance or TOLERANCES),
            dataset=dataset,
            progress=partial(watch, "records"),
        )
    if as_json:
        print_json({"detector": chosen.describe(), **_as_json(report)})
    else:
        _show_report(report, chosen, against)
    worst = report.worst()[:most]
    if plot is not None and worst:
        from ecgkit.reporting.pictures.worst_beats import plot_worst

        plot_worst(records, worst, chosen.name, plot, dataset=dataset)
        say(f"drew {plot}")


def _detector(name: str, leads: str, fs: float | None, settings: list[str] | None) -> "Detector":
    from ecgkit.beats.detector import Detector
    from ecgkit.leads import parse_leads

    return Detector(name, parse_leads(leads) if leads else (), fs, tuple(settings or ()))


def _summary(peaks: "Peaks") -> dict[str, Any]:
    import numpy as np

    flags, counts = np.unique(peaks.flags[peaks.flags != ""], return_counts=True)
    per_record = peaks.counts
    return {
        "detector": peaks.attributes["detector"],
        "library": peaks.attributes["library"],
        "leads": peaks.attributes["leads"],
        "fs": peaks.attributes["fs"],
        "records": len(peaks),
        "beats": len(peaks.samples),
        "beats_a_record": [int(per_record.min()), float(np.median(per_record)), int(per_record.max())],
        "flagged": {str(flag): int(n) for flag, n in zip(flags, counts, strict=True)},
    }


def _show(name: str, summary: dict[str, Any]) -> None:
    least, median, most = summary["beats_a_record"]
    rows = {
        "detector": " ".join(part for part in (summary["detector"], summary["library"]) if part),
        "leads": ", ".join(summary["leads"]),
        "rate (Hz)": "each record's own" if summary["fs"] is None else f"{summary['fs']:g}",
        "records": f"{summary['records']}",
        "beats": f"{summary['beats']}",
        "beats a record": f"{least} to {most}, median {median:g}",
        "flagged": ", ".join(f"{flag} ({n})" for flag, n in summary["flagged"].items()) or "none",
    }
    print_table(f"R peaks of {name}", [{"what": what, "value": value} for what, value in rows.items()])


def _as_json(report: "Report") -> dict[str, Any]:
    return {
        "pooled": [_numbers(score) for score in report.pooled()],
        "median_absolute_error_ms": _median_error(report.errors()),
        "records": [
            {
                "record": record.record,
                "reference": record.reference,
                "scores": [_numbers(score) for score in record.scores],
                "median_absolute_error_ms": _median_error(record.errors),
            }
            for record in report.records
        ],
        "without_reference": report.without,
        "unread": report.unread,
    }


def _numbers(score: Any) -> dict[str, Any]:
    names = ("tolerance", "paired", "missed", "extra", "sensitivity", "ppv", "f1")
    return {name: getattr(score, name) for name in names}


def _median_error(errors: Any) -> float:
    import numpy as np

    return float(np.median(np.abs(errors))) if len(errors) else float("nan")


def _show_report(report: "Report", detector: "Detector", against: str) -> None:
    what = "records" if len({record.reference for record in report.records}) == 1 else "records and annotators"
    names = f"{detector.name} against {against or 'annotations'}"
    pooled = [
        {
            "tolerance": f"{score.tolerance:g} ms",
            "beats": f"{score.paired + score.missed}",
            "missed": f"{score.missed}",
            "extra": f"{score.extra}",
            "sensitivity": percent(score.sensitivity, 2),
            "PPV": percent(score.ppv, 2),
            "F1": percent(score.f1, 2),
        }
        for score in report.pooled()
    ]
    print_table(f"{names}: {len(report.records)} {what} pooled", pooled, numeric=list(pooled[0])[1:])
    say(f"median absolute error {_median_error(report.errors()):.1f} ms")
    worst = report.worst()
    rows = [_row(record) for record in worst[:SHOWN]]
    title = f"{len(worst)} of {len(report.records)} not perfect" + (f", {SHOWN} worst" if len(worst) > SHOWN else "")
    print_table(title, rows, numeric=["beats", "missed", "extra", "F1", "median error (ms)"])
    if report.without:
        say(f"{len(report.without)} records without such annotations, left out")
    for record, reason in list(report.unread.items())[:SHOWN]:
        say(f"not read: {record}: {reason}")


def _row(record: "RecordScore") -> dict[str, str]:
    score = record.scores[0]
    return {
        "record": record.record,
        "reference": record.reference,
        "beats": f"{score.paired + score.missed}",
        "missed": f"{score.missed}",
        "extra": f"{score.extra}",
        "F1": percent(score.f1, 2),
        "median error (ms)": f"{_median_error(record.errors):.1f}",
    }
