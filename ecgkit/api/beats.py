"""``ecgkit.find_beats`` and ``ecgkit.score_beats``: find the R peaks of a store, and evaluate a detector."""

from collections.abc import Sequence
from pathlib import Path

from ecgkit.api.arguments import Leads, PathLike, Settings, assignments, chosen_leads, path_or_none
from ecgkit.atomic import check_suffix
from ecgkit.beats import find
from ecgkit.beats.detector import Detector
from ecgkit.beats.peaks import Peaks
from ecgkit.beats.score import TOLERANCES, Report, score_folder
from ecgkit.choices import notes_choices
from ecgkit.executor import open_executor
from ecgkit.progress import Progress, of_stage, silent
from ecgkit.reporting.pictures.beats import plot_beats
from ecgkit.reporting.pictures.worst_beats import plot_worst
from ecgkit.store.reader import Store
from ecgkit.workspace.defaults import the_store


@notes_choices
def find_beats(
    store: PathLike | None = None,
    *,
    detector: str = "consensus",
    leads: Leads = "",
    fs: float | None = None,
    settings: Settings = (),
    workers: int = 1,
    dask: str = "",
    plot: PathLike | None = None,
    before: float = 0.3,
    after: float = 0.5,
    max_beats: int | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Peaks:
    """Find the R peaks of every record and keep them in the store.

    Peaks that were found with the same arguments before are kept. If the work is stopped, the same call continues where
    it stopped. Records with doubtful peaks are flagged with a reason; none is dropped.

    Args:
        store: The store. By default the only store of the current folder.
        detector: Name of the detector.
        leads: Leads that the detector is given. By default it chooses.
        fs: Sampling rate in Hz at which the detector works. By default each record's own rate.
        settings: Settings of the detector, such as ``{"high": 0.4}``.
        workers: Number of processes.
        dask: Address of a Dask scheduler to use instead.
        plot: PNG file to draw mean beats and a histogram of the RR intervals into.
        before: Seconds before the R peak that the picture shows.
        after: Seconds after the R peak that the picture shows.
        max_beats: Number of beats of each record that the picture averages. By default all.
        overwrite: Replace peaks that were found with other arguments.
        progress: Called with stage, records done and records in all.

    Returns:
        The peaks: sample indices of each record at its own rate, and flags. ``peaks.summary()`` counts them.

    Raises:
        StoreError: `store` is not a store, or a damaged one.
        PluginError: There is no such detector.
        ConfigError: A setting does not fit.
        OutputError: The store holds peaks that were found with other arguments, or cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed. What is done is kept.
    """
    picture = path_or_none(plot)
    if picture is not None:
        check_suffix(picture, ".png")
    opened = Store(the_store(store, "ecgkit beats"))
    chosen = _detector(detector, leads, fs, settings)
    advance = of_stage(progress, "records")
    with open_executor(workers, dask) as executor:
        peaks = find.find_beats(opened, chosen, overwrite=overwrite, progress=advance, executor=executor)
    if picture is not None:
        plot_beats(opened, peaks, picture, before=before, after=after, most=max_beats)
    return peaks


def score_beats(
    records: PathLike,
    *,
    detector: str = "consensus",
    leads: Leads = "",
    fs: float | None = None,
    settings: Settings = (),
    annotator: str | Sequence[str] = "atr",
    against: str = "",
    tolerance: Sequence[float] = (),
    dataset: str = "",
    plot: PathLike | None = None,
    most: int = 6,
    progress: Progress = silent,
) -> Report:
    """Compare a detector with reference annotations: sensitivity, PPV and F1, per record and pooled.

    Episodes of ventricular flutter are excluded. If the annotations mark waves, as in LUDB, each record is scored
    between its first and last mark.

    Args:
        records: Folder of a dataset with annotations beside its records.
        detector: Name of the detector.
        leads: Leads that the detector is given. By default it chooses.
        fs: Sampling rate in Hz at which the detector works. By default each record's own rate.
        settings: Settings of the detector.
        annotator: Suffixes of the annotation files. Each is compared separately.
        against: Name of another detector to compare with, instead of annotations.
        tolerance: Tolerances in ms. By default 150 (EC57) and 50.
        dataset: Layout of the folder. By default it is detected.
        plot: PNG file to draw the worst records into.
        most: Number of records in the picture.
        progress: Called with stage, records done and records in all.

    Returns:
        Scores per record and pooled, and the records that could not be scored.

    Raises:
        DatasetError: The folder has no record with such annotations.
        PluginError: There is no such detector.
    """
    picture, folder = path_or_none(plot), Path(records)
    if picture is not None:
        check_suffix(picture, ".png")
    annotators = annotator.split(",") if isinstance(annotator, str) else annotator
    report = score_folder(
        folder,
        _detector(detector, leads, fs, settings),
        annotators=[name.strip() for name in annotators if name.strip()],
        against=Detector(against) if against else None,
        tolerances=tuple(tolerance) or TOLERANCES,
        dataset=dataset,
        progress=of_stage(progress, "records"),
    )
    worst = report.worst()[:most]
    if picture is not None and worst:
        plot_worst(folder, worst, detector, picture, dataset=dataset)
    return report


def _detector(name: str, leads: Leads, fs: float | None, settings: Settings) -> Detector:
    return Detector(name, chosen_leads(leads), fs, tuple(assignments(settings)))
