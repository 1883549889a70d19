"""What commands print: tables, lines and progress.

On a terminal tables have lines and headings stand out. Where the output is no terminal (a pipe, a file, a log), or
``NO_COLOR`` is set, nothing but text is written; `ecgkit.cli.layout` says how tables then look. With ``--json`` stdout
holds JSON and nothing else, and what is meant for people goes to stderr.
"""

import json
import math
import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
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

from ecgkit.cli.layout import blocks, boxed, columns, facts, fits


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
    typer.Option("--json", callback=as_json_wanted, help="Print JSON to stdout, and all other text to stderr."),
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
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of all random numbers.")]
DeviceOption = Annotated[str, typer.Option("--device", help="Device to compute on: auto, cpu, cuda or cuda:N.")]


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
    elif not out.is_terminal:
        _print_lines(columns(rows, numeric))
    elif fits(rows, out.width, numeric):
        out.print(boxed(rows, numeric, out.width))
    else:
        _print_lines(blocks(rows, out.width))


def print_facts(title: str, values: Mapping[str, Any]) -> None:
    """Print names and values in two columns.

    Args:
        title: Above them.
        values: Value by name.
    """
    out = _people[0]
    out.print(f"[bold]{escape(_wrapped(title, out))}[/]", soft_wrap=True)
    _print_lines(facts(values, out.width if out.is_terminal else None))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        _people[0].print(line, soft_wrap=True, markup=False)


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
    """Return ``watch(stage, done, total)`` that moves a bar per stage."""
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
