"""Result rows as one HTML page that needs nothing but itself: no network, no other file, no script to be readable.

The page shows what the rows hold and computes nothing. It carries no date, so the same rows give the same bytes.
Every name goes through the template's escaping, and a content security policy forbids all but the page's own script.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import ecgkit
from ecgkit.atomic import atomic_file
from ecgkit.errors import ResultsError
from ecgkit.evaluation.results import ResultRow
from ecgkit.report import figures, wording
from ecgkit.report.contents import task_parts, trainings
from ecgkit.report.label_curve import label_curves
from ecgkit.report.label_tree import label_tree

HERE = Path(__file__).parent


def write_report(rows: Sequence[tuple[Path, ResultRow]], out: Path, *, title: str = "ecgkit report") -> None:
    """Write the report on some result rows as one HTML file.

    Args:
        rows: Rows and their files, as `ecgkit.evaluation.results.find_rows` returns them.
        out: The page, which appears whole or not at all.
        title: Its title.

    Raises:
        ResultsError: There is no row.
    """
    html = render_report(rows, title=title)
    with atomic_file(out) as staging:
        staging.write_text(html, encoding="utf-8", errors="replace", newline="\n")


def render_report(rows: Sequence[tuple[Path, ResultRow]], *, title: str = "ecgkit report") -> str:
    """Return the report as HTML text; see `write_report`."""
    if not rows:
        raise ResultsError("there is no result row to report", "at least one", "Make one with: ecgkit probe")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"wording": wording, "line_height": figures.LINE, "square": figures.SQUARE}
    tasks = task_parts(rows)
    return environment.get_template("page.html.j2").render(
        title=title,
        version=ecgkit.__version__,
        runs=len({row.run for _, row in rows}),
        total=len(rows),
        tasks=tasks,
        trees={task.name: label_tree(task) for task in tasks},
        curves={task.name: label_curves(result.row for result in task.results) for task in tasks},
        trainings=trainings(row for _, row in rows),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=digest,
        chance=figures.CHANCE * 100,
    )
