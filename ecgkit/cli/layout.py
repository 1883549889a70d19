"""Layout of rows: a table, or one block per row if the table does not fit the terminal.

On a terminal no word is broken and no heading is cut: text wraps between words, and rows that need more columns than
the terminal has are written as blocks, one line per cell. Elsewhere a row is one line of full width.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich import box
from rich.console import JustifyMethod
from rich.markup import escape
from rich.table import Table

Rows = Sequence[Mapping[str, Any]]
LONGEST_WORD = 40  # a longer one, such as a path or a hash, may be broken
INDENT = "  "


def fits(rows: Rows, width: int, numeric: Sequence[str] = ()) -> bool:
    """Return whether a table of these rows fits into a terminal without breaking a word, or a cell of `numeric`."""
    return sum(_least_widths(rows, numeric).values()) + len(rows[0]) + 1 <= width


def boxed(rows: Rows, numeric: Sequence[str], width: int) -> Table:
    """Return rows as a table whose text wraps between words; it has border lines if they fit."""
    least = _least_widths(rows, numeric)
    table, around = Table(header_style="bold"), 3 * len(least) + 1
    if sum(least.values()) + around > width:
        table.box, table.padding, around = box.SIMPLE_HEAD, (0, 0, 0, 0), len(least) + 1
    for column, wide in _widths(rows, least, width - around).items():
        justify: JustifyMethod = "right" if column in numeric else "left"
        table.add_column(column, justify=justify, overflow="fold", width=wide)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row.values()))
    return table


def _least_widths(rows: Rows, numeric: Sequence[str]) -> dict[str, int]:
    """Return the least width of each column: its longest word, or its longest cell if it is numeric."""
    found = {}
    for column in rows[0]:
        cells = [str(row[column]) for row in rows]
        parts = cells if column in numeric else [word for cell in cells for word in cell.split()]
        found[column] = max((min(len(part), LONGEST_WORD) for part in [*column.split(), *parts]), default=1)
    return found


def _widths(rows: Rows, least: Mapping[str, int], room: int) -> dict[str, int]:
    """Return column widths whose sum is at most `room`; the widest columns shrink first, none below its least."""
    widths = {column: max(map(len, [column, *(str(row[column]) for row in rows)])) for column in least}
    while sum(widths.values()) > room:
        able = [column for column in widths if widths[column] > least[column]]
        if not able:
            break
        widths[max(able, key=widths.__getitem__)] -= 1
    return widths


def blocks(rows: Rows, width: int) -> Iterator[str]:
    """Yield each row as a block: its first cell, then one line per other non-empty cell with its heading."""
    first, *others = rows[0]
    for row in rows:
        yield str(row[first])
        cells = {name: str(row[name]) for name in others if str(row[name])}
        for line in facts(cells, width - len(INDENT)):
            yield INDENT + line


def facts(values: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """Yield names and values in two columns; a long value wraps within its column.

    Args:
        values: Value by name.
        width: Width of the terminal in characters; None for lines of any length.
    """
    left = max((len(name) for name in values), default=0) + 2
    for name, value in values.items():
        lines = str(value).splitlines() or [""]
        if width is not None:
            room = max(20, width - left)
            lines = [part for line in lines for part in textwrap.wrap(line, room, break_on_hyphens=False) or [""]]
        for start, line in zip_longest([name], lines, fillvalue=""):
            yield f"{start:<{left}}{line}".rstrip()


def columns(rows: Rows, numeric: Sequence[str]) -> Iterator[str]:
    """Yield lines of columns two blanks apart, as wide as their cells; a cell may have several lines."""
    cells = [list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    split = [[cell.split("\n") for cell in row] for row in cells]
    widths = [max(len(line) for row in split for line in row[c]) for c in range(len(cells[0]))]
    right = [column in numeric for column in rows[0]]
    for row in split:
        for line in zip_longest(*row, fillvalue=""):
            pairs = zip(line, widths, right, strict=True)
            yield "  ".join(text.rjust(width) if r else text.ljust(width) for text, width, r in pairs).rstrip()
