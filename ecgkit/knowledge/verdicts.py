"""Read the verdicts of a person from an audit sheet.

A verdict says what the text states about the entity of its row:

    ok                          the finding is right
    no                          the text does not state this entity
    present, uncertain, absent  the text states the entity, with this polarity

A finding that was missed is a row of its own: the text, the entity and what the text states as the verdict, with no
polarity. A text without findings has one row without an entity; ``ok`` says that there are none. Rows without a verdict
are left out and counted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ecgkit.datasets.tables import read_rows
from ecgkit.errors import DatasetError
from ecgkit.knowledge.mentions import POLARITIES, Polarity
from ecgkit.knowledge.scoring import Judgement

COLUMNS = ("record_id", "text", "entity", "polarity", "quote", "verdict", "comment")
NEEDED = ("record_id", "text", "entity", "polarity", "verdict")
OK, NO = "ok", "no"
ALLOWED = (OK, NO, *POLARITIES)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of a sheet.

    Args:
        judgements: Per judged row with an entity, what was found and what the text states.
        texts: The texts with a verdict, each as its record and its text.
        open_rows: Number of rows without a verdict.
    """

    judgements: tuple[Judgement, ...]
    texts: tuple[tuple[str, str], ...]
    open_rows: int


def read_verdicts(path: Path) -> Verdicts:
    """Read the verdicts of an audit sheet.

    Raises:
        DatasetError: The sheet is missing, lacks a column, holds no verdict, or holds a verdict that does not fit.
    """
    rows = read_sheet(path)
    texts: dict[tuple[str, str], None] = {}
    judgements: dict[tuple[str, str, str], Judgement] = {}
    for line, row in enumerate(rows, 2):
        if not row["verdict"]:
            continue
        text = row["record_id"], row["text"]
        texts[text] = None
        if row["entity"]:
            judgement = _judge(row, f"{path}, row {line}")
            if judgements.setdefault((*text, row["entity"]), judgement) != judgement:
                raise DatasetError(f"{path}, row {line}: another verdict on {row['entity']!r:.60} in the same text")
        elif row["verdict"] != OK:
            raise DatasetError(
                f"{path}, row {line}: the verdict {row['verdict']!r:.40} stands in a row without an entity",
                remedy="Write the entity that was missed, or the verdict ok if there is none.",
            )
    if not texts:
        raise DatasetError(f"{path} holds no verdict", remedy=f"Fill in the column verdict: {', '.join(ALLOWED)}.")
    return Verdicts(tuple(judgements.values()), tuple(texts), sum(not row["verdict"] for row in rows))


def read_sheet(path: Path) -> list[dict[str, str]]:
    """Return the rows of an audit sheet, a CSV file or a workbook; `quote` and `comment` may be missing.

    Raises:
        ConfigError: The sheet is a workbook, and the package that reads it is missing.
        DatasetError: The sheet is missing or lacks a column.
    """
    if path.suffix.lower() == ".xlsx":
        from ecgkit.knowledge.workbook import read_workbook

        rows = read_workbook(path)
        if missing := [name for name in NEEDED if rows and name not in rows[0]]:
            raise DatasetError(f"{path} lacks column {', '.join(missing)}")
    else:
        rows = read_rows(path, NEEDED)
    return [{name: _cell(row.get(name), name) for name in COLUMNS} for row in rows]


def _cell(cell: str | None, column: str) -> str:
    text = (cell or "").strip()
    return text.lower() if column in ("entity", "polarity", "verdict") else text


def _judge(row: dict[str, str], where: str) -> Judgement:
    verdict, polarity = row["verdict"], row["polarity"]
    if polarity not in ("", *POLARITIES):
        raise DatasetError(f"{where}: polarity {polarity!r:.40}", f"{', '.join(POLARITIES)}, or nothing")
    allowed = ALLOWED if polarity else POLARITIES
    if verdict not in allowed:
        raise DatasetError(
            f"{where}: verdict {verdict!r:.40} on {row['entity']!r:.60}",
            f"one of {', '.join(allowed)}",
            "" if polarity else "A row without a polarity is a finding that was missed.",
        )
    found = cast("Polarity | None", polarity or None)
    stated = found if verdict == OK else None if verdict == NO else cast(Polarity, verdict)
    return Judgement(row["record_id"], row["text"], row["entity"], found, stated)
