"""How rows are laid out: as a table, or below each other where a table would not fit.

On a terminal no word is broken and no heading is cut: text wraps between words, and rows that need more columns than
the terminal has are written as blocks, one line per cell. Elsewhere a row is one line of full width.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich.markup import escape
from rich.table import Table

Rows = Sequence[Mapping[str, Any]]
LONGEST_WORD = 40  # a longer one, such as a path or a hash, may be broken
INDENT = "  "


def fits(rows: Rows, width: int) -> bool:
    """Return whether a table of these rows fits into a terminal without breaking a word."""
    return sum(_needed(rows, column) for column in rows[0]) + 3 * len(rows[0]) + 1 <= width


def boxed(rows: Rows, numeric: Sequence[str]) -> Table:
    """Return rows as a table with lines, whose text wraps between words."""
    table = Table(header_style="bold")
    for column in rows[0]:
        justify = "right" if column in numeric else "left"
        table.add_column(column, justify=justify, overflow="fold", min_width=_needed(rows, column))  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row.values()))
    return table


def _needed(rows: Rows, column: str) -> int:
    """Return the width of a column's longest word."""
    texts = [column, *(str(row[column]) for row in rows)]
    return max((min(len(word), LONGEST_WORD) for text in texts for word in text.split()), default=1)


def blocks(rows: Rows, width: int) -> Iterator[str]:
    """Yield rows below each other: the first cell, and below it each other cell that is not empty, with its heading."""
    first, *others = rows[0]
    for row in rows:
        yield str(row[first])
        cells = {name: str(row[name]) for name in others if str(row[name])}
        for line in facts(cells, width - len(INDENT)):
            yield INDENT + line


def facts(values: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """Yield names and values in two columns; a longer value goes on below itself.

    Args:
        values: Value by name.
        width: Of the terminal; None for lines of full width.
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
    """Yield lines of columns two blanks apart, as wide as their cells; a cell's own lines stand below each other."""
    cells = [list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    split = [[cell.split("\n") for cell in row] for row in cells]
    widths = [max(len(line) for row in split for line in row[c]) for c in range(len(cells[0]))]
    right = [column in numeric for column in rows[0]]
    for row in split:
        for line in zip_longest(*row, fillvalue=""):
            pairs = zip(line, widths, right, strict=True)
            yield "  ".join(text.rjust(width) if r else text.ljust(width) for text, width, r in pairs).rstrip()
