"""Printing of tables, lines and progress bars.

On a terminal, tables have border lines and headings are bold. If the output is not a terminal (a pipe, a file, a log)
or ``NO_COLOR`` is set, only plain text is written; `ecgkit.cli.layout` lays out the tables. With ``--json``, stdout
holds JSON alone, and all other text goes to stderr.
"""

import json
import math
import os
import sys
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
from rich.table import Column
from rich.text import Text

from ecgkit.choices import INHERITED, Choice, chosen
from ecgkit.cli.layout import blocks, boxed, columns, facts, fits
from ecgkit.wording import visible


class _SafeConsole(Console):
    """A console on which no text controls the terminal. Names of files and texts of datasets pass through it."""

    def render_str(self, text: str, *args: Any, **kwargs: Any) -> Text:
        """Return a text as it is shown."""
        return super().render_str(visible(text), *args, **kwargs)


def _console(*, stderr: bool) -> Console:
    """Return a console; with ``NO_COLOR`` it writes no escape sequences at all, not even for bold."""
    if os.environ.get("NO_COLOR"):
        return _SafeConsole(stderr=stderr, highlight=False, emoji=False, color_system=None)
    return _SafeConsole(stderr=stderr, highlight=False, emoji=False)


console = _console(stderr=False)
# Progress goes to stderr, so that stdout can be piped.
errors = _console(stderr=True)

_shown: list[Progress] = []  # the bars that are on the screen
_people = [console]  # where text for people goes
_told: list[Choice] = []  # the choices that have been printed
_next: list[str] = []  # what to do next


def as_json_wanted(wanted: bool) -> bool:
    """Send all text except JSON to stderr if JSON is wanted; ``--json`` calls this before the command runs."""
    _people[0] = errors if wanted else console
    return wanted


BAR, NARROW_BAR, ROOMY = 40, 16, 120  # columns of a bar, and of a terminal that has room for the wide one
WIDEST_NUMBERS = 42  # columns of spinner, counts, rate and time left
MOST_BARS = 4  # at once


def begin() -> None:
    """Forget what an earlier command of this process has said."""
    as_json_wanted(False)
    _told.clear()
    _next.clear()


Watch = Callable[[str, int, int], None]
JsonOption = Annotated[
    bool,
    typer.Option("--json", callback=as_json_wanted, help="Print JSON to stdout, and all other text to stderr."),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
WorkersOption = Annotated[
    int,
    typer.Option("--workers", min=1, help="Number of processes. The result does not depend on it."),
]
FittingWorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Number of processes. Default: as many as pay. The result does not depend on it."
    ),
]
DaskOption = Annotated[
    str,
    typer.Option("--dask", help="Address of a Dask scheduler to use instead of --workers, such as tcp://host:8786."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Random seed.")]
DeviceOption = Annotated[
    str, typer.Option("--device", help="Device to compute on: auto (a GPU if there is one), cpu, cuda or cuda:N.")
]


def say(line: str) -> None:
    """Print a line without markup.

    While progress bars are on the same terminal, the line is printed above them.
    """
    through = errors if console.is_terminal and _shown else _people[0]
    through.print(escape(_wrapped(line, through)), soft_wrap=True)


def say_choices() -> None:
    """Print in one line the values that the command chose itself and has not said yet; nothing if there are none."""
    new = [choice for choice in chosen() if choice not in _told]
    if new and INHERITED not in os.environ:
        say(f"using {', '.join(map(str, new))}")
    _told[:] = chosen()


def next_is(command: str) -> None:
    """State what a user would sensibly do next; the program prints it last, on stderr, if the command succeeds."""
    _next[:] = [command]


def say_next() -> None:
    """Print what to do next, if the command has stated it."""
    if _next and INHERITED not in os.environ:
        errors.print(f"[dim]next:[/] {escape(_wrapped(_next.pop(), errors))}", soft_wrap=True)


def warn(line: str) -> None:
    """Print a warning to stderr."""
    _print_marked("warning:", "yellow", line)


def say_losses() -> None:
    """Say how many workers died during the command, if any did."""
    executor = sys.modules.get("ecgkit.executor")  # a command that started no worker has not imported it
    count = executor.lost_workers() if executor else 0
    if count == 1:
        say("1 worker ended before its work was done. The work was done again; the result is the same")
    elif count:
        say(f"{count} workers ended before their work was done. The work was done again; the result is the same")


def tell_error(line: str) -> None:
    """Print an error to stderr."""
    _print_marked("error:", "red", line)


def _print_marked(word: str, colour: str, line: str) -> None:
    text = _wrapped(f"{word} {line}", errors).removeprefix(word)
    errors.print(f"[{colour}]{word}[/]{escape(text)}", soft_wrap=True)


def _wrapped(text: str, out: Console) -> str:
    """Break lines between words if `out` is a terminal; a path that is longer than a line is not broken."""
    if not out.is_terminal:
        return text
    fill = partial(textwrap.fill, width=out.width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(fill, text.split("\n")))


def print_table(title: str, rows: Sequence[Mapping[str, Any]], *, numeric: Sequence[str] = ()) -> None:
    """Print rows as a table; the keys of the first row are the columns.

    Args:
        title: Title above the table.
        rows: The rows. Each is a dictionary of its cells by column name.
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
        title: Title above the columns.
        values: Value by name.
    """
    out = _people[0]
    out.print(f"[bold]{escape(_wrapped(title, out))}[/]", soft_wrap=True)
    _print_lines(facts(values, out.width if out.is_terminal else None))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        _people[0].print(line, soft_wrap=True, markup=False)


def print_json(values: Any) -> None:
    """Print a value as JSON; NaN and infinity become null."""
    print(json.dumps(plain(values), indent=2, default=str, allow_nan=False))


def plain(value: Any) -> Any:
    """Return a value in JSON's types, at any depth: arrays become lists, NaN and infinity become None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def bars(*, transient: bool = True) -> Progress:
    """Return progress bars with rate and time left; each task needs a field `rate`."""
    room = max(12, errors.width - WIDEST_NUMBERS - (BAR if errors.width >= ROOMY else NARROW_BAR))
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=room)),
        BarColumn(BAR if errors.width >= ROOMY else NARROW_BAR),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", table_column=Column(no_wrap=True)),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=errors, disable=not errors.is_terminal, transient=transient)


@contextmanager
def on_screen(shown: Progress) -> Iterator[None]:
    """Record that progress bars are on the screen, so that `say` prints above them."""
    _shown.append(shown)
    try:
        yield
    finally:
        _shown.remove(shown)


def watch_on(shown: Progress) -> Watch:
    """Return ``watch(stage, done, total)``, which moves one progress bar per stage.

    When a stage begins, the bars of finished stages are removed, and so is the oldest bar if there are many.
    """
    tasks: dict[str, Any] = {}

    def watch(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            ended = [name for name, task in tasks.items() if shown.tasks[shown.task_ids.index(task)].finished]
            for name in ended or list(tasks)[: max(0, len(tasks) + 1 - MOST_BARS)]:
                shown.remove_task(tasks.pop(name))
            tasks[stage] = shown.add_task(stage, total=total, rate="")
        speed = shown.tasks[shown.task_ids.index(tasks[stage])].speed
        shown.update(tasks[stage], completed=done, total=total, rate=f"{speed:.1f}/s" if speed else "")

    return watch


@contextmanager
def progress() -> Iterator[Watch]:
    """Show progress bars with rate and time left; yield ``watch(stage, done, total)``."""
    with bars() as shown, on_screen(shown):
        yield watch_on(shown)
