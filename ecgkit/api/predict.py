"""``ecgkit.predict``: predict the records of a store, a folder or a file with fitted probes."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ecgkit.api.arguments import PathLike
from ecgkit.download.hub import local_folder
from ecgkit.inference.predict import Classifiers, Predicted
from ecgkit.inference.predict import predict as run_predict
from ecgkit.ingestion.loose import reading_options
from ecgkit.progress import Progress, silent
from ecgkit.store.remote import located
from ecgkit.training.workers import Workers


def predict(
    results: PathLike | Sequence[PathLike],
    *,
    data: PathLike,
    out: PathLike | None = None,
    calibrate: str = "",
    run: PathLike | None = None,
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
) -> Predicted:
    """Predict the records of a store, a folder or a file with the fitted heads that results of `probe` keep.

    Several results, such as those of different seeds, are averaged. A folder or a file needs no store: any format that
    `ingest` reads is read. Each prediction says what the record lacked of the model's input. Records that cannot be
    read are listed in a ledger. If the work is stopped, the same call continues where it stopped.

    Args:
        results: Folder of a result, or of several that predict the same classes.
        data: Store, folder of a dataset, or file.
        out: ``.csv`` or ``.parquet`` file to write. By default nothing is written.
        calibrate: Calibration of the probabilities, fitted on validation records: ``temperature`` or ``isotonic``. By
            default none.
        run: Run folder of the encoder if it was moved, or its address on a hub, such as ``hf://ORG/NAME``. Its
            weights must be those that the result was made with.
        dataset: Dataset layout of the folder or file. By default detected.
        source_fs: Sampling rate in Hz of files that do not state it.
        unit: Unit of the samples, where the files state none.
        lead_names: Names of all rows in order, or renamings such as ``ECG=I``.
        workers: Number of processes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        gpus: Number of GPUs to share the work between, instead of `device`.
        dask: Address of a Dask scheduler to use instead of `workers`. Its workers need the same paths as this machine.
        overwrite: Replace an existing file.
        progress: Called with the stage, records done and records in all.

    Returns:
        The table of predictions, thresholds, and the records that gave none.

    Raises:
        ConfigError: Options contradict each other.
        ResultsError: A result keeps no head, or results predict different classes.
        RunError: An encoder is gone or has changed, or a device does not exist.
        DatasetError: `data` does not exist, has no known layout, or holds no readable record.
        StoreError: The store is damaged, or lacks what the encoder needs.
        OutputError: `out` exists or cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed. What is done is kept.
    """
    folders = [results] if isinstance(results, str | Path) else list(results)
    source, data = None if run is None else local_folder(run), located(data)
    if dask:  # its workers may run in other folders
        folders, data = [Path(folder).absolute() for folder in folders], data.absolute()
        source = None if source is None else source.absolute()
    classifiers = Classifiers(tuple(Path(folder) for folder in folders), source, calibrate)
    options = reading_options(dataset, source_fs, unit, lead_names)
    at = Workers(workers, device, gpus, dask)
    if out is not None:
        return run_predict(
            classifiers, data, Path(out), options=options, workers=at, overwrite=overwrite, progress=progress
        )
    with tempfile.TemporaryDirectory(prefix="ecgkit-") as folder:
        file = Path(folder) / "predictions.parquet"
        return run_predict(classifiers, data, file, options=options, workers=at, progress=progress)
