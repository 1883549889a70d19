"""``ecgkit.ingest``: convert a downloaded dataset into a store."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ecgkit.api.arguments import Leads, PathLike, chosen_leads, path_or_none, several
from ecgkit.choices import notes_choices
from ecgkit.datasets.budget import MEGABYTES, SECONDS
from ecgkit.datasets.given import Given
from ecgkit.datasets.identity import Identity, read_key
from ecgkit.datasets.paths import open_folder
from ecgkit.executor import open_executor
from ecgkit.ingestion import IngestOptions, IngestReport
from ecgkit.ingestion import ingest as run_ingest
from ecgkit.ingestion.options import Window, read_patients
from ecgkit.ingestion.part import warm_up
from ecgkit.progress import Progress, silent
from ecgkit.workspace.defaults import new_store


@notes_choices
def ingest(
    src: PathLike,
    *,
    out: PathLike | None = None,
    dataset: str = "",
    source_fs: float | None = None,
    unit: str = "",
    axes: str = "",
    array: str = "",
    lead_names: str | Sequence[str] | Mapping[str, str] = "",
    table: PathLike | None = None,
    record_column: str = "",
    patient_column: str = "",
    label_columns: str | Sequence[str] = "",
    fold_column: str = "",
    report_column: str = "",
    patient_from: str = "",
    leads: Leads = "",
    fs: float | None = None,
    seconds: float | None = None,
    window: Window = "first",
    limit: int | None = None,
    patients_file: PathLike | None = None,
    drop: Sequence[str] = (),
    keep_identity: bool = False,
    hash_patients: str = "",
    verify: bool = False,
    max_record_mb: float = MEGABYTES,
    max_record_seconds: float = SECONDS,
    workers: int = 1,
    dask: str = "",
    overwrite: bool = False,
    progress: Progress = silent,
) -> IngestReport:
    r"""Convert a downloaded dataset into a store.

    If the work is stopped, the same call continues where it stopped. A record that cannot be read is listed in the
    store's ledger, with the reason.

    The options from `source_fs` to `patient_from` say what the files do not say. What can be found by looking is found,
    and is listed in the report (`IngestReport.findings`).

    Args:
        src: Folder of the dataset, or a URL such as ``s3://bucket/ptb-xl``.
        out: Store to write. It appears when it is complete. By default ``NAME.zarr`` in the current folder.
            NAME is that of the source's folder; for a downloaded archive, the short name of its dataset.
        dataset: Dataset layout of the folder. By default detected from its files.
        source_fs: Sampling rate of the files in Hz, where they do not state it. Needed only if it differs from `fs`.
        unit: Unit of the samples where the files state none or an unknown one: ``V``, ``mV``, ``uV``, ``nV``, or the
            step of a converter such as ``4.88uV``.
        axes: Order of the axes of an array: ``N`` records, ``L`` leads, ``T`` time, ``1`` an axis of length 1. By
            default found from the number of leads.
        array: Name of the array in files that hold several. By default the only one with signals.
        lead_names: Names of all rows in order, or renamings such as ``{"ECG": "I"}`` or ``"ECG=I, MLII=II"``.
        table: CSV, TSV, Parquet or Excel table with one row per record. By default the only one beside the files.
        record_column: Column of the table that holds the record's id, path or file name.
        patient_column: Column of the table that holds the patient's id.
        label_columns: One column of codes, or several columns with one label each.
        fold_column: Column of the table that holds the fold, 1 to 10.
        report_column: Column of the table that holds the report.
        patient_from: Regular expression that finds the patient's id in a record's path, such as ``patient(\d+)/``.
        leads: Leads that every record must have. By default each record keeps the leads that it has. In arrays without
            names, they are also the names of the rows.
        fs: Sampling rate of the store in Hz. Records at this rate are chosen if the dataset has them; others are
            resampled. By default the dataset's own. If the files state no rate, this is their rate.
        seconds: Longest part of a record to keep, in s. By default the whole record.
        window: Part of a longer record to keep: ``first``, ``center``, or ``split`` into several records.
        limit: Largest number of records to take, from the first. By default all.
        patients_file: Text file of patient ids, one per line. Only records of these patients are taken.
        drop: Quality flags. Records with one of them are left out. ``duplicates`` leaves out all records of a waveform
            but the first.
        keep_identity: Keep columns that name a person, such as the patient's name or birth date. By default they are
            left out.
        hash_patients: File with a key, or ``key:SECRET``. Patient ids are stored as HMAC-SHA-256 under this key, so one
            patient has the same id in all stores made with the same key. By default ids are stored as they are.
        verify: Compare every file with ``SHA256SUMS.txt``, the publisher's list in the folder, before anything is read.
            Records with a file that differs go to the ledger. If a file differs that describes all records, such as a
            table, nothing is ingested.
        max_record_mb: Largest memory in MB that reading one record may need, as far as its header shows it. A larger
            record goes to the ledger.
        max_record_seconds: Longest time in s that reading one record may take. A slower record goes to the ledger.
        workers: Number of processes.
        dask: Address of a Dask scheduler to use instead.
        overwrite: Replace an existing store. Entities, verdicts and R peaks in it stay if the content is the same;
            otherwise they are moved to ``STORE.kept-1``.
        progress: Called with stage, records done and records in all.

    Returns:
        The numbers of records found, taken, flagged and rejected, with the reasons.

    Raises:
        ConfigError: Options contradict each other, or the patient file or the key file cannot be read.
        DatasetError: `src` does not exist, has no known layout, or holds no readable record. With `verify`: it has no
            list, or a file differs that describes all records.
        OutputError: `out` exists, another process is making it, or the disk is full.
        KeyboardInterrupt: Ctrl-C was pressed. What is done is kept.
    """
    wanted = chosen_leads(leads)
    options = IngestOptions(
        dataset=dataset,
        fs=fs,
        seconds=seconds,
        window=window,
        leads=wanted or None,
        limit=limit,
        patients=None if patients_file is None else read_patients(Path(patients_file)),
        given=Given(
            source_fs=source_fs,
            leads=wanted,
            unit=unit,
            axes=axes,
            array=array,
            lead_names=_lead_names(lead_names),
            table=path_or_none(table),
            record_column=record_column,
            patient_column=patient_column,
            label_columns=several(label_columns),
            fold_column=fold_column,
            report_column=report_column,
            patient_from=patient_from,
        ),
        max_record_mb=max_record_mb,
        max_record_seconds=max_record_seconds,
        drop=tuple(drop),
        identity=Identity(keep_identity, read_key(hash_patients)),
        verify=verify,
    )
    options.check()
    folder = open_folder(str(src), progress)
    store = new_store(out, folder, dataset)
    with open_executor(workers, dask, warm_up) as executor:
        return run_ingest(folder, store, options, progress, overwrite=overwrite, executor=executor)


def _lead_names(names: str | Sequence[str] | Mapping[str, str]) -> str:
    if isinstance(names, Mapping):
        return ", ".join(f"{name}={lead}" for name, lead in names.items())
    return names if isinstance(names, str) else ",".join(names)
