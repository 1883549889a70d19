"""``ecgkit extract-knowledge``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import ecgkit
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.given import given
from ecgkit.cli.knowledge_scores import show_scores
from ecgkit.cli.render import JsonOption, OverwriteOption, SeedOption, print_json, print_table, progress, say, warn
from ecgkit.errors import ConfigError
from ecgkit.wording import percent

if TYPE_CHECKING:
    from ecgkit.api.knowledge import ServerCost
    from ecgkit.knowledge.extract import Summary

SHOWN = 20
DEFAULT = "run"


class _WithDefault(TyperGroup):
    """A group with a default command: a first word that names no command goes to the command `DEFAULT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = [DEFAULT, *(args or ["--help"])]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_WithDefault, no_args_is_help=False)

NameOption = Annotated[
    str, typer.Option("--name", help="Name of the extraction. A store can hold several extractions.")
]
ColumnOption = Annotated[str, typer.Option("--column", help="Name of the column that holds the texts.")]
IdOption = Annotated[
    str,
    typer.Option("--id-column", help="For a CSV file, name of the column of record ids. Default: the first column."),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="For a CSV file, folder for the results. Default: NAME.knowledge beside the file."),
]


@app.callback()
def extract_knowledge() -> None:
    """Extract cardiac entities from reports, compare two extractions, or check one by hand."""


@app.command(DEFAULT)
def run(
    source: Annotated[
        Path, typer.Argument(metavar="STORE", help="Store with reports, or CSV file with a column of texts.")
    ],
    backend: Annotated[
        str,
        typer.Option(
            help="Backend that reads the texts: lexicon (offline) or openai (a model server). Default: openai with "
            "--base-url, otherwise lexicon."
        ),
    ] = "",
    base_url: Annotated[str, typer.Option(help="OpenAI-compatible server, such as http://localhost:8000/v1.")] = "",
    model: Annotated[str, typer.Option(help="Name of the model on that server.")] = "",
    allow_remote: Annotated[
        bool,
        typer.Option(
            "--allow-remote", help="Allow report text to be sent outside this machine and its private network."
        ),
    ] = False,
    unit: Annotated[str, typer.Option(help="Unit of text to read at a time: statement or report.")] = "statement",
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            help="YAML or CSV file of synonyms and parents. An edited file can be applied again without a model server."
        ),
    ] = None,
    min_count: Annotated[
        int, typer.Option(min=1, help="Smallest number of records in which an entity must be present to be kept.")
    ] = 50,
    max_entities: Annotated[
        int | None, typer.Option(min=1, help="Largest number of entities to keep, by frequency. Default: all.")
    ] = None,
    keep_children: Annotated[
        bool, typer.Option("--keep-children", help="Keep the column of each subtype beside that of its parent.")
    ] = False,
    verify: Annotated[
        bool, typer.Option(help="Ask the model again about entities that the text does not name literally.")
    ] = True,
    retry_unread: Annotated[
        bool, typer.Option("--retry-unread", help="Ask again about texts whose earlier answer could not be read.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Largest number of simultaneous requests.")] = 16,
    timeout: Annotated[float, typer.Option(min=0.1, help="Time limit of one request, in s.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="Number of retries of a failed request.")] = 7,
    price_in: Annotated[
        float, typer.Option(min=0, help="Price per million prompt tokens, for the cost estimate.")
    ] = 0.0,
    price_out: Annotated[
        float, typer.Option(min=0, help="Price per million answer tokens, for the cost estimate.")
    ] = 0.0,
    audit: Annotated[
        int, typer.Option(min=0, help="Number of reports to sample into a sheet to check by hand. Default: no sheet.")
    ] = 0,
    max_unread: Annotated[
        float,
        typer.Option(
            min=0, max=100, help="Exit with code 3 if more than this percentage of the records is not read completely."
        ),
    ] = 5.0,
    column: ColumnOption = "report",
    id_column: IdOption = "",
    out: OutOption = None,
    name: NameOption = "labels",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Extract a matrix of cardiac entities (absent, present or uncertain) from the reports of STORE.

    Each unique statement is read once, by the offline lexicon or by a model on an OpenAI-compatible server. The API key
    of the server comes from ECGKIT_API_KEY or OPENAI_API_KEY. If the command is stopped, the same command continues
    where it stopped. With --vocabulary alone, an edited vocabulary is applied to the earlier readings.

    More commands: 'extract-knowledge compare A B' shows where two extractions differ. 'extract-knowledge audit STORE'
    writes a sheet of sampled reports to check by hand, and scores it.
    """
    arguments = given(ecgkit.extract_knowledge, locals())
    announce = partial(_announce, price_in=price_in, price_out=price_out)
    with progress() as watch:
        summary = ecgkit.extract_knowledge(**arguments, announce=announce, progress=watch)
    _show(summary, price_in, price_out)
    if as_json:
        print_json(summary.to_dict())
    if summary.audit:
        _show_sheet(*summary.audit)
    if summary.incomplete > max_unread / 100 * max(1, summary.with_report):
        raise typer.Exit(Exit.INCOMPLETE)


def _show_sheet(table: Path, page: Path, *workbook: Path) -> None:
    say(f"to read:          {page}")
    say(f"for the verdicts: {', or '.join(map(str, (table, *workbook)))}")


@app.command("compare")
def compare(
    a: Annotated[Path, typer.Argument(help="Store, or folder of an extraction.")],
    b: Annotated[Path, typer.Argument(help="Another extraction of the same reports.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two extractions of the same reports: counts, agreement and Cohen's kappa per entity."""
    result = ecgkit.compare_knowledge(a, b)
    rows = [row.to_dict() for row in (result.total, *result.rows)]
    if as_json:
        print_json({"records": result.records, "rows": rows, "only_a": result.only_a, "only_b": result.only_b})
        return
    shown = [{**row, "agreement": f"{percent(row['agreement'], 2)} %", "kappa": _kappa(row["kappa"])} for row in rows]
    numeric = ["both", "only_a", "only_b", "neither", "agreement", "kappa"]
    print_table(f"{result.records} records", shown, numeric=numeric)
    for which, names in (("A", result.only_a), ("B", result.only_b)):
        if names:
            say(f"only in {which}: {', '.join(names)}")


def _kappa(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


@app.command("audit")
def audit(
    source: Annotated[
        Path | None, typer.Argument(metavar="[STORE]", help="Store or CSV file whose reports were read.")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Number of reports to draw.")] = 50,
    seed: SeedOption = 0,
    xlsx: Annotated[
        bool, typer.Option("--xlsx", help="Write an Excel workbook too. Needs ecgkit-learn[xlsx].")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a sheet that holds verdicts.")] = False,
    sheet: Annotated[
        Path | None,
        typer.Option("--score", metavar="SHEET", help="Read the verdicts of this sheet (CSV or XLSX) and score them."),
    ] = None,
    least: Annotated[
        int,
        typer.Option(min=1, help="With --score, texts that must state an entity for it to count in the macro F1."),
    ] = 5,
    errors: Annotated[bool, typer.Option("--errors", help="With --score, list the errors.")] = False,
    column: ColumnOption = "report",
    id_column: IdOption = "",
    out: OutOption = None,
    name: NameOption = "labels",
    as_json: JsonOption = False,
) -> None:
    """Sample reports and their entities into a sheet to check by hand, or score the verdicts of such a sheet.

    The sheet is a CSV file and an HTML page, and with --xlsx a workbook. The column verdict takes: ok; no, if the text
    does not state the entity; or the right word of present, uncertain and absent. For a finding that was missed, add a
    row with the text, the entity and that word as the verdict. Then: extract-knowledge audit --score SHEET
    """
    if sheet:
        scores = ecgkit.score_knowledge(**given(ecgkit.score_knowledge, locals()))
        if as_json:
            print_json(scores.to_dict())
        else:
            show_scores(scores, errors)
        return
    if source is None:
        raise ConfigError("neither a store nor a sheet is given", remedy="Name a store, or a sheet with --score.")
    paths = ecgkit.audit_knowledge(**given(ecgkit.audit_knowledge, locals()))
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        _show_sheet(*paths)


@app.command("export")
def export(
    source: Annotated[Path, typer.Argument(metavar="STORE", help="Store, or folder of an extraction.")],
    to: Annotated[Path, typer.Argument(metavar="FILE", help="CSV file to write.")],
    form: Annotated[
        str,
        typer.Option(help="long (one row per record and entity, with codes) or wide (one row per record)."),
    ] = "long",
    name: NameOption = "labels",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the labels as a CSV file, with SCP-ECG, SNOMED CT and ICD-10 codes.

    In the wide form there is one column per entity: 1 present, 2 uncertain, 0 absent or not mentioned, and empty if the
    report was not read completely.
    """
    path = ecgkit.export_knowledge(**given(ecgkit.export_knowledge, locals()))
    if as_json:
        print_json({"file": str(path)})
    else:
        say(f"labels in {path}")


def _announce(cost: "ServerCost", price_in: float, price_out: float) -> None:
    """Print the number of requests and their estimated cost before the first request."""
    say(f"{cost.records} records, {cost.texts} unique texts, {cost.saved} calls saved, {cost.requests} to ask")
    price = (cost.prompt_tokens * price_in + cost.answer_tokens * price_out) / 1e6
    priced = f", about {price:.2f}" if price_in or price_out else ""
    say(f"estimate: {cost.prompt_tokens} prompt tokens and {cost.answer_tokens} answer tokens{priced}")


def _show(summary: "Summary", price_in: float, price_out: float) -> None:
    entities = summary.entities
    say(f"{len(entities.names)} entities of {summary.records} records ({summary.with_report} with a report)")
    say(f"{summary.texts} unique texts read, {summary.saved} calls saved")
    say(f"labels in {summary.path}")
    _show_counters(summary.counters, price_in, price_out)
    for reason, count in summary.problems.items():
        warn(f"{count} texts not read ({reason})")
    if summary.incomplete:
        warn(
            f"{summary.incomplete} records are not read completely. Run the command again; with --retry-unread, it "
            "also asks again about unreadable answers"
        )
    if summary.unknown:
        warn(f"{len(summary.unknown)} names are not in the vocabulary and are left out. mentions.parquet lists them")
    rows = [
        {"entity": name, "present": int(p), "uncertain": int(u), "parent": entities.parents.get(name, "")}
        for name, p, u in zip(entities.names[:SHOWN], entities.counts, entities.uncertain, strict=False)
    ]
    more = len(entities.names) > SHOWN
    title = f"The {SHOWN} most frequent of {len(entities.names)} entities" if more else "Entities"
    print_table(title, rows, numeric=["present", "uncertain"])


def _show_counters(counters: Any, price_in: float, price_out: float) -> None:
    """Print the number of requests, tokens and the cost."""
    if counters:
        say(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counters.items()))
    if counters.get("verify_asked"):
        dropped = counters["verify_dropped"] / counters["verify_asked"]
        say(f"entities that verification rejected: {percent(dropped)} % of those asked about")
    if price_in or price_out:
        cost = counters.get("prompt_tokens", 0) * price_in + counters.get("completion_tokens", 0) * price_out
        say(f"cost: {cost / 1e6:.2f}")
