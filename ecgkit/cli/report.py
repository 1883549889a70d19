"""``ecgkit report``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.render import next_is, progress, say, say_choices
from ecgkit.wording import plural


def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders to search for results and runs, such as run folders. Default: runs.",
            autocompletion=completion.runs,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="HTML file of the page. Default: report.html, or no page if another output is named."),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "ecgkit report",
    examples: Annotated[
        Path | None,
        typer.Option(
            help="Store of the results. The page then shows ECGs with the highest losses and the most confident errors."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Store of the results. The page then shows scores by sex, age and dataset, and a map of embeddings.",
            autocompletion=completion.stores,
        ),
    ] = None,
    projection: Annotated[
        Literal["pca", "umap"], typer.Option(help="With --data, projection of the map. umap needs the extra umap.")
    ] = "pca",
    weights: Annotated[
        Path | None, typer.Option(help="The weights.csv of a Challenge, for the Challenge score of its tasks.")
    ] = None,
    tests: Annotated[
        bool, typer.Option(help="Compare each result with the best of its column by a paired test over patients.")
    ] = True,
    md: Annotated[Path | None, typer.Option(help="Markdown file for the summary table.")] = None,
    latex: Annotated[Path | None, typer.Option(help="LaTeX file for the summary table.")] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file for the scores of every class of every result.")] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for the summary table.")] = None,
) -> None:
    """Make one HTML page from all results below some folders, or write their tables in other formats.

    The page is a single file and needs no network. It also shows the runs without a result: their losses, settings,
    data and cost.
    """
    from ecgkit.workspace.defaults import the_results

    folders = the_results(results or ())
    say_choices()
    with progress() as watch:
        rows = ecgkit.report(
            folders,
            out=out,
            title=title,
            examples=examples,
            data=data,
            projection=projection,
            weights=weights,
            tests=tests,
            md=md,
            latex=latex,
            csv=csv,
            json=json,
            progress=watch,
        )
    others = [path for path in (md, latex, json, csv) if path is not None]
    page = out or (None if others else Path("report.html"))
    for path in ([page] if page else []) + others:
        say(f"{plural(len(rows), 'result')} in {path}" if rows else f"no result yet; {path} shows the runs")
    next_is(f"open {page} in a browser" if page else "ecgkit report")
