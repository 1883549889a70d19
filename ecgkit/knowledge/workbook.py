"""The audit sheet as an Excel workbook: the words of a finding stand out, and the verdicts are chosen from a list.

Needs openpyxl, the extra ``xlsx``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ecgkit.errors import ConfigError, DatasetError
from ecgkit.knowledge.verdicts import ALLOWED, COLUMNS

WIDTHS = {"record_id": 14, "text": 70, "entity": 32, "polarity": 12, "quote": 32, "verdict": 12, "comment": 32}
MARKED = "00B3261E"  # colour of the words of a finding
LONGEST_CELL = 32_000  # characters; Excel allows 32,767
MISSING = "Run: pip install 'ecgkit-learn[xlsx]'"

Spans = tuple[tuple[int, int], ...]


def write_workbook(path: Path, rows: Iterable[tuple[tuple[str, ...], Spans]]) -> None:
    """Write the rows of a sheet, each with the places in its text that stand out.

    Raises:
        ConfigError: openpyxl is not installed.
    """
    openpyxl = _openpyxl()
    from openpyxl.styles import Alignment, Font
    from openpyxl.worksheet.datavalidation import DataValidation

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "audit"
    sheet.append(COLUMNS)
    for row, spans in rows:
        sheet.append([_marked(cell, spans) if name == "text" else _legal(cell) for name, cell in _named(row)])
    for cells in sheet.iter_rows():
        for cell in cells:
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            if isinstance(cell.value, str):
                cell.data_type = "s"  # text, even if it begins like a formula
    for cell in sheet[1]:
        cell.font = Font(bold=True)
        sheet.column_dimensions[cell.column_letter].width = WIDTHS[cell.value]
    verdict = sheet.cell(1, COLUMNS.index("verdict") + 1).column_letter
    choice = DataValidation(type="list", formula1=f'"{",".join(ALLOWED)}"', allow_blank=True)
    choice.add(f"{verdict}2:{verdict}{max(2, sheet.max_row) + 1000}")  # rows for findings that were missed
    sheet.add_data_validation(choice)
    sheet.freeze_panes = "A2"
    with path.open("wb") as file:
        book.save(file)


def read_workbook(path: Path) -> list[dict[str, str]]:
    """Return the rows of a workbook's first sheet, each with the text of its cells by column.

    Raises:
        ConfigError: openpyxl is not installed.
        DatasetError: The file is missing or is not a workbook.
    """
    openpyxl = _openpyxl()
    try:
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            rows = [["" if cell is None else str(cell) for cell in row] for row in book.worksheets[0].values]
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist") from None
    except Exception as error:  # openpyxl raises errors of many kinds for a damaged file
        raise DatasetError(f"{path} cannot be read as a workbook ({type(error).__name__})") from None
    head, *body = rows or [[]]
    return [dict(zip(head, row, strict=False)) for row in body if any(row)]


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError:
        raise ConfigError("an Excel workbook needs openpyxl, which is not installed", remedy=MISSING) from None
    return openpyxl


def _named(row: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    return zip(COLUMNS, row, strict=True)


def _legal(text: str) -> str:
    """Return a text without the control characters that a workbook cannot hold."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    return ILLEGAL_CHARACTERS_RE.sub("\N{REPLACEMENT CHARACTER}", text)[:LONGEST_CELL]


def _marked(text: str, spans: Spans) -> Any:
    """Return a text whose spans are bold and coloured."""
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont
    from openpyxl.styles.colors import Color

    text, parts, last = _legal(text), CellRichText(), 0
    for start, stop in sorted(spans):
        start, stop = max(start, last), min(stop, len(text))
        if start < stop:
            parts.extend([text[last:start], TextBlock(InlineFont(b=True, color=Color(MARKED)), text[start:stop])])
            last = stop
    if not last:
        return text
    parts.append(text[last:])
    return CellRichText([part for part in parts if str(part)])
