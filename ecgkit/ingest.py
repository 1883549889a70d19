"""Ingest: a dataset as it lies on disk becomes one store, and every record that does not is accounted for.

Two passes: the headers decide the store's shape, then each signal is read, checked and appended. A record that cannot
be taken goes to the ledger with the stage and the reason; none is dropped silently.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ecgkit.atomic import atomic_folder, check_output
from ecgkit.datasets.base import Dataset, Source, settle
from ecgkit.datasets.header import Header
from ecgkit.entries import DatasetEntry
from ecgkit.errors import ConfigError, DatasetError, LeadError, PluginError, RecordError, SignalError
from ecgkit.leads import DERIVED, canonical_order
from ecgkit.plugins import host
from ecgkit.recording import Recording
from ecgkit.signal.resample import resample_with_gaps, resampled_length
from ecgkit.store.writer import LedgerRow, StoreWriter

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class IngestOptions:
    """What a user may ask of an ingest.

    Args:
        dataset: Name of the layout; empty to find it by looking.
        fs: Sampling rate in Hz: picks among the rates that the dataset ships, and resamples any other to it.
        seconds: Longest part of a record to keep, from its start; None keeps all.
        leads: Leads to keep; a record that lacks one goes to the ledger. None keeps what each record has.
        limit: Stop after this many records.
        overwrite: Replace an existing store.
    """

    dataset: str = ""
    fs: float | None = None
    seconds: float | None = None
    leads: tuple[str, ...] | None = None
    limit: int | None = None
    overwrite: bool = False


@dataclass
class IngestReport:
    """What became of a folder's records.

    Args:
        dataset: The layout that was taken.
        found: Records that the dataset lists.
        taken: Records in the store.
        rejected: Ledger rows.
        fewer_leads: How many records have which set of leads, where it is not the whole lead axis.
        derived: How many records had how many limb leads computed.
        other: How many records hold which signals that are no ECG leads.
        content_hash: Hash of the store.
    """

    dataset: str
    found: int
    taken: int = 0
    rejected: list[LedgerRow] = field(default_factory=list)
    fewer_leads: Counter[tuple[str, ...]] = field(default_factory=Counter)
    derived: Counter[tuple[str, ...]] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    content_hash: str = ""


def ingest(
    src: Path, out: Path, options: IngestOptions = IngestOptions(), progress: Progress | None = None
) -> IngestReport:
    """Take a dataset into a new store.

    Args:
        src: The dataset's folder, as downloaded.
        out: The store to make; it appears only when it is complete.
        options: See `IngestOptions`.
        progress: Called with the stage, records done and records in all.

    Returns:
        What was taken and what was not.

    Raises:
        ConfigError: `options` asks for a rate or a length that cannot be.
        DatasetError: `src` is missing, empty or of no known layout, or none of its records can be read.
        OutputError: `out` exists.
    """
    check_output(out, "store", overwrite=options.overwrite)
    _check_options(options)
    dataset = find_dataset(src, options.dataset, options.fs)
    sources = _distinct(settle(dataset.sources()))[: options.limit]
    report = IngestReport(dataset.name, len(sources))
    plan = _plan(dataset, sources, options, report, progress)
    _refuse_if_empty(src, report, bool(plan))
    with atomic_folder(out, "store") as folder:
        leads = options.leads or _lead_axis([header for _, header in plan])
        samples = max(_stored_samples(header, options) for _, header in plan)
        writer = StoreWriter(folder, leads=leads, samples=samples)
        for done, (source, header) in enumerate(plan, 1):
            _take(dataset, source, header, options, writer, report)
            if progress:
                progress("signals", done, len(plan))
        _refuse_if_empty(src, report, report.taken > 0)
        for row in report.rejected:
            writer.reject(row)
        report.content_hash = writer.close({"dataset": dataset.name, "code_system": dataset.code_system})
    return report


def find_dataset(src: Path, name: str = "", fs: float | None = None) -> Dataset:
    """Return the dataset in a folder, its layout found by looking unless it is named.

    Raises:
        DatasetError: The folder is missing or empty, or no layout recognises it.
        PluginError: No layout has this name.
    """
    if not src.is_dir():
        what = "is a file" if src.exists() else "does not exist"
        raise DatasetError(f"{src} {what}", "the folder of a downloaded dataset")
    if next(src.iterdir(), None) is None:
        raise DatasetError(f"{src} is empty", "the folder of a downloaded dataset")
    entries = host().entries(DatasetEntry)
    if name:
        entries = {name: host().get(DatasetEntry, name)}
    broken = []
    for entry in sorted(entries.values(), key=lambda e: -e.priority):
        try:
            layout: type[Dataset] = entry.load()
            fits = layout.recognises(src)
        except Exception as error:  # a layout is anybody's code: it must not cost the folders of the others
            broken.append(f"{entry.name} ({type(error).__name__}: {error})")
            continue
        if fits:
            return layout(src, fs=fs)
    if name and broken:
        raise PluginError(f"dataset layout {broken[0]} does not work", "a layout that loads")
    raise DatasetError(
        f"{src} has no layout known here",
        f"one of {', '.join(entries)}",
        f"Name the right folder, or --dataset.{' Not tried: ' + '; '.join(broken) if broken else ''}",
    )


def _check_options(options: IngestOptions) -> None:
    for name, value in (("--fs", options.fs), ("--seconds", options.seconds)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{name} is {value:g}", "a finite number above 0", f"Leave {name} out to keep all.")


def _distinct(sources: Sequence[Source]) -> list[Source]:
    """Return the sources, refusing two of one id: results could not tell them apart."""
    listed = list(sources)
    twice = [record_id for record_id, n in Counter(s.record_id for s in listed if not s.problem).items() if n > 1]
    if twice:
        raise DatasetError(f"record id {twice[0]!r} is listed twice", "one row a record in the dataset's table")
    return listed


def _plan(
    dataset: Dataset, sources: list[Source], options: IngestOptions, report: IngestReport, progress: Progress | None
) -> list[tuple[Source, Header]]:
    """Read every header; what cannot be read, or would be stored without a sample, is rejected here."""
    plan = []
    for done, source in enumerate(sources, 1):
        stage = "table" if source.problem else "header"
        try:
            if source.problem:
                raise RecordError(source.problem)
            header = dataset.header(source)
            if _stored_samples(header, options) < 1:
                raise RecordError("less than one sample would be stored", "one or more", "Raise --seconds or --fs.")
            plan.append((source, header))
        except RecordError as error:
            report.rejected.append(LedgerRow(source.record_id, source.path, stage, str(error)))
        if progress:
            progress("headers", done, len(sources))
    return plan


def _lead_axis(headers: list[Header]) -> tuple[str, ...]:
    """Return all leads that some record will have, in canonical order."""
    leads: set[str] = set()
    for header in headers:
        leads.update(header.leads)
        if header.unit == "mV" and {"I", "II"} <= set(header.leads):
            leads.update(DERIVED)
    return canonical_order(list(leads))


def _stored_samples(header: Header, options: IngestOptions) -> int:
    samples = header.samples if options.seconds is None else min(header.samples, round(options.seconds * header.fs))
    return resampled_length(samples, header.fs, options.fs or header.fs)


def _take(
    dataset: Dataset,
    source: Source,
    header: Header,
    options: IngestOptions,
    writer: StoreWriter,
    report: IngestReport,
) -> None:
    """Read one record and append it, or write down why not."""
    try:
        recording = dataset.read(source, header)
        fitted = _fit(recording, options)
    except LeadError as error:
        report.rejected.append(LedgerRow(source.record_id, source.path, "leads", str(error)))
        return
    except (RecordError, SignalError) as error:
        report.rejected.append(LedgerRow(source.record_id, source.path, "signal", str(error)))
        return
    writer.append(fitted, dataset.row(source, recording))
    report.taken += 1
    report.other.update(fitted.other)
    if fitted.derived:
        report.derived[fitted.derived] += 1
    if len(fitted.leads) < len(writer.leads):
        report.fewer_leads[fitted.leads] += 1


def _fit(recording: Recording, options: IngestOptions) -> Recording:
    """Cut, resample and complete a recording as the options say."""
    samples = None if options.seconds is None else round(options.seconds * recording.fs)
    fitted = recording.part(0, samples)
    if options.fs and options.fs != recording.fs:
        signal = resample_with_gaps(fitted.signal, recording.fs, options.fs)
        rpeaks = fitted.rpeaks
        if rpeaks is not None:
            rpeaks = (rpeaks * options.fs / recording.fs).round().astype(int)
            rpeaks = rpeaks[rpeaks < signal.shape[-1]]
        fitted = replace(fitted, amplitudes=signal, fs=options.fs, rpeaks=rpeaks)
    fitted = fitted.with_derived_leads()
    return fitted.only(options.leads) if options.leads else fitted


def _refuse_if_empty(src: Path, report: IngestReport, any_left: bool) -> None:
    """Refuse to make a store without a record, and tell the first reason."""
    if any_left:
        return
    if not report.rejected:
        raise DatasetError(f"{src} lists no record", "at least one")
    first = report.rejected[0]
    raise DatasetError(
        f"none of the {report.found} records of {src} can be read; record {first.record_id}: {first.reason}"
    )
