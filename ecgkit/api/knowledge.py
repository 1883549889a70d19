"""``ecgkit.extract_knowledge`` and what is done with its labels: ``compare_``, ``audit_`` and ``score_knowledge``."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ecgkit.api.arguments import PathLike, path_or_none
from ecgkit.errors import ConfigError
from ecgkit.knowledge import extract
from ecgkit.knowledge.agreement import Comparison, compare
from ecgkit.knowledge.audit import check_no_verdicts, write_audit
from ecgkit.knowledge.backends import Backend, find_backend
from ecgkit.knowledge.export import Form, write_labels_csv
from ecgkit.knowledge.extract import ExtractOptions, Summary, relabel
from ecgkit.knowledge.labels import MENTIONS, read_labels
from ecgkit.knowledge.reports import Reports, open_reports
from ecgkit.knowledge.scoring import LEAST, Scores, score
from ecgkit.knowledge.statements import Unit, corpus_of
from ecgkit.knowledge.verdicts import read_verdicts
from ecgkit.progress import Progress, silent

LEXICON, OPENAI = "lexicon", "openai"


@dataclass(frozen=True)
class ServerCost:
    """Estimate of the requests to a model server.

    Args:
        records: Number of records.
        texts: Number of unique texts.
        saved: Number of texts that need no request because an equal text is read.
        requests: Number of requests: texts that are not in the cache of answers.
        prompt_tokens: Estimate of the tokens sent.
        answer_tokens: Estimate of the tokens received.
    """

    records: int
    texts: int
    saved: int
    requests: int
    prompt_tokens: int
    answer_tokens: int


def extract_knowledge(
    source: PathLike,
    *,
    backend: str = "",
    base_url: str = "",
    model: str = "",
    allow_remote: bool = False,
    unit: Unit = "statement",
    vocabulary: PathLike | None = None,
    min_count: int = 50,
    max_entities: int | None = None,
    keep_children: bool = False,
    verify: bool = True,
    retry_unread: bool = False,
    concurrency: int = 16,
    timeout: float = 120.0,
    retries: int = 7,
    audit: int = 0,
    column: str = "report",
    id_column: str = "",
    out: PathLike | None = None,
    name: str = "labels",
    overwrite: bool = False,
    announce: Callable[[ServerCost], None] | None = None,
    progress: Progress = silent,
) -> Summary:
    """Extract a matrix of cardiac entities (absent, present or uncertain) from reports.

    Each unique statement is read once. If the work is stopped, the same call continues where it stopped. The API key of
    a model server comes from the environment variable ``ECGKIT_API_KEY`` or ``OPENAI_API_KEY``. With `vocabulary`
    alone, an edited vocabulary is applied to the readings of an earlier call.

    Args:
        source: Store with reports, or CSV file with a column of texts.
        backend: ``lexicon`` (offline) or ``openai`` (a model server). By default ``openai`` if `base_url` is given,
            otherwise ``lexicon``.
        base_url: OpenAI-compatible server, such as ``http://localhost:8000/v1``.
        model: Name of the model on that server.
        allow_remote: Allow report text to be sent outside this machine and its private network.
        unit: Unit of text to read at a time: ``statement`` or ``report``.
        vocabulary: YAML or CSV file of synonyms and parents.
        min_count: Smallest number of records in which an entity must be present to be kept.
        max_entities: Largest number of entities to keep, by frequency. By default all.
        keep_children: Keep the column of each subtype beside that of its parent.
        verify: Ask the model again about entities that the text does not name literally.
        retry_unread: Ask again about texts whose earlier answer could not be read.
        concurrency: Largest number of simultaneous requests.
        timeout: Time limit of one request, in s.
        retries: Number of retries of a failed request.
        audit: Number of reports to sample into a sheet to check by hand. By default no sheet is written.
        column: Name of the column that holds the texts.
        id_column: For a CSV file, name of the column of record ids. By default the first column.
        out: For a CSV file, folder for the results. By default ``NAME.knowledge`` beside the file.
        name: Name of the extraction. A store can hold several extractions.
        overwrite: Replace an extraction of the same name.
        announce: Called with the estimated requests before the first one is sent.
        progress: Called with stage, texts done and texts in all.

    Returns:
        The entities with their counts, the folder of the results, and the texts that could not be read.

    Raises:
        ConfigError: An option does not fit, or the vocabulary cannot be read.
        StoreError: `source` is not a store, or holds no reports.
        DatasetError: No text could be read, or no entity is frequent enough.
        EndpointError: The model server failed after all retries. Its earlier answers are kept.
        OutputError: An extraction of this name exists, or its audit sheet holds verdicts.
    """
    edited = path_or_none(vocabulary)
    options = ExtractOptions(unit, min_count, max_entities, keep_children, edited, name, overwrite)
    reports = open_reports(Path(source), column=column, id_column=id_column, folder=path_or_none(out))
    if audit:
        check_no_verdicts(reports, name)
    chosen = backend or (OPENAI if base_url else "")
    if not chosen and edited and (reports.folder / name / MENTIONS).is_file():
        summary = relabel(reports, options)
    else:
        server = (base_url, model, allow_remote, concurrency, timeout, retries)
        reader = (
            _server(server, reports, verify, retry_unread) if chosen == OPENAI else find_backend(chosen or LEXICON)()
        )
        if announce and chosen == OPENAI:
            announce(_cost(reader, reports, unit))
        summary = extract.extract_knowledge(reports, reader, options, progress)
    return replace(summary, audit=write_audit(reports, audit, name=name)) if audit else summary


def _server(server: tuple[str, str, bool, int, float, int], reports: Reports, verify: bool, retry: bool) -> Backend:
    """Return the backend that asks a model server; `server` holds the fields of `EndpointSettings`, in order."""
    from ecgkit.knowledge.endpoint.client import EndpointSettings

    for option, value in zip(("--base-url", "--model"), server[:2], strict=True):
        if not value:
            remedy = "Give --base-url and --model, or use --backend lexicon."
            raise ConfigError(f"the openai backend needs {option}", "", remedy)
    settings = EndpointSettings(*server)
    return find_backend(OPENAI)(settings, reports.folder, verify=verify, retry_quarantined=retry)


def _cost(backend: Backend, reports: Reports, unit: Unit) -> ServerCost:
    corpus = corpus_of(reports.texts, unit)
    asked, tokens_in, tokens_out = backend.estimate(corpus.texts)  # type: ignore[attr-defined]  # of a server's backend
    return ServerCost(len(reports), len(corpus.texts), corpus.repeats, asked, tokens_in, tokens_out)


def compare_knowledge(a: PathLike, b: PathLike) -> Comparison:
    """Compare two extractions of the same reports: counts, agreement and Cohen's kappa of each entity.

    Args:
        a: Store, or folder of an extraction.
        b: Another extraction of the same reports.

    Raises:
        StoreError: There is no extraction, they are of different records, or they share no entity.
    """
    return compare(read_labels(Path(a)), read_labels(Path(b)))


def audit_knowledge(
    source: PathLike,
    *,
    sample: int = 50,
    seed: int = 0,
    xlsx: bool = False,
    overwrite: bool = False,
    column: str = "report",
    id_column: str = "",
    out: PathLike | None = None,
    name: str = "labels",
) -> tuple[Path, ...]:
    """Write a sheet of sampled reports with what was read in them, to check by hand.

    Args:
        source: Store or CSV file whose reports were read.
        sample: Number of reports to draw.
        seed: Seed of the draw.
        xlsx: Write an Excel workbook too. Needs ``ecgkit-learn[xlsx]``.
        overwrite: Replace a sheet that holds verdicts.
        column: Column of texts.
        id_column: Column of ids of a CSV file. By default its first column.
        out: Folder of the results of a CSV file. By default ``NAME.knowledge`` beside the file.
        name: Name of the extraction.

    Returns:
        The sheet as a CSV file, as an HTML page and, if wanted, as a workbook.

    Raises:
        StoreError: There is no extraction of this name, or it belongs to other reports.
        OutputError: The earlier sheet holds verdicts.
        ConfigError: The package for workbooks is missing.
    """
    reports = open_reports(Path(source), column=column, id_column=id_column, folder=path_or_none(out))
    return write_audit(reports, sample, name=name, seed=seed, xlsx=xlsx, overwrite=overwrite)


def score_knowledge(sheet: PathLike, *, least: int = LEAST) -> Scores:
    """Score an extraction by the verdicts in its audit sheet: precision, recall and F1 of each entity.

    Args:
        sheet: Audit sheet with verdicts, a CSV file or an Excel workbook.
        least: Number of texts that must state an entity for it to count in the macro F1.

    Raises:
        DatasetError: The sheet is missing, holds no verdict, or holds one that does not fit.
        ConfigError: The package for workbooks is missing.
    """
    verdicts = read_verdicts(Path(sheet))
    return score(verdicts.judgements, verdicts.texts, least, verdicts.open_rows)


def export_knowledge(
    source: PathLike, to: PathLike, *, form: Form = "long", name: str = "labels", overwrite: bool = False
) -> Path:
    """Write the labels of an extraction as a CSV file, with SCP-ECG, SNOMED CT and ICD-10 codes.

    Args:
        source: Store, or folder of an extraction.
        to: CSV file to write.
        form: ``long`` (one row per record and entity, with codes) or ``wide`` (one row per record, one column per
            entity: 1 present, 2 uncertain, 0 absent or not mentioned, empty if the report was not read completely).
        name: Name of the extraction.
        overwrite: Replace an earlier file.

    Raises:
        StoreError: There is no extraction.
        OutputError: The file exists.
    """
    return write_labels_csv(read_labels(Path(source), name), Path(to), form=form, overwrite=overwrite)
