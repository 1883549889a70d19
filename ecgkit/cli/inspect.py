"""``ecgkit inspect``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgkit.cli.render import JsonOption, plain, print_json, print_table, say
from ecgkit.wording import percent

if TYPE_CHECKING:
    from ecgkit.store.reader import Store
    from ecgkit.store.summary import FlagCount, StoreSummary

SHOWN = 20


def inspect(
    store: Annotated[
        Path, typer.Argument(metavar="STORE|RUN", help="A store; or a run, with --reconstruct or --attention.")
    ],
    record: Annotated[str, typer.Option(help="Show this record instead of the whole.")] = "",
    out: Annotated[Path | None, typer.Option(help="Draw the record as a PNG in clinical layout.")] = None,
    quality: Annotated[bool, typer.Option("--quality", help="Show how many records have which quality flag.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page of quality, with the worst records.")] = None,
    overlap: Annotated[Path | None, typer.Option(help="Show records and patients that this store has too.")] = None,
    attention: Annotated[
        bool,
        typer.Option("--attention", help="Of a run: where it looks in --record, or what leads are worth to --task."),
    ] = False,
    as_json: JsonOption = False,
    reconstruct: Annotated[
        bool, typer.Option("--reconstruct", help="Draw what a run's masked model rebuilds of a record, into --out.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Of a run: the store of the record.")] = None,
    task: Annotated[str, typer.Option(help="For --attention: the task that the run was trained on.")] = "",
) -> None:
    """Show what a store holds, or one of its records; with --out, draw the record.

    The picture is the clinical layout: 25 mm/s, 10 mm/mV, three rows of four leads and a rhythm strip.
    """
    from ecgkit.errors import ConfigError
    from ecgkit.store.reader import Store

    if reconstruct:
        from ecgkit.cli import inspect_run

        inspect_run.reconstruct(store, data, record, out)
        return
    if attention:
        from ecgkit.cli.attention import show_attention

        show_attention(store, data, record, task, out, as_json)
        return
    if data is not None or task:
        raise ConfigError("--data or --task of a store", "a run to look into, with --reconstruct or --attention")
    _check(record, out, html, asked=[bool(record), bool(quality or html), overlap is not None])
    opened = Store(store)
    if record:
        _show_record(opened, record, out, as_json)
    elif overlap is not None:
        _show_overlap(opened, Store(overlap), as_json)
    elif quality or html:
        _show_quality(opened, html, as_json)
    else:
        _show_store(opened, as_json)


def _check(record: str, out: Path | None, html: Path | None, *, asked: list[bool]) -> None:
    """Refuse options that do not go together, before anything is read.

    Raises:
        ConfigError: More than one view of a store is asked for, or a picture of no record.
        OutputError: A file's name does not say what it will be.
    """
    from ecgkit.atomic import check_suffix
    from ecgkit.errors import ConfigError

    if out is not None and not record:
        raise ConfigError("--out without --record", "the id of the record to draw")
    if sum(asked) > 1:
        raise ConfigError("--record, --quality and --overlap at once", "one of them")
    for path, suffix in ((out, ".png"), (html, ".html")):
        if path is not None:
            check_suffix(path, suffix)


def _show_quality(store: "Store", html: Path | None, as_json: bool) -> None:
    from ecgkit.store.summary import count_flags

    counts = count_flags(store)
    if as_json:
        print_json({"records": len(store), "flags": [asdict(count) for count in counts]})
    else:
        rows = [_quality_row(count, len(store)) for count in counts]
        print_table(f"{store.name}: quality of {len(store)} records", rows, numeric=["records", "share"])
    if html is not None:
        from ecgkit.reporting.page.quality import write_quality_page

        write_quality_page(store, html)
        say(f"wrote {html}")


def _quality_row(count: "FlagCount", records: int) -> dict[str, Any]:
    return {
        "flag": count.flag,
        "records": count.records,
        "share": f"{percent(count.records / records)} %" if records else "",
        "leads": ", ".join(f"{lead} ({n})" for lead, n in count.leads.items()),
        "means": count.meaning,
    }


def _show_overlap(first: "Store", second: "Store", as_json: bool) -> None:
    from ecgkit.store.summary import overlap

    both = overlap(first, second)
    if as_json:
        print_json(asdict(both))
        return
    ids = f"{len(both.patients)} ({both.records[0]} and {both.records[1]} records)"
    lines = {
        "records": f"{len(first)} and {len(second)}",
        "same waveform": f"{len(both.waveforms)} pairs",
        "same patient": ids if both.comparable else "cannot be told: the stores come from different datasets",
    }
    print_table(f"{first.name} and {second.name}", [{"what": what, "value": value} for what, value in lines.items()])
    if both.waveforms:
        shown = [{first.name: a, f"{second.name} ": b} for a, b in both.waveforms[:SHOWN]]
        rest = f", the first {SHOWN}" if len(both.waveforms) > SHOWN else ""
        print_table(f"Same waveform{rest}", shown)
    if both.patients:
        more = f" and {len(both.patients) - SHOWN} more" if len(both.patients) > SHOWN else ""
        say(f"Patients in both: {', '.join(both.patients[:SHOWN])}{more}")


def _show_store(store: "Store", as_json: bool) -> None:
    from ecgkit.store.summary import summarize

    summary = summarize(store)
    if as_json:
        print_json(asdict(summary))
        return
    print_table(store.name, [{"what": what, "value": value} for what, value in _lines(summary).items()])
    labels = list(summary.labels.items())
    if labels:
        rows = [{"code": code, "records": n} for code, n in labels[:SHOWN]]
        rest = f", {SHOWN} most frequent" if len(labels) > SHOWN else ""
        print_table(f"{len(labels)} labels ({summary.code_system}){rest}", rows, numeric=["records"])
    if len(store.ledger):
        ledger = store.ledger.head(SHOWN)
        columns = {name: ledger[name].tolist() for name in ("record_id", "stage", "reason")}
        refused = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        print_table(f"Ledger: {len(store.ledger)} records could not be taken", refused)


def _lines(summary: "StoreSummary") -> dict[str, str]:
    low, high = summary.seconds
    lines = {
        "made from": summary.dataset,
        "records": f"{summary.records}",
        "patients": f"{summary.patients}" if summary.patients else "ids unknown",
        "leads": _counts(summary.leads, summary.records),
        "derived from I and II": _counts(summary.derived, summary.records) or "none",
        "rate (Hz)": _counts(summary.rates, summary.records),
        "length (s)": f"{low:g}" if low == high else f"{low:g} to {high:g}",
        "unit": _counts(summary.units, summary.records),
        "folds": ", ".join(f"{fold}: {n}" for fold, n in summary.folds.items()),
        "with report": f"{summary.reports}",
        "with reference R peaks": f"{summary.rpeaks}",
        "quality flags": _counts(summary.flags, -1) or "none",
        "same waveform twice": f"{summary.duplicates}",
        "rejected (ledger)": _counts(summary.rejected, -1) or "none",
        "content sha256": summary.sha256,
    }
    if "NU" in summary.units:
        lines["unit"] += " (NU: the source gives no unit; amplitudes are no mV)"
    if summary.clipped:
        lines["beyond +-32.767 mV"] = f"{summary.clipped}, cut to it"
    return lines


def _counts(counts: dict[str, int], total: int) -> str:
    """Join names, with a count behind those that not every record has."""
    return ", ".join(name if n == total else f"{name} ({n})" for name, n in counts.items())


def _show_record(store: "Store", record: str, out: Path | None, as_json: bool) -> None:
    row = store.row(record)
    values = {str(name): plain(value) for name, value in store.table.iloc[row].items() if name != "rpeaks"}
    if as_json:
        print_json(values)
    elif out is None:
        shown = {name: value for name, value in values.items() if value is not None}
        print_table(f"{store.name}, record {record}", [{"column": n, "value": v} for n, v in shown.items()])
    if out is not None:
        _draw_record(store, row, values, out)


def _draw_record(store: "Store", row: int, values: dict[str, Any], out: Path) -> None:
    from ecgkit.reporting.pictures.ecg import plot_ecg

    recording = store.recording(row)
    # Readers give what their dataset has: a column may be missing, or empty for this record.
    labels = ", ".join(values.get("labels") or ())
    person = " ".join(str(v) for v in (values.get("sex"), _years(values.get("age"))) if v)
    subtitle = "   ".join(part for part in (person, labels) if part)
    rpeaks, source = _rpeaks(store, row, recording.rpeaks)
    plot_ecg(recording, out, title=f"{store.name}  record {values['record_id']}", subtitle=subtitle, rpeaks=rpeaks)
    say(f"drew {out}{source}")


def _rpeaks(store: "Store", row: int, reference: Any) -> tuple[Any, str]:
    """Return the R peaks to mark, and whose they are: those that 'ecgkit beats' found, else the dataset's own."""
    from ecgkit.beats.peaks import has_peaks, read_peaks

    if not has_peaks(store):
        return reference, "" if reference is None else f" with {len(reference)} reference R peaks"
    peaks = read_peaks(store)
    flag = f" ({peaks.flags[row]})" if peaks.flags[row] else ""
    return peaks.of(row), f" with {len(peaks.of(row))} R peaks by {peaks.attributes['detector']}{flag}"


def _years(age: float | None) -> str:
    return "" if age is None else f"{age:g} y"
