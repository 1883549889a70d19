"""``ecgkit extract-knowledge``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli import knowledge_options as options
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.given import given
from ecgkit.cli.knowledge_output import Prices, announce, kappa, show, show_batch, show_vote
from ecgkit.cli.knowledge_scores import show_scores
from ecgkit.cli.render import (
    DaskOption,
    FittingWorkersOption,
    JsonOption,
    OverwriteOption,
    SeedOption,
    next_is,
    print_json,
    print_table,
    progress,
    say,
    say_choices,
    warn,
)
from ecgkit.errors import BatchWaitingError, ConfigError
from ecgkit.wording import percent

DEFAULT = "run"


class _WithDefault(TyperGroup):
    """A group with a default command: a first word that names no command goes to the command `DEFAULT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_WithDefault, no_args_is_help=False)


@app.callback()
def extract_knowledge() -> None:
    """Extract cardiac entities from reports, compare two extractions, or check one by hand."""


@app.command(DEFAULT)
def run(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="STORE",
            help="Store with reports, or CSV file with columns of texts. Default: the only store in this folder.",
            autocompletion=completion.stores,
        ),
    ] = None,
    backend: options.BackendOption = "",
    base_url: options.BaseUrlOption = None,
    model: options.ModelOption = "",
    allow_remote: options.AllowRemoteOption = False,
    batch: options.BatchOption = None,
    unit: Annotated[str, typer.Option(help="Unit of text to read at a time: statement or report.")] = "statement",
    limit: options.LimitOption = None,
    seed: SeedOption = 0,
    vocabulary: options.VocabularyOption = None,
    closed: options.ClosedOption = None,
    min_count: options.MinCountOption = None,
    max_entities: options.MaxEntitiesOption = None,
    keep_children: options.KeepChildrenOption = False,
    verify: Annotated[
        bool, typer.Option(help="Ask the model again about entities that the text does not name literally.")
    ] = True,
    retry_unread: Annotated[
        bool, typer.Option("--retry-unread", help="Ask again about texts whose earlier answer could not be read.")
    ] = False,
    max_tokens: options.MaxTokensOption = 4096,
    temperature: options.TemperatureOption = None,
    reasoning: options.ReasoningOption = "",
    samples: options.SamplesOption = 1,
    language: options.LanguageOption = "",
    prompts: options.PromptsOption = None,
    extra_body: options.ExtraBodyOption = "",
    header: options.HeaderOption = None,
    settings: options.BackendSetOption = None,
    concurrency: options.ConcurrencyOption = 64,
    timeout: Annotated[float, typer.Option(min=0.1, help="Time limit of one request, in s.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="Number of retries of a failed request.")] = 7,
    workers: FittingWorkersOption = None,
    dask: DaskOption = "",
    price_in: options.PriceInOption = 0.0,
    price_out: options.PriceOutOption = 0.0,
    audit: Annotated[
        int, typer.Option(min=0, help="Number of reports to sample into a sheet to check by hand. Default: no sheet.")
    ] = 0,
    max_unread: options.MaxUnreadOption = 5.0,
    report_columns: options.ReportColumnsOption = "",
    reports: options.ReportsOption = None,
    id_column: options.IdOption = "",
    out: options.OutOption = None,
    name: options.NameOption = "labels",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Extract a matrix of cardiac entities (absent, present or uncertain) from the reports of STORE.

    Each unique statement is read once, by the offline lexicon or by a model on an OpenAI-compatible server. The API key
    of the server comes from ECGKIT_API_KEY or OPENAI_API_KEY. If the command is stopped, the same command continues
    where it stopped. --workers and --dask spread the work of the lexicon. Several servers share the questions to a
    model, and the others take over those of one that dies. With --vocabulary alone, an edited vocabulary is applied to
    the earlier readings.

    More commands: 'extract-knowledge compare A B' shows where two extractions differ. 'extract-knowledge vote A B C'
    makes labels from the votes of several. 'extract-knowledge audit STORE' writes a sheet of sampled reports to check
    by hand, and scores it. 'extract-knowledge mentions STORE' writes a table of all findings with their quotes,
    'extract-knowledge export STORE FILE' the labels as CSV, and 'extract-knowledge prompts FOLDER' the prompts, to be
    edited.
    """
    chosen = locals()
    from ecgkit.workspace.defaults import the_store
    from ecgkit.workspace.next_step import after_store

    path = the_store(source, "ecgkit extract-knowledge")
    say_choices()
    arguments = given(ecgkit.extract_knowledge, {**chosen, "source": path})
    prices = Prices(price_in, price_out)
    try:
        with progress() as watch:
            summary = ecgkit.extract_knowledge(
                **arguments, announce=partial(announce, prices=prices), notify=warn, progress=watch
            )
    except BatchWaitingError as waiting:
        show_batch(waiting)
        next_is("the same command, when the answers are there")
        if as_json:
            print_json({"waiting": waiting.count, "stage": waiting.stage, "questions": list(map(str, waiting.paths))})
        return
    say_choices()
    show(summary, prices)
    if as_json:
        print_json(summary.to_dict())
    if summary.audit:
        _show_sheet(*summary.audit)
    if limit is not None:
        next_is("the same command without --limit")
    else:
        folder = f" --out {out}" if out else ""
        next_is(after_store(path) if path.is_dir() else f"ecgkit extract-knowledge audit {path}{folder}")
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
    shown = [{**row, "agreement": f"{percent(row['agreement'], 2)} %", "kappa": kappa(row["kappa"])} for row in rows]
    next_is("ecgkit extract-knowledge audit STORE")
    numeric = ["both", "only_a", "only_b", "neither", "agreement", "kappa"]
    print_table(f"{result.records} records", shown, numeric=numeric)
    for which, names in (("A", result.only_a), ("B", result.only_b)):
        if names:
            say(f"only in {which}: {', '.join(names)}")


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
    report_columns: options.ReportColumnsOption = "",
    reports: options.ReportsOption = None,
    id_column: options.IdOption = "",
    out: options.OutOption = None,
    name: options.WhichOption = "",
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
        next_is(f"open {paths[1]} in a browser")


@app.command("export")
def export(
    source: Annotated[Path, typer.Argument(metavar="STORE", help="Store, or folder of an extraction.")],
    to: Annotated[Path, typer.Argument(metavar="FILE", help="CSV file to write.")],
    form: Annotated[
        str,
        typer.Option(help="long (one row per record and entity, with codes) or wide (one row per record)."),
    ] = "long",
    name: options.WhichOption = "",
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


@app.command("mentions")
def mentions(
    source: Annotated[Path, typer.Argument(metavar="STORE", help="Store or CSV file whose reports were read.")],
    report_columns: options.ReportColumnsOption = "",
    reports: options.ReportsOption = None,
    id_column: options.IdOption = "",
    out: options.OutOption = None,
    name: options.WhichOption = "",
) -> None:
    """Write a CSV file of every finding of every record, with its quote and the quote's place in the report."""
    say(str(ecgkit.write_mentions(**given(ecgkit.write_mentions, locals()))))


@app.command("vote")
def vote(
    extractions: Annotated[list[Path], typer.Argument(help="Folders of two or more extractions of the same reports.")],
    min_count: options.MinCountOption = None,
    max_entities: options.MaxEntitiesOption = None,
    keep_children: options.KeepChildrenOption = False,
    report_columns: options.ReportColumnsOption = "",
    reports: Annotated[
        Path | None,
        typer.Option(help="CSV file whose texts were read. It is needed where the extractions are not in a store."),
    ] = None,
    id_column: options.IdOption = "",
    name: options.NameOption = "vote",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make labels from the votes of several extractions, and list the texts on which they differ.

    In each text, an entity counts if more than half of the extractions mention it.
    """
    result = ecgkit.vote_knowledge(**given(ecgkit.vote_knowledge, locals()))
    show_vote(result)
    next_is(f"decide the disputes in {result.disputes}")
    if as_json:
        rows = [row.to_dict() for row in result.rows]
        print_json(
            {
                **result.summary.to_dict(),
                "voters": result.voters,
                "rows": rows,
                "disputed": result.disputed,
                "disputes": str(result.disputes),
            }
        )


@app.command("prompts")
def prompts(
    folder: Annotated[Path, typer.Argument(help="Folder to write the prompts into.")],
    overwrite: OverwriteOption = False,
) -> None:
    """Write the prompts that ship with ecgkit into FOLDER, to be edited and given with --prompts."""
    for path in ecgkit.write_prompts(folder, overwrite=overwrite):
        say(str(path))
