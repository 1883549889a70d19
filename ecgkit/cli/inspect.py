"""``ecgkit inspect``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli import completion, inspect_view
from ecgkit.cli.render import JsonOption, next_is, print_json, progress, say, say_choices
from ecgkit.errors import ConfigError

if TYPE_CHECKING:
    from ecgkit.api.inspect import RecordDetails


def inspect(
    store: Annotated[
        Path | None,
        typer.Argument(
            metavar="STORE|RUN",
            help="Store to inspect. Default: the only store in this folder. With --reconstruct or --lead-worth, a run "
            "folder. Default: the run that finished last.",
            autocompletion=completion.stores,
        ),
    ] = None,
    record: Annotated[str, typer.Option(help="Id of a record to show.")] = "",
    out: Annotated[Path | None, typer.Option(help="PNG file of the drawing.")] = None,
    start: Annotated[
        str,
        typer.Option(help="With --record, where the drawing begins: seconds, or H:MM:SS. Default: the record's start."),
    ] = "",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=10, help="With --record, length of the drawing in s, at most 10.")
    ] = 10.0,
    quality: Annotated[
        bool, typer.Option("--quality", help="Show the number of records with each quality flag.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="HTML file of a quality page: counts of the quality flags, and the worst records."),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare every record and all views with their checksums."),
    ] = False,
    overlap: Annotated[
        Path | None, typer.Option(help="Second store. Shows the records and patients that both stores share.")
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            help="Show which records a statement is true of, such as: atrial fibrillation and not (paced or age < 18). "
            "It names entities of the reports, labels, flags and columns."
        ),
    ] = "",
    entities: Annotated[
        str, typer.Option(help="With --where, name of the extraction whose entities are meant. Default: the only one.")
    ] = "",
    csv: Annotated[
        Path | None, typer.Option(help="With --where, CSV file for record id, patient id and fold of each record.")
    ] = None,
    lead_worth: Annotated[
        bool,
        typer.Option(
            "--lead-worth", help="Show how far the AUROC of a supervised run falls without each lead, on --task."
        ),
    ] = False,
    as_json: JsonOption = False,
    reconstruct: Annotated[
        bool,
        typer.Option(
            "--reconstruct", help="Draw the record and its reconstruction by a run's masked model into --out."
        ),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="With --reconstruct or --lead-worth, the store of the records.")
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            help="With --lead-worth, the task that the run was trained on: a name or a YAML file.",
            autocompletion=completion.tasks,
        ),
    ] = "",
) -> None:
    """Show the contents of a store, or one of its records. With --out, draw the record.

    The drawing has the clinical layout: 25 mm/s, 10 mm/mV, three rows of four leads and a rhythm strip.
    """
    from ecgkit.workspace.defaults import the_run, the_store, the_store_of
    from ecgkit.workspace.next_step import after_run, after_store

    if lead_worth or reconstruct:
        run = the_run(store, "ecgkit inspect")
        of = the_store_of(run, data, "ecgkit inspect")
        say_choices()
        if lead_worth:
            from ecgkit.cli.lead_worth import show_lead_worth

            show_lead_worth(run, of, task, as_json)
        else:
            _reconstruct(run, of, record, out)
        next_is(after_run(run))
        return
    asked = [bool(record), bool(quality or html), overlap is not None, bool(where), verify]
    _check_store(record, out, html, data, task, asked=asked)
    if (entities or csv) and not where:
        raise ConfigError("--entities or --csv without --where", "", "Add --where STATEMENT, or leave the option out.")
    path = the_store(store, "ecgkit inspect")
    say_choices()
    if record:
        _show_record(path, record, out, start, seconds, as_json)
    elif overlap is not None:
        _show_overlap(path, overlap, as_json)
    elif quality or html:
        _show_quality(path, html, as_json)
    elif verify:
        _verify(path, as_json)
    elif where:
        _show_records(path, where, entities, csv, as_json)
    else:
        _show_store(path, as_json)
    next_is(after_store(path))


def _check_store(
    record: str, out: Path | None, html: Path | None, data: Path | None, task: str, *, asked: list[bool]
) -> None:
    """Refuse options that would have no effect, before anything is read.

    Raises:
        ConfigError: More than one view of a store is asked for, or an option belongs to another view.
    """
    if data is not None or task:
        raise ConfigError(
            "--data or --task without --reconstruct or --lead-worth", "", "Add one of these, or leave the option out."
        )
    if out is not None and not record:
        raise ConfigError("--out without --record", "", "Name the record to draw: --record ID.")
    if sum(asked) > 1:
        raise ConfigError("--record, --quality, --overlap, --verify and --where at once", "", "Give only one of them.")


def _show_store(store: Path, as_json: bool) -> None:
    summary = ecgkit.inspect_store(store)
    if as_json:
        print_json(asdict(summary))
    else:
        inspect_view.show_store(store.name, summary, ecgkit.open_store(store).store.ledger)


def _show_quality(store: Path, html: Path | None, as_json: bool) -> None:
    counts = ecgkit.inspect_quality(store, html=html)
    if as_json:
        print_json(asdict(counts))
    else:
        inspect_view.show_quality(store.name, counts)
    if html is not None:
        say(f"wrote {html}")


def _verify(store: Path, as_json: bool) -> None:
    with progress() as watch:
        found = ecgkit.verify_store(store, progress=watch)
    if as_json:
        print_json(asdict(found))
        return
    say(f"{store.name}: {found.records} records and {found.rows} rows of {found.views} views are as they were stored")
    if found.outdated:
        say(f"made again when they are needed: views {', '.join(found.outdated)}")


def _show_overlap(first: Path, second: Path, as_json: bool) -> None:
    both = ecgkit.inspect_overlap(first, second)
    if as_json:
        print_json(asdict(both))
    else:
        inspect_view.show_overlap(first.name, second.name, both)


def _show_records(store: Path, where: str, entities: str, csv: Path | None, as_json: bool) -> None:
    found = ecgkit.find_records(store, where, entities=entities, csv=csv)
    if as_json:
        print_json(found.to_dict())
    else:
        inspect_view.show_cohort(store.name, found)
    if csv is not None:
        say(f"wrote {csv}")


def _show_record(store: Path, record: str, out: Path | None, start: str, seconds: float, as_json: bool) -> None:
    details = ecgkit.inspect_record(store, record, out=out, start=start, seconds=seconds)
    if as_json:
        print_json(details.values)
    elif out is None:
        inspect_view.show_record(f"{store.name}, record {record}", details)
    if out is not None:
        say(f"drew {out}{_peaks(details)}")


def _peaks(details: "RecordDetails") -> str:
    """Describe the R peaks that a drawing shows."""
    if details.rpeaks is None:
        return ""
    if details.rpeaks_by == "reference":
        return f" with {len(details.rpeaks)} reference R peaks"
    flag = f" ({details.rpeaks_flag})" if details.rpeaks_flag else ""
    return f" with {len(details.rpeaks)} R peaks by {details.rpeaks_by}{flag}"


def _reconstruct(run: Path, data: Path, record: str, out: Path | None) -> None:
    """Draw a record and its reconstruction by a masked model."""
    if out is None:
        raise ConfigError("--reconstruct without --out", "", "Add --out PICTURE.png.")
    with progress() as watch:
        rebuilt = ecgkit.inspect_reconstruction(run, data=data, out=out, record=record, progress=watch)
    inspect_view.show_reconstruction(out, rebuilt)
