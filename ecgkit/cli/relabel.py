"""``ecgkit relabel``."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.render import JsonOption, next_is, print_json, print_table, say


def relabel(
    store: Annotated[Path, typer.Argument(help="Store to change.", autocompletion=completion.stores)],
    table: Annotated[
        Path,
        typer.Argument(help="CSV, TSV, Parquet or Excel table: record ids, and columns named as those of the store."),
    ],
    record_column: Annotated[
        str, typer.Option(help="Column of the table that holds the record's id. Default: record_id.")
    ] = "record_id",
    as_json: JsonOption = False,
) -> None:
    """Change labels, reports, patients, folds or other facts of a store, with a log.

    Records that TABLE does not list keep their values; an empty cell empties a value. Signals, leads and rates cannot
    be changed. The store gets a new content hash, and changes.jsonl in it a line that says what has changed.
    """
    change = ecgkit.relabel(store, table, record_column=record_column)
    if not change.records:
        say(f"{store} holds these values already; nothing has changed")
    else:
        say(f"{change.records} records of {store} changed: content {change.before[:16]} is now {change.after[:16]}")
    print_table("Changes", [{"column": name, "records": n} for name, n in change.columns.items()], numeric=["records"])
    next_is(f"ecgkit inspect {shlex.quote(str(store))}")
    if as_json:
        print_json(asdict(change))
