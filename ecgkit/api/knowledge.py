"""``ecgkit.extract_knowledge``: cardiac entities from reports. What is done with them: `ecgkit.api.extractions`."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecgkit.api.arguments import PathLike, Settings, assignments, path_or_none
from ecgkit.api.extractions import reports_of
from ecgkit.choices import notes_choices
from ecgkit.errors import ConfigError
from ecgkit.executor import Executor, open_executor
from ecgkit.knowledge import extract
from ecgkit.knowledge.audit import check_no_verdicts, write_audit
from ecgkit.knowledge.backends import Backend, Cost, Costly, LocalReader, Notify, make_backend
from ecgkit.knowledge.endpoint.settings import (
    ModelSettings,
    OpenAISettings,
    Reasoning,
    ServerSettings,
    parse_extra_body,
    parse_headers,
)
from ecgkit.knowledge.extract import ExtractOptions, Summary, relabel
from ecgkit.knowledge.extractions import PILOT
from ecgkit.knowledge.labels import MENTIONS
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.statements import Unit, corpus_of
from ecgkit.knowledge.vocabulary import read_vocabulary
from ecgkit.progress import Progress, silent
from ecgkit.workspace.defaults import the_store

LEXICON, OPENAI = "lexicon", "openai"


@dataclass(frozen=True)
class ServerCost:
    """Estimate of what a backend has to do.

    Args:
        records: Number of records.
        texts: Number of unique texts.
        saved: Number of texts that need no request because an equal text is read.
        cost: Requests, tokens and time.
    """

    records: int
    texts: int
    saved: int
    cost: Cost


@notes_choices
def extract_knowledge(
    source: PathLike | None = None,
    *,
    backend: str = "",
    base_url: str | Sequence[str] = (),
    model: str = "",
    allow_remote: bool = False,
    batch: PathLike | None = None,
    unit: Unit = "statement",
    limit: int | None = None,
    seed: int = 0,
    vocabulary: PathLike | None = None,
    closed: PathLike | None = None,
    min_count: int | None = None,
    max_entities: int | None = None,
    keep_children: bool = False,
    verify: bool = True,
    retry_unread: bool = False,
    max_tokens: int = 4096,
    temperature: float | None = None,
    reasoning: Reasoning = "",
    samples: int = 1,
    language: str = "",
    prompts: PathLike | None = None,
    extra_body: str | Mapping[str, Any] = "",
    header: str | Sequence[str] = (),
    settings: Settings = (),
    concurrency: int = 64,
    timeout: float = 120.0,
    retries: int = 7,
    workers: int | None = None,
    dask: str = "",
    audit: int = 0,
    report_columns: str | Sequence[str] = "",
    reports: PathLike | None = None,
    id_column: str = "",
    out: PathLike | None = None,
    name: str = "labels",
    overwrite: bool = False,
    announce: Callable[[ServerCost], None] | None = None,
    notify: Notify = lambda _: None,
    progress: Progress = silent,
) -> Summary:
    """Extract a matrix of cardiac entities (absent, present or uncertain) from reports.

    Each unique statement is read once. If the work is stopped, the same call continues where it stopped. The API key of
    a model server comes from the environment variable ``ECGKIT_API_KEY`` or ``OPENAI_API_KEY``. With `vocabulary`
    alone, an edited vocabulary is applied to the readings of an earlier call.

    Args:
        source: Store with reports, or CSV file with columns of texts. By default the only store of the current folder.
        backend: ``lexicon`` (offline), ``openai`` (model servers), or one of a plugin. By default ``openai`` if
            `base_url` or `batch` is given, otherwise ``lexicon``.
        base_url: OpenAI-compatible server, such as ``http://localhost:8000/v1``, or several that serve one model.
        model: Name of the model on these servers.
        allow_remote: Allow report text to be sent outside this machine and its private network.
        batch: Folder for files of questions and answers, instead of a server. The same call is repeated after each
            batch.
        unit: Unit of text to read at a time: ``statement`` or ``report``.
        limit: Number of reports of a pilot, drawn at random. Its labels have ``-pilot`` after their name, and the
            summary says what the whole would take. By default all reports are read.
        seed: Seed of that draw.
        vocabulary: YAML or CSV file of synonyms, parents and codes.
        closed: Such a file that a model must keep to: it may name no other entity, and what it names otherwise is left
            out and counted. It is also applied as `vocabulary`.
        min_count: Smallest number of records in which an entity must be present to be kept. By default a fifth of the
            square root of the number of reports, at most 50.
        max_entities: Largest number of entities to keep, by frequency. By default all.
        keep_children: Keep the column of each subtype beside that of its parent.
        verify: Ask the model again about entities that the text does not name literally.
        retry_unread: Ask again about texts whose earlier answer could not be read.
        max_tokens: Longest answer in tokens, thoughts included.
        temperature: Temperature of the answers. By default 0, or 0.7 with several samples.
        reasoning: How much the model thinks first: ``off``, ``low``, ``medium`` or ``high``. By default its own way.
        samples: How often each statement is read. With more than one, the readings vote.
        language: Language of the reports, such as ``German``, which the model is told.
        prompts: Folder of prompts to use instead of those that ship with ecgkit.
        extra_body: Further fields of each request, as a mapping or a JSON object. None leaves a field out.
        header: Further header of each request, such as ``Name: value``, or several.
        settings: Settings of another backend, such as ``{"depth": 4}``.
        concurrency: Most simultaneous requests per server. Fewer are sent where more bring nothing.
        timeout: Time limit of one request, in s.
        retries: Number of retries of a failed request.
        workers: Number of processes of a backend that computes, such as the lexicon. By default as many as pay. In a
            script it is 1, because every process runs an unguarded script again.
        dask: Address of a Dask scheduler to use instead.
        audit: Number of reports to sample into a sheet to check by hand. By default no sheet is written.
        report_columns: Columns of texts, by name or pattern such as ``report_*``; several are joined. By default
            ``report``, or ``report_0``, ``report_1`` and so on.
        reports: For a store, CSV file whose texts are read instead of its own, such as notes with record ids.
        id_column: Column of record ids of a CSV file. By default ``record_id``, ``study_id``, ``ecg_id``, or the first
            column.
        out: For a CSV file, folder for the results. By default ``NAME.knowledge`` beside the file.
        name: Name of the extraction. A store can hold several extractions.
        overwrite: Replace an extraction of the same name.
        announce: Called with the estimated work before the first request is sent.
        notify: Called with what a person should know, such as a server that asks to wait.
        progress: Called with stage, texts done and texts in all.

    Returns:
        The entities with their counts, the folder of the results, and the texts that could not be read.

    Raises:
        ConfigError: An option does not fit, or the vocabulary or a prompt cannot be read.
        PluginError: There is no such backend.
        StoreError: `source` is not a store, or holds no reports.
        DatasetError: No text could be read, or no entity is frequent enough.
        WorkerError: A worker ended before its work was done.
        EndpointError: The model servers failed after all retries. Their earlier answers are kept.
        BatchWaitingError: Questions were written into `batch`, and wait for their answers.
        OutputError: An extraction of this name exists, or its audit sheet holds verdicts.
    """
    if vocabulary and closed:
        raise ConfigError("--vocabulary and --closed exclude each other", remedy="Give one of them.")
    edited = path_or_none(closed or vocabulary)
    place = the_store(source, "ecgkit extract-knowledge")
    given = reports_of(place, report_columns, reports, id_column, out)
    read = given if limit is None else given.sample(limit, seed)
    if limit is not None:
        name, overwrite = f"{name}{PILOT}", True
    options = ExtractOptions(unit, min_count, max_entities, keep_children, edited, name, overwrite)
    if audit:
        check_no_verdicts(given, name)
    urls = (base_url,) if isinstance(base_url, str) else tuple(base_url)
    urls = tuple(url for url in urls if url)
    chosen = backend or (OPENAI if urls or batch else "")
    whole = None
    if not chosen and edited and (given.extraction(name) / MENTIONS).is_file():
        summary = relabel(read, options)
    else:
        server = None
        if chosen == OPENAI:
            _check_server(urls, model, batch)
            body = parse_extra_body(extra_body if isinstance(extra_body, str) else json.dumps(dict(extra_body)))
            asked = ModelSettings(
                model, max_tokens, temperature, reasoning, body, samples, language, path_or_none(prompts)
            )
            headers = parse_headers((header,) if isinstance(header, str) else tuple(header))
            where = ServerSettings(urls, allow_remote, headers, concurrency, timeout, retries)
            only = read_vocabulary(Path(closed)) if closed else None
            server = OpenAISettings(asked, None if batch else where, path_or_none(batch), verify, retry_unread, only)
        reader = make_backend(
            chosen or LEXICON, given.folder, settings=server, assignments=assignments(settings), notify=notify
        )
        if announce and isinstance(reader, Costly):
            announce(_cost(reader, read, unit))
        with _executor(reader, workers, dask) as executor:
            summary = extract.extract_knowledge(read, reader, options, progress, executor)
        if limit is not None and isinstance(reader, Costly):
            whole = reader.estimate(corpus_of(given.texts, unit).texts)
    sheet = write_audit(read, audit, name=name) if audit else None
    return replace(summary, audit=sheet, whole=whole)


def _executor(reader: Backend, workers: int | None, dask: str) -> AbstractContextManager[Executor | None]:
    """Return a context of the executor that was asked for; of None where a number of processes is to be found.

    Raises:
        ConfigError: The backend computes nothing that could be shared among workers.
    """
    if not workers and not dask:
        return nullcontext()
    if not isinstance(reader, LocalReader):
        option = f"--workers {workers}" if workers else f"--dask {dask}"
        remedy = "Name several servers with --base-url, and the load of each with --concurrency."
        raise ConfigError(f"{option} is for a backend that computes, and this one asks others", "", remedy)
    return open_executor(workers or 1, dask)


def _check_server(urls: Sequence[str], model: str, batch: PathLike | None) -> None:
    """Refuse a server or batch that cannot be asked.

    Raises:
        ConfigError: An option is missing, or two exclude each other.
    """
    if urls and batch:
        raise ConfigError("--base-url and --batch exclude each other", remedy="Give one of them.")
    for option, value in (("--base-url or --batch", urls or batch), ("--model", model)):
        if not value:
            remedy = "Give --model with --base-url or --batch, or use --backend lexicon."
            raise ConfigError(f"the openai backend needs {option}", "", remedy)


def _cost(backend: Costly, reports: Reports, unit: Unit) -> ServerCost:
    corpus = corpus_of(reports.texts, unit)
    return ServerCost(len(reports), len(corpus.texts), corpus.repeats, backend.estimate(corpus.texts))


def write_prompts(folder: PathLike, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write the prompts that ship with ecgkit into a folder, to be edited and given to `extract_knowledge`.

    Args:
        folder: The folder.
        overwrite: Replace prompts that are there.

    Raises:
        OutputError: A prompt is there already, or the folder cannot be written.
    """
    from ecgkit.knowledge.endpoint import prompts

    return prompts.write_prompts(Path(folder), overwrite=overwrite)
