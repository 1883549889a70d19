"""What commands print: tables, lines and progress. Plain where the output is no terminal, or ``NO_COLOR`` is set."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

console = Console(highlight=False)
# Progress goes to stderr, so that stdout can be piped.
errors = Console(stderr=True, highlight=False)

_shown: list[Progress] = []  # the bars that are on the screen

Watch = Callable[[str, int, int], None]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]


def say(line: str) -> None:
    """Print a line as it is.

    While bars are on the same terminal, the line goes through their console, which keeps them below it.
    """
    through = errors if console.is_terminal and _shown else console
    through.print(escape(line), soft_wrap=True)


def warn(line: str) -> None:
    """Print a warning to stderr."""
    errors.print(f"[yellow]warning:[/] {escape(line)}", soft_wrap=True)


def print_table(title: str, rows: Sequence[Mapping[str, Any]], *, numeric: Sequence[str] = ()) -> None:
    """Print rows as a table; the keys of the first are the columns.

    Args:
        title: Above the table.
        rows: Cells by column.
        numeric: Columns to align right.
    """
    console.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
    if not rows:
        say("none")
        return
    table = Table(header_style="bold")
    for column in rows[0]:
        table.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row.values()))
    console.print(table)


def print_json(values: Any) -> None:
    """Print JSON and nothing else; see `plain` for what becomes null."""
    print(json.dumps(plain(values), indent=2, default=str, allow_nan=False))


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: arrays as lists, and None for NaN and infinity, at any depth."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def bars(*, transient: bool = True) -> Progress:
    """Return bars with rate and time left; a task of theirs has a field `rate`."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=errors, disable=not errors.is_terminal, transient=transient)


@contextmanager
def on_screen(shown: Progress) -> Iterator[None]:
    """Note that bars are on the screen, so that `say` keeps above them."""
    _shown.append(shown)
    try:
        yield
    finally:
        _shown.remove(shown)


def watch_on(shown: Progress) -> Watch:
    """Return ``watch(stage, done, total)`` that moves a bar a stage."""
    tasks: dict[str, Any] = {}

    def watch(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = shown.add_task(stage, total=total, rate="")
        speed = shown.tasks[shown.task_ids.index(tasks[stage])].speed
        shown.update(tasks[stage], completed=done, total=total, rate=f"{speed:.1f}/s" if speed else "")

    return watch


@contextmanager
def progress() -> Iterator[Watch]:
    """Show bars with rate and time left; yield ``watch(stage, done, total)``."""
    with bars() as shown, on_screen(shown):
        yield watch_on(shown)
