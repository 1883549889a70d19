"""``ecgkit ingest``."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgkit.cli import completion
from ecgkit.cli.exit_codes import Exit
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

if TYPE_CHECKING:
    from ecgkit.ingest import IngestReport

SHOWN = 20


def ingest(
    src: Annotated[
        str, typer.Argument(help="Folder of a dataset, as downloaded, or a URL such as s3://bucket/ptb-xl.")
    ],
    out: Annotated[Path, typer.Option(help="The store to make, such as ptbxl.zarr.")],
    dataset: Annotated[
        str,
        typer.Option(help="Layout of the folder; found by looking if left out.", autocompletion=completion.datasets),
    ] = "",
    leads: Annotated[str, typer.Option(help="Leads every record must have: 12, limb, or I,II,V2.")] = "",
    fs: Annotated[float | None, typer.Option(min=1, help="Rate in Hz: picks the folder, or resamples.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Keep this much of each record.")] = None,
    window: Annotated[
        str, typer.Option(help="Which part of a longer record: first, center, or split for all of it, as records.")
    ] = "first",
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first records.")] = None,
    patients_file: Annotated[
        Path | None, typer.Option(help="Take only patients whose ids this text file lists, one a line.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Leave out records with this quality flag; repeatable.")
    ] = None,
    max_rejected: Annotated[
        float, typer.Option(min=0, max=100, help="Exit with code 3 if more than this percentage is rejected.")
    ] = 5.0,
    workers: WorkersOption = 1,
    dask: DaskOption = "",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a dataset as downloaded into a store.

    A record that cannot be read goes to the store's ledger with the reason; 'ecgkit inspect' shows it. Whatever stops
    the command, the same command goes on from there.
    """
    from ecgkit.datasets.paths import open_folder
    from ecgkit.executor import open_executor
    from ecgkit.ingest import IngestOptions, ingest
    from ecgkit.ingest.options import read_patients
    from ecgkit.ingest.part import warm_up
    from ecgkit.leads import parse_leads

    began = time.perf_counter()
    options = IngestOptions(
        dataset=dataset,
        fs=fs,
        seconds=seconds,
        window=window,  # type: ignore[arg-type]  # checked by `IngestOptions.check`
        leads=parse_leads(leads) if leads else None,
        limit=limit,
        patients=read_patients(patients_file) if patients_file else None,
        drop=tuple(drop or ()),
    )
    with open_executor(workers, dask, warm_up) as executor, progress() as watch:
        report = ingest(open_folder(src), out, options, watch, overwrite=overwrite, executor=executor)
    seconds = time.perf_counter() - began
    _show(report, out, seconds)
    if as_json:
        print_json(_as_json(report, out, seconds))
    if report.failed > max_rejected / 100 * report.found:
        raise typer.Exit(Exit.INCOMPLETE)


def _as_json(report: "IngestReport", out: Path, seconds: float) -> dict[str, Any]:
    rejected = [{"record": r.record_id, "stage": r.stage, "reason": r.reason} for r in report.rejected]
    return {
        "store": str(out),
        "dataset": report.dataset,
        "found": report.found,
        "taken": report.taken,
        "failed": report.failed,
        "flagged": dict(report.flagged),
        "rejected": rejected,
        "seconds": seconds,
    }


def _show(report: "IngestReport", out: Path, seconds: float) -> None:
    from collections import Counter

    say(f"{report.dataset}: {report.taken} of {report.found} records into {out} in {seconds:.1f} s")
    for leads, count in report.fewer_leads.most_common():
        say(f"  {count} with leads {', '.join(leads)} only")
    for leads, count in report.derived.most_common():
        say(f"  {count} with {', '.join(leads)} derived from I and II")
    if report.other:
        others = ", ".join(f"{name} ({count})" for name, count in report.other.most_common())
        say(f"  signals that are no ECG leads, left in the source: {others}")
    rows = [{"what": "read", "records": report.taken}]
    rows += [{"what": f"flagged {flag}", "records": count} for flag, count in report.flagged.most_common()]
    rejected = Counter(_kind(row.stage, row.reason) for row in report.rejected)
    rows += [{"what": kind, "records": count} for kind, count in rejected.most_common(SHOWN)]
    print_table("Summary", rows, numeric=["records"])
    if report.rejected:
        rows = [{"record": r.record_id, "stage": r.stage, "reason": r.reason} for r in report.rejected[:SHOWN]]
        print_table(f"{len(report.rejected)} rejected", rows)
        if len(report.rejected) > SHOWN:
            say(f"... and {len(report.rejected) - SHOWN} more: ecgkit inspect {out}")


def _kind(stage: str, reason: str) -> str:
    """Return a reason without what differs from record to record, so that alike ones are counted together."""
    import re

    words = [word for word in reason.split(";")[0].split() if not re.search(r"[\d/]", word)]
    return f"rejected ({stage}): {' '.join(words)}"
