"""``ecgkit.embed``: write the features of the records of a store, a folder or a file."""

from collections.abc import Sequence
from pathlib import Path

from ecgkit.api.arguments import Leads, PathLike
from ecgkit.download.hub import local_folder
from ecgkit.errors import ConfigError
from ecgkit.evaluation.protocols.lead_sets import lead_set
from ecgkit.inference.embed import Embedded, Wanted
from ecgkit.inference.embed import embed as run_embed
from ecgkit.ingestion.loose import reading_options
from ecgkit.progress import Progress, silent
from ecgkit.store.remote import located
from ecgkit.training.workers import Workers


def embed(
    run: PathLike,
    *,
    data: PathLike,
    out: PathLike,
    features: str | Sequence[str] = "pooled",
    leads: Leads = "",
    columns: str | Sequence[str] | None = None,
    extraction: str = "",
    dataset: str = "",
    source_fs: float | None = None,
    unit: str = "",
    lead_names: str = "",
    workers: int = 1,
    device: str = "auto",
    gpus: int = 0,
    dask: str = "",
    overwrite: bool = False,
    progress: Progress = silent,
) -> Embedded:
    """Write the features of the records of a store, a folder or a file, with a table of the records.

    The features are those that `load` returns. A folder or a file needs no store: any format that `ingest` reads is
    read. Records that cannot be read are listed in a ledger. If the work is stopped, the same call continues where it
    stopped.

    Args:
        run: Finished run folder, or the address of a model on a hub, such as ``hf://ORG/NAME``.
        data: Store, folder of a dataset, or file.
        out: ``.parquet``, ``.npz``, ``.h5`` or ``.zarr`` to write.
        features: Some of ``pooled``, ``per_lead``, ``tokens``, ``layers`` and ``logits``: a list, or joined by commas.
        leads: Lead set that the model is given, such as ``limb`` or ``II,V5``. By default all leads of the model.
        columns: Columns of the record table to write; several as a list, or joined by commas. By default all but the
            text of the report.
        extraction: Extraction whose entities become columns. By default the only one of the store.
        dataset: Dataset layout of the folder or file. By default detected.
        source_fs: Sampling rate in Hz of files that do not state it.
        unit: Unit of the samples, where the files state none.
        lead_names: Names of all rows in order, or renamings such as ``ECG=I``.
        workers: Number of processes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        gpus: Number of GPUs to share the work between, instead of `device`.
        dask: Address of a Dask scheduler to use instead of `workers`. Its workers need the same paths as this machine.
        overwrite: Replace an existing output.
        progress: Called with the stage, records done and records in all.

    Returns:
        Shapes of what was written, and the records that gave no features.

    Raises:
        ConfigError: Options contradict each other, or a feature or column does not exist.
        LeadError: A name is not a lead.
        RunError: The run is not finished, its encoder lacks a feature, or a device does not exist.
        DatasetError: `data` does not exist, has no known layout, or holds no readable record.
        StoreError: The store is damaged, or lacks what the encoder needs.
        OutputError: `out` exists or cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed. What is done is kept.
    """
    name = leads if isinstance(leads, str) else ",".join(leads)
    wanted = Wanted(
        _names(features),
        lead_set(name).leads if name else (),
        None if columns is None or not columns else _names(columns),
        extraction,
    )
    if not wanted.features:
        raise ConfigError("no features are named", "pooled, per_lead, tokens, layers or logits")
    options = reading_options(dataset, source_fs, unit, lead_names)
    return run_embed(
        local_folder(run),
        located(data).absolute() if dask else located(data),
        Path(out),
        wanted,
        options=options,
        workers=Workers(workers, device, gpus, dask),
        overwrite=overwrite,
        progress=progress,
    )


def _names(names: str | Sequence[str]) -> tuple[str, ...]:
    several = names.split(",") if isinstance(names, str) else names
    return tuple(dict.fromkeys(name.strip() for name in several if name.strip()))
