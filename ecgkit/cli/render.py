"""What commands print: tables, lines and progress.

On a terminal tables have lines and headings stand out. Where the output is no terminal (a pipe, a file, a log), or
``NO_COLOR`` is set, nothing but text is written; a table is then columns of full width, a row a line. With ``--json``
stdout holds JSON and nothing else, and what is meant for people goes to stderr.
"""

import json
import math
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console, JustifyMethod
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


def _console(*, stderr: bool) -> Console:
    """Return a console; with ``NO_COLOR`` one that writes no escape sequence for any style, bold included."""
    if os.environ.get("NO_COLOR"):
        return Console(stderr=stderr, highlight=False, color_system=None)
    return Console(stderr=stderr, highlight=False)


console = _console(stderr=False)
# Progress goes to stderr, so that stdout can be piped.
errors = _console(stderr=True)

_shown: list[Progress] = []  # the bars that are on the screen
_people = [console]  # where text for people goes


def as_json_wanted(wanted: bool) -> bool:
    """Send what is meant for people to stderr if stdout is to hold JSON; ``--json`` calls it before the command."""
    _people[0] = errors if wanted else console
    return wanted


Watch = Callable[[str, int, int], None]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", callback=as_json_wanted, help="Print JSON to stdout; what is meant for people goes to stderr."
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
WorkersOption = Annotated[
    int,
    typer.Option("--workers", min=1, help="Number of processes that share the work. It does not change the result."),
]
DaskOption = Annotated[
    str,
    typer.Option("--dask", help="Address of a Dask scheduler, such as tcp://host:8786, whose workers do the work."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]


def say(line: str) -> None:
    """Print a line as it is.

    While bars are on the same terminal, the line goes through their console, which keeps them below it.
    """
    through = errors if console.is_terminal and _shown else _people[0]
    through.print(escape(_wrapped(line, through)), soft_wrap=True)


def warn(line: str) -> None:
    """Print a warning to stderr."""
    text = _wrapped(f"warning: {line}", errors).removeprefix("warning:")
    errors.print(f"[yellow]warning:[/]{escape(text)}", soft_wrap=True)


def _wrapped(text: str, out: Console) -> str:
    """Break lines between words where `out` is a terminal; a path that is longer than a line stays whole."""
    if not out.is_terminal:
        return text
    fill = partial(textwrap.fill, width=out.width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(fill, text.split("\n")))


def print_table(title: str, rows: Sequence[Mapping[str, Any]], *, numeric: Sequence[str] = ()) -> None:
    """Print rows as a table; the keys of the first are the columns.

    Args:
        title: Above the table.
        rows: Cells by column.
        numeric: Columns to align right.
    """
    out = _people[0]
    out.print(f"[bold]{escape(_wrapped(title, out))}[/]", soft_wrap=True)
    if not rows:
        say("none")
    elif out.is_terminal:
        out.print(_boxed(rows, numeric, out.width))
    else:
        for line in _columns(rows, numeric):
            out.print(line, soft_wrap=True, markup=False)


def _boxed(rows: Sequence[Mapping[str, Any]], numeric: Sequence[str], width: int) -> Table:
    """Return a table with lines that breaks texts between words, and no number, as far as `width` allows."""
    least = {column: _least_width(column, rows, column in numeric) for column in rows[0]}
    table, around = Table(header_style="bold"), 3 * len(least) + 1
    if sum(least.values()) + around > width:  # without lines between columns more fits
        table.box, table.padding, around = box.SIMPLE_HEAD, (0, 0, 0, 0), len(least) + 1
    widths = _widths(rows, least, width - around)
    for column in least:
        justify: JustifyMethod = "right" if column in numeric else "left"
        table.add_column(column, justify=justify, overflow="fold", width=widths.get(column))
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row.values()))
    return table


def _least_width(column: str, rows: Sequence[Mapping[str, Any]], whole_cells: bool) -> int:
    """Return the width in which no word of a column is broken, and with `whole_cells` no cell."""
    cells = [str(row[column]) for row in rows]
    parts = cells if whole_cells else [word for cell in cells for word in cell.split()]
    return max(map(len, [*column.split(), *parts]), default=0)


def _widths(rows: Sequence[Mapping[str, Any]], least: Mapping[str, int], room: int) -> dict[str, int]:
    """Return the widths of columns that fill `room` at most, the widest narrowed first; empty where that is too few."""
    widths = {column: max(map(len, [column, *(str(row[column]) for row in rows)])) for column in least}
    while sum(widths.values()) > room:
        able = [column for column in widths if widths[column] > least[column]]
        if not able:
            return {}
        widths[max(able, key=widths.__getitem__)] -= 1
    return widths


def _columns(rows: Sequence[Mapping[str, Any]], numeric: Sequence[str]) -> Iterator[str]:
    """Yield lines of columns two blanks apart, as wide as their cells; a cell's own lines stand below each other."""
    cells = [list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    split = [[cell.split("\n") for cell in row] for row in cells]
    widths = [max(len(line) for row in split for line in row[c]) for c in range(len(cells[0]))]
    right = [column in numeric for column in rows[0]]
    for row in split:
        for line in zip_longest(*row, fillvalue=""):
            pairs = zip(line, widths, right, strict=True)
            yield "  ".join(text.rjust(width) if r else text.ljust(width) for text, width, r in pairs).rstrip()


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
