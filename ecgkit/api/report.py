"""``ecgkit.report``: make one HTML page from results and runs, or write the tables of results in other formats.

Sections that need the store of the results are imported where they are made: torch and matplotlib are slow to import.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgkit.api.arguments import PathLike, path_or_none
from ecgkit.atomic import atomic_file, check_suffix
from ecgkit.choices import notes_choices
from ecgkit.config import read_yaml
from ecgkit.errors import ConfigError, OutputError, ResultsError
from ecgkit.evaluation.results.row import no_row, rows_below
from ecgkit.progress import Progress, of_stage, silent
from ecgkit.reporting.elements.section import Rows, Section
from ecgkit.reporting.page.write import write_report
from ecgkit.reporting.sections.challenge import challenge_section
from ecgkit.reporting.sections.runs import Trained
from ecgkit.reporting.tables.formats import to_csv, to_json, to_latex, to_markdown
from ecgkit.reporting.tables.report_tables import report_tables
from ecgkit.store.reader import Store
from ecgkit.store.records import RecordTable
from ecgkit.store.remote import located
from ecgkit.workspace.defaults import the_results
from ecgkit.workspace.runs import CONFIG, RunInfo, runs_below

if TYPE_CHECKING:
    from ecgkit.reporting.sections.embeddings import Projection

PAGE = Path("report.html")
NO_SUBGROUPS = "No two subgroups of the test records are large enough, or no result has its predictions."
NO_MAP = (
    "No result on this store has kept features: it was probed without a cache, with a cache in another place, or by an "
    "earlier release. Probe again."
)


@notes_choices
def report(
    results: PathLike | Sequence[PathLike] = (),
    *,
    out: PathLike | None = None,
    title: str = "ecgkit report",
    examples: PathLike | None = None,
    data: PathLike | None = None,
    projection: "Projection" = "pca",
    weights: PathLike | None = None,
    tests: bool = True,
    md: PathLike | None = None,
    latex: PathLike | None = None,
    csv: PathLike | None = None,
    json: PathLike | None = None,
    progress: Progress = silent,
) -> Rows:
    """Make one HTML page from all results below some folders, or write their tables in other formats.

    The page is a single file and needs no network. It also shows the runs without a result: their losses, settings,
    data and cost.

    Args:
        results: Folder to search for results and runs, such as a run folder, or several folders. By default ``runs`` in
            the current folder.
        out: HTML file of the page. Default: ``report.html``, or no page if another output is named.
        title: Title of the page.
        examples: Store of the results. The page then shows ECGs with the highest losses and the most confident errors.
        data: Store of the results. The page then shows scores by sex, age and dataset, and a map of the embeddings that
            the probes kept.
        projection: Projection of the map: ``pca``, or ``umap``, which needs the extra ``umap``.
        weights: The ``weights.csv`` of a Challenge, for the Challenge score of its tasks.
        tests: Compare each result with the best of its column by a paired test over patients.
        md: Markdown file for the summary table.
        latex: LaTeX file for the summary table.
        csv: CSV file for the scores of every class of every result.
        json: JSON file for the summary table.
        progress: Called with stage, units done and units in all.

    Returns:
        The results of the report, each with the path of its ``row.json``.

    Raises:
        OutputError: A file has the wrong suffix or cannot be written, or an option of the page is given without a page.
        ConfigError: UMAP is asked for and not installed, or `projection` is given without `data`.
        TaskError: `weights` lacks a class of a Challenge's task.
        ResultsError: There is no result, and no run for a page. Or a file of a result cannot be read.
        StoreError: `examples` is not a store.
        PluginError: A section of a plugin fails.
    """
    if data is None and projection != "pca":
        raise ConfigError("--projection without --data", remedy="Add --data STORE, or leave the option out.")
    forms = {".md": path_or_none(md), ".tex": path_or_none(latex), ".csv": path_or_none(csv)}
    forms |= {".json": path_or_none(json)}
    only_page = {"--examples": examples, "--data": data, "--weights": weights}
    page = _page(out, forms, [option for option, value in only_page.items() if value is not None])
    several = [results] if isinstance(results, str | Path) else results
    folders = the_results(several)
    rows = rows_below(folders)
    trained = _without_result(rows, folders) if page is not None else []
    if not rows and (not trained or any(value is not None for value in (*forms.values(), *only_page.values()))):
        raise no_row(folders)
    tables = report_tables(rows, tests=tests, progress=of_stage(progress, "tests"))
    if page is not None:
        more = [
            challenge_section(rows, path_or_none(weights)),
            *_of_store(rows, None if data is None else located(data), projection),
        ]
        if examples is not None:
            from ecgkit.reporting.sections.examples import examples_section

            more.append(examples_section(rows, Store(located(examples)), of_stage(progress, "examples")))
        write_report(rows, page, title=title, tables=tables, more=list(filter(None, more)), trained=trained)
    texts = {
        ".md": lambda: to_markdown(tables),
        ".tex": lambda: to_latex(tables),
        ".csv": lambda: to_csv(rows, tables),
        ".json": lambda: to_json(tables),
    }
    for suffix, path in forms.items():
        if path is not None:
            with atomic_file(path) as staging:
                staging.write_text(texts[suffix](), encoding="utf-8")
    return rows


def _page(out: PathLike | None, forms: dict[str, Path | None], only_page: Sequence[str]) -> Path | None:
    """Return the file of the page, or None if only other outputs are named.

    Raises:
        OutputError: A file has the wrong suffix, or an option that only a page has is given without one.
    """
    for suffix, path in forms.items():
        if path is not None:
            check_suffix(path, suffix)
    others = any(path is not None for path in forms.values())
    if out is None and others and only_page:
        raise OutputError(
            f"{only_page[0]} needs a page, but only other outputs are named", "", "Add: --out REPORT.html"
        )
    if out is None:
        return None if others else PAGE
    check_suffix(Path(out), ".html", ".htm")
    return Path(out)


def _without_result(rows: Rows, folders: Sequence[Path]) -> list[Trained]:
    """Return the runs below some folders that no row belongs to."""
    inside = {parent for file, _ in rows for parent in file.parents}  # `rows_below` returns resolved paths
    shown = [row.training for _, row in rows if row.training]
    found: dict[Path, Trained] = {}
    for folder in folders:
        for run in runs_below(folder):
            place = run.folder.resolve()
            if place not in inside and tuple(run.metrics) not in shown:
                found.setdefault(place, _trained(run, folder))
    return list(found.values())


def _trained(run: RunInfo, folder: Path) -> Trained:
    """Describe a run for the page, with its name below the folder that was searched."""
    details = read_yaml(run.folder / CONFIG)
    below = run.path.relative_to(folder) if run.path != folder and run.path.is_relative_to(folder) else Path()
    name = str(below) if below != Path() else run.path.resolve().name
    state = "imported" if "imported" in details else "finished" if run.finished else "unfinished"
    return Trained(name, state, details, run.metrics)


def _of_store(rows: Rows, path: Path | None, projection: "Projection") -> list[Section | None]:
    """Return the sections that need the store of the results.

    Raises:
        ResultsError: No result was made on this store.
    """
    if path is None:
        return []
    from ecgkit.reporting.sections.embeddings import embeddings_section
    from ecgkit.reporting.sections.subgroups import subgroups_section

    records = RecordTable(path)
    if not any(row.hashes.get("store") == records.content_hash for _, row in rows):
        raise ResultsError(f"none of these results was made on {path}", remedy="Name the store that was probed.")
    # What was asked for and cannot be shown is said on the page.
    return [
        subgroups_section(rows, records) or Section("Subgroups", (), NO_SUBGROUPS),
        embeddings_section(rows, records, projection) or Section("Map of embeddings", (), NO_MAP),
    ]
