"""``ecgkit ingest``."""

import re
import time
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.given import given
from ecgkit.cli.render import (
    DaskOption,
    JsonOption,
    OverwriteOption,
    Watch,
    WorkersOption,
    next_is,
    print_json,
    print_table,
    progress,
    say,
    say_choices,
)
from ecgkit.wording import plural

if TYPE_CHECKING:
    from ecgkit.ingestion import IngestReport

SHOWN = 20
READING = ("signals", "samples")  # stages of the progress in which the store is made
# Panels of the help.
FILES, PEOPLE, STORED = "What the files do not state", "Table of records and patients", "What is stored"


def ingest(
    src: Annotated[str, typer.Argument(help="Folder of a downloaded dataset, or a URL such as s3://bucket/ptb-xl.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Store to write. Default: NAME.zarr in this folder, with the name of the source's folder."),
    ] = None,
    dataset: Annotated[
        str,
        typer.Option(
            help="Dataset layout of the folder. Default: detected from its files.", autocompletion=completion.datasets
        ),
    ] = "",
    source_fs: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Sampling rate of the files in Hz, where they do not state it. Needed only if it differs from --fs.",
            rich_help_panel=FILES,
        ),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(
            help="Unit of the samples where the files state none or an unknown one: V, mV, uV, nV, or the step of a "
            "converter such as 4.88uV.",
            rich_help_panel=FILES,
        ),
    ] = "",
    axes: Annotated[
        str,
        typer.Option(
            help="Order of the axes of an array: N records, L leads, T time, 1 an axis of length 1, such as NTL. "
            "Default: found from the number of leads.",
            rich_help_panel=FILES,
        ),
    ] = "",
    array: Annotated[
        str,
        typer.Option(
            help="Name of the array in files that hold several. Default: the only one with signals.",
            rich_help_panel=FILES,
        ),
    ] = "",
    lead_names: Annotated[
        str,
        typer.Option(
            help="Names of all rows in order, such as I,II,V2, or new names for some, such as 'ECG=I, MLII=II'.",
            rich_help_panel=FILES,
        ),
    ] = "",
    table: Annotated[
        Path | None,
        typer.Option(
            help="Table with one row per record: CSV, TSV, Parquet or Excel. Default: the only one beside the files.",
            rich_help_panel=PEOPLE,
        ),
    ] = None,
    record_column: Annotated[
        str,
        typer.Option(help="Column of the table that holds the record's id, path or file name.", rich_help_panel=PEOPLE),
    ] = "",
    patient_column: Annotated[
        str, typer.Option(help="Column of the table that holds the patient's id.", rich_help_panel=PEOPLE)
    ] = "",
    label_columns: Annotated[
        str,
        typer.Option(
            help="One column of codes, or several columns with one label each, joined by commas.",
            rich_help_panel=PEOPLE,
        ),
    ] = "",
    fold_column: Annotated[
        str, typer.Option(help="Column of the table that holds the fold, 1 to 10.", rich_help_panel=PEOPLE)
    ] = "",
    report_column: Annotated[
        str, typer.Option(help="Column of the table that holds the report.", rich_help_panel=PEOPLE)
    ] = "",
    patient_from: Annotated[
        str,
        typer.Option(
            help=r"Regular expression that finds the patient's id in a record's path, such as 'patient(\d+)/'.",
            rich_help_panel=PEOPLE,
        ),
    ] = "",
    leads: Annotated[
        str,
        typer.Option(
            help="Leads that every record must have, such as 12, limb or I,II,V2. In arrays without names, they are "
            "also the names of the rows. Default: all leads of each record.",
            rich_help_panel=STORED,
        ),
    ] = "",
    fs: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Sampling rate of the store in Hz. Records at this rate are chosen if the dataset has them; others "
            "are resampled. If the files state no rate, this is their rate. Default: the dataset's own.",
            rich_help_panel=STORED,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Longest part of a record to keep, in s. Default: the whole record.",
            rich_help_panel=STORED,
        ),
    ] = None,
    window: Annotated[
        str,
        typer.Option(
            help="Part of a longer record to keep: first, center, or split (cut into several records).",
            rich_help_panel=STORED,
        ),
    ] = "first",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Largest number of records to take, from the first. Default: all.", rich_help_panel=STORED
        ),
    ] = None,
    patients_file: Annotated[
        Path | None,
        typer.Option(
            help="Text file of patient ids, one per line. Only records of these patients are taken.",
            rich_help_panel=STORED,
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            help="Quality flag; records with it are left out. With duplicates, all records of a waveform but the first "
            "are left out. Repeatable.",
            rich_help_panel=STORED,
        ),
    ] = None,
    keep_identity: Annotated[
        bool,
        typer.Option(
            "--keep-identity",
            help="Keep columns that name a person, such as a patient's name or birth date. Default: left out.",
        ),
    ] = False,
    hash_patients: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="File with a key, or key:SECRET. Patient ids are stored as hashes under this key, the same in all "
            "stores made with it. Default: ids are stored as they are.",
        ),
    ] = "",
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Compare every file with the publisher's SHA256SUMS.txt first. Records with a file that differs go to "
            "the ledger.",
        ),
    ] = False,
    max_record_mb: Annotated[
        float,
        typer.Option(
            min=1,
            help="Largest memory in MB that reading one record may need, as far as its header shows it. A larger "
            "record goes to the ledger.",
        ),
    ] = 2048.0,
    max_record_seconds: Annotated[
        float,
        typer.Option(
            min=0.1, help="Longest time in s that reading one record may take. A slower record goes to the ledger."
        ),
    ] = 600.0,
    max_rejected: Annotated[
        float,
        typer.Option(min=0, max=100, help="Exit with code 3 if more than this percentage of the records is rejected."),
    ] = 5.0,
    workers: WorkersOption = 1,
    dask: DaskOption = "",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a downloaded dataset into a store.

    A record that cannot be read is listed in the store's ledger with the reason. 'ecgkit inspect' shows the ledger. If
    the command is stopped, the same command continues where it stopped.
    """
    options, began = locals(), time.perf_counter()
    from ecgkit.datasets.paths import open_folder
    from ecgkit.workspace.defaults import new_store
    from ecgkit.workspace.next_step import after_store

    with progress() as watch:  # a large archive is listed first
        folder = open_folder(src, watch)
    store = new_store(out, folder, dataset)
    arguments = given(ecgkit.ingest, {**options, "out": store})
    with progress() as watch:
        report = ecgkit.ingest(**arguments, progress=_telling(watch))
    say_choices()
    took = time.perf_counter() - began
    _show(report, store, took)
    if as_json:
        print_json(_as_json(report, store, took))
    next_is(after_store(store))
    if report.failed > max_rejected / 100 * report.found:
        raise typer.Exit(Exit.INCOMPLETE)


def _telling(watch: Watch) -> Watch:
    """Print the choices once reading begins, so that an earlier error stands alone."""

    def told(stage: str, done: int, total: int) -> None:
        if stage in READING:
            say_choices()
        watch(stage, done, total)

    return told


def _as_json(report: "IngestReport", out: Path, seconds: float) -> dict[str, Any]:
    rejected = [{"record": r.record_id, "stage": r.stage, "reason": r.reason} for r in report.rejected]
    return {
        "store": str(out),
        "dataset": report.dataset,
        "found": report.found,
        "taken": report.taken,
        "records": report.records,
        "failed": report.failed,
        "findings": report.findings,
        "unknown_patients": report.unknown_patients,
        "duplicates": [list(group) for group in report.duplicates],
        "flagged": dict(report.flagged),
        "clipped": report.clipped,
        "rescaled": report.rescaled,
        "offset": report.offset,
        "moved_products": list(report.rescued.moved),
        "kept_products": list(report.rescued.kept),
        "kept_in": str(report.rescued.folder or ""),
        "rejected": rejected,
        "seconds": seconds,
    }


def _show(report: "IngestReport", out: Path, seconds: float) -> None:
    say(f"{report.dataset}: {_taken(report)} into {out} in {seconds:.1f} s")
    if report.source_changed:
        say("  the source has changed since the stopped run, so what that run had done was made anew")
    if report.rescued.moved:
        say(f"  the content is that of the replaced store, so its {', '.join(report.rescued.moved)} stay in the store")
    if report.rescued.kept:
        say(f"  the content differs from that of the replaced store: {', '.join(report.rescued.kept)} of that store")
        say(f"  were moved to {report.rescued.folder}")
    for line in report.findings:
        say(f"  {line}")
    for leads, count in report.fewer_leads.most_common():
        say(f"  {count} with leads {', '.join(leads)} only")
    for leads, count in report.derived.most_common():
        say(f"  {count} with {', '.join(leads)} derived from I and II")
    if report.other:
        others = ", ".join(f"{name} ({count})" for name, count in report.other.most_common())
        say(f"  channels left out because they are not ECG leads: {others}")
    _show_patients(report)
    if report.telling:
        say(f"  {report.telling} record ids contain the patient's id, which --hash-patients does not change there")
    rejected = Counter(_kind(row.stage, row.reason) for row in report.rejected)
    rows = [{"what": "read", "records": report.records}]
    rows += [{"what": f"flagged {flag}", "records": count} for flag, count in report.flagged.most_common()]
    amplitudes = {"clipped": report.clipped, "rescaled": report.rescaled, "offset": report.offset}
    rows += [{"what": what, "records": count} for what, count in amplitudes.items() if count]
    rows += [{"what": kind, "records": count} for kind, count in rejected.most_common(SHOWN)]
    print_table("Summary", rows, numeric=["records"])
    if report.rejected:
        _show_rejected(report, out)


def _show_patients(report: "IngestReport") -> None:
    """Say what is known of patients, and which records have the same waveform."""
    if report.unknown_patients == report.taken:
        say("  no patient is known: each record has a fold of its own, so one patient may be in several parts")
        say("  name patients with --table and --patient-column, or with --patient-from")
    elif report.unknown_patients:
        say(f"  the patient of {report.unknown_patients} records is unknown: each of them has a fold of its own")
    if report.duplicates:
        later = sum(len(group) - 1 for group in report.duplicates)
        say(f"  same waveform as an earlier record: {later} (--drop duplicates leaves them out)")
        for group in report.duplicates[:SHOWN]:
            more = f" and {len(group) - SHOWN} more" if len(group) > SHOWN else ""
            say(f"    {' = '.join(group[:SHOWN])}{more}")
        if len(report.duplicates) > SHOWN:
            say(f"    ... and {len(report.duplicates) - SHOWN} more groups")


def _taken(report: "IngestReport") -> str:
    """Say how many of the records were taken, and in how many windows."""
    if report.records == report.taken:
        return f"{report.taken} of {report.found} records"
    return f"{plural(report.taken, 'window')} of {plural(report.records, 'record')} (of {report.found:,})"


def _show_rejected(report: "IngestReport", out: Path) -> None:
    rows = [{"record": r.record_id, "stage": r.stage, "reason": r.reason} for r in report.rejected[:SHOWN]]
    print_table(f"{len(report.rejected)} rejected", rows)
    if len(report.rejected) > SHOWN:
        say(f"... and {len(report.rejected) - SHOWN} more in {out / 'ledger.parquet'}")


def _kind(stage: str, reason: str) -> str:
    """Return a reason with dots for its record-specific parts, so that equal reasons are counted together."""
    words = ["..." if re.search(r"[\d/]", word) else word for word in re.split(r";|\. ", reason)[0].split()]
    return f"rejected ({stage}): {' '.join(word for word, _ in groupby(words))}"
