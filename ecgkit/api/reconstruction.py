"""``ecgkit.inspect_reconstruction``: a record beside what a masked model makes of it."""

from pathlib import Path

from ecgkit.api.arguments import PathLike
from ecgkit.atomic import check_suffix
from ecgkit.evaluation.analyses.reconstruction import Rebuilt, rebuild_record
from ecgkit.progress import Progress, silent
from ecgkit.reporting.pictures.reconstruction import plot_reconstruction
from ecgkit.store.reader import Store
from ecgkit.store.remote import located
from ecgkit.training.run import open_run


def inspect_reconstruction(
    run: PathLike, *, data: PathLike, out: PathLike, record: str = "", progress: Progress = silent
) -> Rebuilt:
    """Draw a record and its reconstruction by a run's masked model.

    Args:
        run: Run folder with the whole method.
        data: Store of the record.
        out: PNG file to draw.
        record: Id of the record. By default the first usable record of the test fold.
        progress: Called with stage, records done and records in all.

    Raises:
        RunError: The method is not a masked model, or the run holds only its encoder.
        StoreError: There is no such record, or the model cannot use it.
        OutputError: `out` does not end in ``.png``, or cannot be written.
    """
    picture = Path(out)
    check_suffix(picture, ".png")
    opened = open_run(Path(run))
    rebuilt = rebuild_record(opened, Store(located(data)), record, progress=progress)
    name = opened.path.resolve().name
    plot_reconstruction(rebuilt, picture, title=f"{name} ({opened.entry.name}) rebuilds hidden parts")
    return rebuilt
