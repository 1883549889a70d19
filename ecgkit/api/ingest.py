"""``ecgkit.ingest``: convert a downloaded dataset into a store."""

from collections.abc import Sequence
from pathlib import Path

from ecgkit.api.arguments import Leads, PathLike, chosen_leads
from ecgkit.datasets.identity import Identity, read_key
from ecgkit.datasets.paths import open_folder
from ecgkit.executor import open_executor
from ecgkit.ingestion import IngestOptions, IngestReport
from ecgkit.ingestion import ingest as run_ingest
from ecgkit.ingestion.options import Window, read_patients
from ecgkit.ingestion.part import warm_up
from ecgkit.progress import Progress, silent


def ingest(
    src: PathLike,
    *,
    out: PathLike,
    dataset: str = "",
    leads: Leads = "",
    fs: float | None = None,
    seconds: float | None = None,
    window: Window = "first",
    limit: int | None = None,
    patients_file: PathLike | None = None,
    drop: Sequence[str] = (),
    keep_identity: bool = False,
    hash_patients: str = "",
    workers: int = 1,
    dask: str = "",
    overwrite: bool = False,
    progress: Progress = silent,
) -> IngestReport:
    """Convert a downloaded dataset into a store.

    If the work is stopped, the same call continues where it stopped. A record that cannot be read is listed in the
    store's ledger, with the reason.

    Args:
        src: Folder of the dataset, or a URL such as ``s3://bucket/ptb-xl``.
        out: Store to write. It appears when it is complete.
        dataset: Dataset layout of the folder. By default detected from its files.
        leads: Leads that every record must have. By default each record keeps the leads that it has.
        fs: Sampling rate in Hz. Records at this rate are chosen if the dataset has them; others are resampled. By
            default the dataset's own.
        seconds: Longest part of a record to keep, in s. By default the whole record.
        window: Part of a longer record to keep: ``first``, ``center``, or ``split`` into several records.
        limit: Largest number of records to take, from the first. By default all.
        patients_file: Text file of patient ids, one per line. Only records of these patients are taken.
        drop: Quality flags. Records with one of them are left out.
        keep_identity: Keep columns that name a person, such as the patient's name or birth date. By default they are
            left out.
        hash_patients: File with a key, or ``key:SECRET``. Patient ids are stored as HMAC-SHA-256 under this key, so one
            patient has the same id in all stores made with the same key. By default ids are stored as they are.
        workers: Number of processes.
        dask: Address of a Dask scheduler to use instead.
        overwrite: Replace an existing store.
        progress: Called with stage, records done and records in all.

    Returns:
        The numbers of records found, taken, flagged and rejected, with the reasons.

    Raises:
        ConfigError: Options contradict each other, or the patient file or the key file cannot be read.
        DatasetError: `src` does not exist, has no known layout, or holds no readable record.
        OutputError: `out` exists, another process is making it, or the disk is full.
        KeyboardInterrupt: Ctrl-C was pressed. What is done is kept.
    """
    options = IngestOptions(
        dataset=dataset,
        fs=fs,
        seconds=seconds,
        window=window,
        leads=chosen_leads(leads) or None,
        limit=limit,
        patients=None if patients_file is None else read_patients(Path(patients_file)),
        drop=tuple(drop),
        identity=Identity(keep_identity, read_key(hash_patients)),
    )
    options.check()
    with open_executor(workers, dask, warm_up) as executor:
        return run_ingest(open_folder(str(src)), Path(out), options, progress, overwrite=overwrite, executor=executor)
