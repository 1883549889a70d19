"""Writes result rows and runs as one self-contained HTML page. It needs no network or other file, and no script.

The page shows what the rows hold or point to. Its date is that of the results, so the same rows give the same bytes.
Templates escape every name, and a content security policy allows only the page's own script and embedded pictures. The
summary is followed by the sections from `register_report_sections`, then by each task.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import ecgkit
from ecgkit import wording
from ecgkit.atomic import atomic_file
from ecgkit.entries import SectionEntry
from ecgkit.errors import EcgkitError, PluginError, ResultsError
from ecgkit.plugins import host
from ecgkit.reporting.elements import geometry
from ecgkit.reporting.elements.ranks import place_ranks
from ecgkit.reporting.elements.section import Picture, Rows, Section, Table
from ecgkit.reporting.page import protocol
from ecgkit.reporting.page.overview import overview
from ecgkit.reporting.page.task_parts import task_parts
from ecgkit.reporting.sections.regression import regression_section
from ecgkit.reporting.sections.runs import Trained, runs_section
from ecgkit.reporting.tables.report_tables import ReportTables, report_tables

HERE = Path(__file__).parent
# Largest number of table lines shown below a figure; the CSV holds all lines.
SHOWN = 60
MOST_STORES = 4  # in the head of the page


def write_report(
    rows: Rows,
    out: Path,
    *,
    title: str = "ecgkit report",
    tables: ReportTables | None = None,
    more: Sequence[Section] = (),
    trained: Sequence[Trained] = (),
) -> None:
    """Write the report on some result rows, or on runs without a result, as one HTML file.

    Args:
        rows: Rows and their files, as `ecgkit.evaluation.results.row.find_rows` returns them.
        out: The page, which appears complete or not at all.
        title: Title of the page.
        tables: The tables of the rows; None computes them, with significance tests.
        more: Further sections besides the registered ones.
        trained: Runs without a result.

    Raises:
        ResultsError: There is neither a row nor a run, or a file that a row points to is damaged.
        PluginError: A plugin's section fails.
    """
    html = render_report(rows, title=title, tables=tables, more=more, trained=trained)
    with atomic_file(out) as staging:
        staging.write_text(html, encoding="utf-8", errors="replace", newline="\n")


def render_report(
    rows: Rows,
    *,
    title: str = "ecgkit report",
    tables: ReportTables | None = None,
    more: Sequence[Section] = (),
    trained: Sequence[Trained] = (),
) -> str:
    """Return the report as HTML text; see `write_report`."""
    if not rows and not trained:
        raise ResultsError("there is no result row to report", "at least one", "Make one with: ecgkit probe")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    tables = tables or report_tables(rows)
    own = [regression_section(tables.targets), runs_section(trained)]
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            version=ecgkit.__version__,
            runs=len({row.run for _, row in rows}),
            total=len(rows),
            made=_days(rows),
            untested=len(trained),
            stores=_stores(rows, trained),
            numbers=any(row.targets for _, row in rows),
            overview=overview(rows, tables.summary),
            tasks=task_parts(rows, tables.summary.comparisons),
            sections=[*filter(None, own), *registered_sections(rows), *more],
            style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    # Indentation is a seventh of a large page, so it is removed. The script must not change, because its hash is given.
    body, start, rest = html.partition("<script>")
    return re.sub(r"(?m)^ +", "", body) + start + rest


def _days(rows: Rows) -> str:
    """Return the day on which the results were made, or the first and the last; empty if no row states it."""
    days = sorted({str(row.environment["date"]) for _, row in rows if row.environment.get("date")})
    return " to ".join(dict.fromkeys(days[:1] + days[-1:]))


def _stores(rows: Rows, trained: Sequence[Trained]) -> str:
    """Return the names of the stores with their datasets."""
    named = [*(f"{row.store} ({row.dataset})" for _, row in rows), *(run.store for run in trained if run.store)]
    names = list(dict.fromkeys(named))
    more = len(names) - MOST_STORES
    return ", ".join(names[:MOST_STORES]) + (f" and {more} more" if more > 0 else "")


def _environment() -> Environment:
    """Return the template environment, with the functions that templates call."""
    found = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.globals |= {"wording": wording, "protocol": protocol, "place": geometry.place, "shown": SHOWN}
    found.globals |= {"place_ranks": place_ranks}
    found.globals |= {"line_height": geometry.LINE, "square": geometry.SQUARE, "chance": geometry.CHANCE * 100}
    found.globals |= {"colour": geometry.colour, "shape": geometry.shape, "kind": _kind, "data": _data}
    found.globals |= {"csv_link": _csv_link, "file_name": _file_name}
    return found


def registered_sections(rows: Rows) -> list[Section]:
    """Return every registered section that has content; none if there is no row.

    Raises:
        PluginError: A section fails or is not a section; the message names its plugin.
    """
    found = [_section(entry, rows) for entry in host().entries(SectionEntry).values()] if rows else []
    return [section for section in found if section is not None]


def _section(entry: SectionEntry, rows: Rows) -> Section | None:
    of = f"report section {entry.name!r} of {host().owner(entry).name}"
    make = entry.load()
    try:
        section = make(rows)
    except EcgkitError:
        raise
    except Exception as error:  # a plugin's section may raise anything
        hint = "Leave its plugin out: see ECGKIT_PLUGINS in 'ecgkit plugins list'."
        raise PluginError(f"{of} failed ({type(error).__name__}: {error})", "a section, or None", hint) from error
    if section is not None and not isinstance(section, Section):
        raise PluginError(f"{of} gave a {type(section).__name__}", "a Section, or None")
    return section


def _kind(chart: object) -> str:
    """Return the name of the template macro that draws a chart."""
    return type(chart).__name__.lower() if chart is not None else "none"


def _data(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.png).decode()


def _csv_link(table: Table) -> str:
    """Return a table as the target of a download link that works without scripts."""
    return "data:text/csv;charset=utf-8," + quote(table.csv(), safe=" ,.:;()+|'")


def _file_name(title: str) -> str:
    """Return a file name for saved numbers."""
    return (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "numbers") + ".csv"
