"""``ecgkit report``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgkit.cli.render import say


def report(
    results: Annotated[list[Path], typer.Argument(help="Run folders, or folders above some.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Title of the page.")] = "ecgkit report",
) -> None:
    """Make one self-contained HTML page from all results below some folders."""
    from ecgkit.atomic import check_suffix
    from ecgkit.evaluation.results import find_rows
    from ecgkit.report.page import write_report

    check_suffix(out, ".html", ".htm")
    rows = find_rows(results)
    write_report(rows, out, title=title)
    say(f"{len(rows)} results in {out}")
