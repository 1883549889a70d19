"""``ecgkit report``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgkit.cli.render import progress, say

if TYPE_CHECKING:
    from ecgkit.report.elements.section import Rows, Section


def report(
    results: Annotated[list[Path], typer.Argument(help="Run folders, or folders above some.")],
    out: Annotated[Path | None, typer.Option(help="The page; report.html if no other form is asked for.")] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "ecgkit report",
    examples: Annotated[
        Path | None, typer.Option(help="Draw ECGs of this store on the page: highest losses, most confident errors.")
    ] = None,
    tests: Annotated[
        bool, typer.Option(help="Test results against the best of their column: paired bootstrap.")
    ] = True,
    md: Annotated[Path | None, typer.Option(help="Write the summary table as Markdown.")] = None,
    latex: Annotated[Path | None, typer.Option(help="Write the summary table as LaTeX.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every class of every result as CSV.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the summary table as JSON.")] = None,
) -> None:
    """Make one self-contained HTML page from all results below some folders, or tables in other forms."""
    from ecgkit.atomic import atomic_file, check_suffix
    from ecgkit.errors import OutputError
    from ecgkit.evaluation.results.row import find_rows
    from ecgkit.report.page.write import write_report
    from ecgkit.report.tables import summary as tables
    from ecgkit.report.tables.numbers import target_tables

    others = {md: ".md", latex: ".tex", csv: ".csv", json: ".json"}
    for path, suffix in others.items():
        if path is not None:
            check_suffix(path, suffix)
    if examples is not None and out is None and any(others):
        raise OutputError("--examples without a page", "--out REPORT.html beside the other forms")
    if out is None and not any(others):
        out = Path("report.html")
    if out is not None:
        check_suffix(out, ".html", ".htm")
    rows = find_rows(results)
    with progress() as watch:
        table = tables.summary_table(rows, tests=tests, progress=lambda done, total: watch("tests", done, total))
    if out is not None:
        more = [] if examples is None else _examples(rows, examples)
        write_report(rows, out, title=title, table=table, more=more)
        say(f"{len(rows)} results in {out}")
    forms = {md: tables.to_markdown, latex: tables.to_latex, json: tables.to_json}
    targets = target_tables(rows, tests=tests) if any(others) else []
    texts = {path: form(table, targets) for path, form in forms.items() if path is not None}
    if csv is not None:
        texts[csv] = tables.to_csv(rows, table.comparisons, targets)
    for path, text in texts.items():
        with atomic_file(path) as staging:
            staging.write_text(text, encoding="utf-8")
        say(f"{len(rows)} results in {path}")


def _examples(rows: "Rows", path: Path) -> "list[Section]":
    """Draw examples from a store, with a bar."""
    from ecgkit.report.sections.examples import examples_section
    from ecgkit.store.reader import Store

    store = Store(path)
    with progress() as watch:
        section = examples_section(rows, store, lambda done, total: watch("examples", done, total))
    return [section] if section else []
