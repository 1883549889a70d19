"""``ecgkit extract-knowledge``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.render import JsonOption, OverwriteOption, SeedOption, print_json, print_table, progress, say, warn
from ecgkit.wording import percent

if TYPE_CHECKING:
    from ecgkit.knowledge.backends import Backend
    from ecgkit.knowledge.extract import ExtractOptions, Summary
    from ecgkit.knowledge.reports import Reports

SHOWN = 20
DEFAULT = "run"


class _WithDefault(TyperGroup):
    """A group whose first word may be left out: what is no command of its own goes to `DEFAULT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = [DEFAULT, *(args or ["--help"])]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_WithDefault, no_args_is_help=False)

NameOption = Annotated[str, typer.Option("--name", help="Of the extraction, to keep several of one store.")]
ColumnOption = Annotated[str, typer.Option("--column", help="Column of texts.")]
IdOption = Annotated[str, typer.Option("--id-column", help="Column of ids of a CSV; the first if left out.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder for a CSV's results; NAME.knowledge beside it.")]


@app.callback()
def extract_knowledge() -> None:
    """Turn reports into a matrix of cardiac entities."""


@app.command(DEFAULT)
def run(
    source: Annotated[Path, typer.Argument(metavar="STORE", help="A store with reports, or a CSV table of texts.")],
    backend: Annotated[
        str, typer.Option(help="lexicon (offline) or openai; openai if --base-url is given, else lexicon.")
    ] = "",
    base_url: Annotated[str, typer.Option(help="OpenAI-compatible server, such as http://localhost:8000/v1.")] = "",
    model: Annotated[str, typer.Option(help="Name of the model on that server.")] = "",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let report text leave this machine and its private network.")
    ] = False,
    unit: Annotated[str, typer.Option(help="What is read as one text: statement or report.")] = "statement",
    vocabulary: Annotated[
        Path | None, typer.Option(help="YAML or CSV of synonyms and parents; applied again without any model call.")
    ] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Records in which an entity must be present.")] = 50,
    max_entities: Annotated[int | None, typer.Option(min=1, help="Keep the most frequent only.")] = None,
    keep_children: Annotated[
        bool, typer.Option("--keep-children", help="A subtype keeps a column beside its parent's.")
    ] = False,
    verify: Annotated[
        bool, typer.Option(help="Ask the model again about what the text does not say literally.")
    ] = True,
    retry_unread: Annotated[
        bool, typer.Option("--retry-unread", help="Ask again for answers that could not be read before.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 16,
    timeout: Annotated[float, typer.Option(min=0.1, help="Of one request, in s.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="Further tries of a request that failed.")] = 7,
    price_in: Annotated[float, typer.Option(min=0, help="Price of a million prompt tokens, for the estimate.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="Price of a million answer tokens.")] = 0.0,
    audit: Annotated[int, typer.Option(min=0, help="Write a sheet of N sampled reports to check by hand.")] = 0,
    max_unread: Annotated[
        float, typer.Option(min=0, max=100, help="Exit with code 3 if more than this percentage is not read whole.")
    ] = 5.0,
    column: ColumnOption = "report",
    id_column: IdOption = "",
    out: OutOption = None,
    name: NameOption = "labels",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn the reports of STORE into a matrix of cardiac entities: absent, present or uncertain.

    Each unique statement is read once, by the offline lexicon or by a model behind an OpenAI-compatible server; its
    key is taken from ECGKIT_API_KEY or OPENAI_API_KEY. A run that was stopped goes on where it was. With --vocabulary
    alone, an edited vocabulary is applied to what was read before. Two more commands: 'extract-knowledge compare A B'
    shows where two extractions differ, 'extract-knowledge audit STORE' writes the sheet of --audit.
    """
    from ecgkit.knowledge.extract import ExtractOptions
    from ecgkit.knowledge.reports import open_reports

    options = ExtractOptions(unit, min_count, max_entities, keep_children, vocabulary, name, overwrite)  # type: ignore[arg-type]
    reports = open_reports(source, column=column, id_column=id_column, folder=out)
    chosen = backend or ("openai" if base_url else "")
    if not chosen and vocabulary and _read_before(reports, name):
        summary = _relabel(reports, options)
    else:
        server = (base_url, model, allow_remote, concurrency, timeout, retries) if chosen == "openai" else None
        made = _backend(chosen or "lexicon", server, reports, verify=verify, retry_unread=retry_unread)
        if server:
            _announce(made, reports.texts, unit, price_in, price_out)
        summary = _extract(reports, made, options)
    _show(summary, price_in, price_out)
    if as_json:
        print_json(_as_json(summary))
    if audit:
        _write_audit(reports, audit, name)
    if summary.incomplete > max_unread / 100 * max(1, summary.with_report):
        raise typer.Exit(Exit.INCOMPLETE)


def _read_before(reports: "Reports", name: str) -> bool:
    from ecgkit.knowledge.labels import MENTIONS

    return (reports.folder / name / MENTIONS).is_file()


def _relabel(reports: "Reports", options: "ExtractOptions") -> "Summary":
    from ecgkit.knowledge.extract import relabel

    return relabel(reports, options)


def _extract(reports: "Reports", backend: "Backend", options: "ExtractOptions") -> "Summary":
    from ecgkit.knowledge.extract import extract_knowledge

    with progress() as watch:
        return extract_knowledge(reports, backend, options, watch)


def _backend(
    name: str, server: tuple[Any, ...] | None, reports: "Reports", *, verify: bool, retry_unread: bool
) -> "Backend":
    """Return what reads the texts; `server` holds the fields of `EndpointSettings`, in order."""
    from ecgkit.knowledge.backends import find_backend

    if server is None:
        return find_backend(name)()
    from ecgkit.knowledge.endpoint.client import EndpointSettings

    _need(*server[:2])
    return find_backend(name)(EndpointSettings(*server), reports.folder, verify=verify, retry_quarantined=retry_unread)


def _write_audit(reports: "Reports", sample: int, name: str, seed: int = 0) -> None:
    from ecgkit.knowledge.audit import write_audit

    table, page = write_audit(reports, sample, name=name, seed=seed)
    say(f"to check by hand: {page} and {table}")


@app.command("compare")
def compare(
    a: Annotated[Path, typer.Argument(help="A store, or the folder of an extraction.")],
    b: Annotated[Path, typer.Argument(help="Another of the same reports.")],
    as_json: JsonOption = False,
) -> None:
    """Show where two extractions of the same reports agree: counts, agreement, Cohen's kappa."""
    from dataclasses import asdict

    from ecgkit.knowledge.agreement import compare
    from ecgkit.knowledge.labels import read_labels

    result = compare(read_labels(a), read_labels(b))
    rows = [{**asdict(row), "agreement": row.agreement, "kappa": row.kappa} for row in (result.total, *result.rows)]
    if as_json:
        print_json({"records": result.records, "rows": rows, "only_a": result.only_a, "only_b": result.only_b})
        return
    for row in rows:
        row["agreement"] = f"{percent(row['agreement'], 2)} %"
        row["kappa"] = "-" if row["kappa"] is None else f"{row['kappa']:.3f}"
    print_table(
        f"{result.records} records", rows, numeric=["both", "only_a", "only_b", "neither", "agreement", "kappa"]
    )
    for which, names in (("A", result.only_a), ("B", result.only_b)):
        if names:
            say(f"only in {which}: {', '.join(names)}")


@app.command("audit")
def audit(
    source: Annotated[Path, typer.Argument(metavar="STORE", help="What was extracted from: a store or a CSV table.")],
    sample: Annotated[int, typer.Option(min=1, help="Reports to draw.")] = 50,
    seed: SeedOption = 0,
    column: ColumnOption = "report",
    id_column: IdOption = "",
    out: OutOption = None,
    name: NameOption = "labels",
) -> None:
    """Write a sheet of sampled reports with what was read in them, as CSV and HTML, to check by hand."""
    from ecgkit.knowledge.reports import open_reports

    _write_audit(open_reports(source, column=column, id_column=id_column, folder=out), sample, name, seed)


def _need(base_url: str, model: str) -> None:
    from ecgkit.errors import ConfigError

    for option, value in (("--base-url", base_url), ("--model", model)):
        if not value:
            raise ConfigError(
                f"the openai backend has no {option}", "a server and a model", "Or use --backend lexicon."
            )


def _announce(backend: Any, reports: Any, unit: Any, price_in: float, price_out: float) -> None:
    """Say what the run will cost at most, before it starts."""
    from ecgkit.knowledge.statements import corpus_of

    corpus = corpus_of(reports, unit)
    asked, tokens_in, tokens_out = backend.estimate(corpus.texts)
    say(f"{len(reports)} records, {len(corpus.texts)} unique texts, {corpus.repeats} calls saved, {asked} to ask")
    cost = f", about {tokens_in / 1e6 * price_in + tokens_out / 1e6 * price_out:.2f}" if price_in or price_out else ""
    say(f"estimate: {tokens_in} prompt tokens and {tokens_out} answer tokens{cost}")


def _as_json(summary: "Summary") -> dict[str, Any]:
    entities = summary.entities
    return {
        "records": summary.records,
        "with_report": summary.with_report,
        "texts": summary.texts,
        "saved": summary.saved,
        "incomplete": summary.incomplete,
        "problems": summary.problems,
        "unknown": list(summary.unknown),
        "counters": dict(summary.counters),
        "labels": str(summary.path),
        "entities": [
            {"entity": name, "present": int(p), "uncertain": int(u), "parent": entities.parents.get(name)}
            for name, p, u in zip(entities.names, entities.counts, entities.uncertain, strict=True)
        ],
    }


def _show(summary: "Summary", price_in: float, price_out: float) -> None:
    entities = summary.entities
    say(f"{len(entities.names)} entities of {summary.records} records ({summary.with_report} with a report)")
    say(f"{summary.texts} unique texts read, {summary.saved} calls saved; labels in {summary.path}")
    counters = dict(summary.counters)
    if counters:
        say(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counters.items()))
    if counters.get("verify_asked"):
        dropped = counters["verify_dropped"] / counters["verify_asked"]
        say(f"disagreement on verification: {percent(dropped)} % of those asked")
    if price_in or price_out:
        cost = counters.get("prompt_tokens", 0) * price_in + counters.get("completion_tokens", 0) * price_out
        say(f"cost: {cost / 1e6:.2f}")
    for reason, count in summary.problems.items():
        warn(f"{count} texts not read ({reason})")
    if summary.incomplete:
        warn(f"{summary.incomplete} records not read whole; run again, with --retry-unread to ask once more")
    if summary.unknown:
        warn(f"{len(summary.unknown)} names are not in the vocabulary and left out; mentions.parquet holds them")
    rows = [
        {"entity": name, "present": int(p), "uncertain": int(u), "parent": entities.parents.get(name, "")}
        for name, p, u in zip(entities.names[:SHOWN], entities.counts, entities.uncertain, strict=False)
    ]
    title = (
        "Entities" if len(entities.names) <= SHOWN else f"The {SHOWN} most frequent of {len(entities.names)} entities"
    )
    print_table(title, rows, numeric=["present", "uncertain"])
