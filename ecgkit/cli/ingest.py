"""``ecgkit ingest``."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgkit.cli.render import OverwriteOption, print_table, progress, say

if TYPE_CHECKING:
    from ecgkit.ingest import IngestReport

SHOWN = 20


def ingest(
    src: Annotated[Path, typer.Argument(help="Folder of a dataset, as downloaded.")],
    out: Annotated[Path, typer.Option(help="The store to make, such as ptbxl.zarr.")],
    dataset: Annotated[str, typer.Option(help="Layout of the folder; found by looking if left out.")] = "",
    fs: Annotated[float | None, typer.Option(min=1, help="Rate in Hz: picks the folder, or resamples.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Keep this much of each record.")] = None,
    leads: Annotated[str, typer.Option(help="Leads every record must have: 12, limb, or I,II,V2.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first records.")] = None,
    max_rejected: Annotated[
        float, typer.Option(min=0, max=100, help="Exit with code 3 if more than this percentage is rejected.")
    ] = 5.0,
    overwrite: OverwriteOption = False,
) -> None:
    """Take a dataset as downloaded into a store.

    A record that cannot be read goes to the store's ledger with the reason; 'ecgkit inspect' shows it.
    """
    from ecgkit.ingest import IngestOptions, ingest
    from ecgkit.leads import parse_leads

    began = time.perf_counter()
    options = IngestOptions(dataset, fs, seconds, parse_leads(leads) if leads else None, limit, overwrite)
    with progress() as watch:
        report = ingest(src, out, options, watch)
    _show(report, out, time.perf_counter() - began)
    if len(report.rejected) > max_rejected / 100 * report.found:
        raise typer.Exit(3)


def _show(report: "IngestReport", out: Path, seconds: float) -> None:
    say(f"{report.dataset}: {report.taken} of {report.found} records into {out} in {seconds:.1f} s")
    for leads, count in report.fewer_leads.most_common():
        say(f"  {count} with leads {', '.join(leads)} only")
    for leads, count in report.derived.most_common():
        say(f"  {count} with {', '.join(leads)} derived from I and II")
    if report.other:
        others = ", ".join(f"{name} ({count})" for name, count in report.other.most_common())
        say(f"  signals that are no ECG leads, left in the source: {others}")
    if report.rejected:
        rows = [{"record": r.record_id, "stage": r.stage, "reason": r.reason} for r in report.rejected[:SHOWN]]
        print_table(f"{len(report.rejected)} rejected", rows)
        if len(report.rejected) > SHOWN:
            say(f"... and {len(report.rejected) - SHOWN} more: ecgkit inspect {out}")
