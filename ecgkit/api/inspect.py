"""``ecgkit.inspect_store`` and its companions: contents, single records, quality and overlap of stores.

A library that only a picture or a page needs is imported where it is made.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.api.arguments import PathLike, path_or_none
from ecgkit.atomic import check_suffix
from ecgkit.beats.peaks import has_peaks, read_peaks
from ecgkit.choices import notes_choices
from ecgkit.errors import ConfigError, StoreError
from ecgkit.progress import Progress, silent
from ecgkit.store import summary, verification
from ecgkit.store.reader import Store
from ecgkit.store.remote import located
from ecgkit.store.summary import FlagCount, Overlap, StoreSummary, count_flags
from ecgkit.store.verification import Verified
from ecgkit.workspace.defaults import the_store


@dataclass(frozen=True)
class RecordDetails:
    """One record of a store.

    Args:
        values: Its row of the record table, without the R peaks: ids, labels, report, leads, rate and so on.
        rpeaks: R peaks as sample indices at the record's own rate, None if none are known.
        rpeaks_by: Name of the detector that found them, or ``reference`` for those of the dataset.
        rpeaks_flag: Reason why they are doubtful; empty if they are not.
    """

    values: dict[str, Any]
    rpeaks: NDArray[np.int64] | None
    rpeaks_by: str
    rpeaks_flag: str


@dataclass(frozen=True)
class QualityCounts:
    """Counts of the quality flags of a store.

    Args:
        records: Number of records in the store.
        flags: Count of each flag.
    """

    records: int
    flags: list[FlagCount]


@notes_choices
def inspect_store(store: PathLike | None = None) -> StoreSummary:
    """Return a summary of a store: records, patients, leads, rates, labels, flags, and rejected records.

    Args:
        store: The store. By default the only store of the current folder.

    Raises:
        StoreError: `store` is not a store, or a damaged one.
    """
    return summary.summarize(Store(the_store(store, "ecgkit inspect")))


def inspect_record(
    store: PathLike, record: str, *, out: PathLike | None = None, start: str = "", seconds: float = 10.0
) -> RecordDetails:
    """Return the metadata of one record; draw the record, or a stretch of it, if `out` is given.

    The drawing has the clinical layout: 25 mm/s, 10 mm/mV, three rows of four leads and a rhythm strip.

    Args:
        store: The store.
        record: Id of the record.
        out: PNG file to draw the record into.
        start: Where the drawing begins: seconds, or ``H:MM:SS``. By default the start of the record.
        seconds: Length of the drawing in s, at most 10.

    Raises:
        ConfigError: `start` is no time.
        StoreError: The store has no such record, its signal is damaged, or it ends before `start`.
        OutputError: `out` does not end in ``.png``, or cannot be written.
    """
    picture = path_or_none(out)
    if picture is not None:
        check_suffix(picture, ".png")
    opened = Store(located(store))
    row = opened.row(record)
    values = {str(name): value for name, value in opened.table.frame().iloc[row].items() if name != "rpeaks"}
    fs, samples = float(values["fs"]), int(values["samples"])
    first = round(_seconds(start) * fs)
    if first >= samples:
        raise StoreError(f"record {record} ends after {samples / fs:g} s, before {start}", remedy="Lower --start.")
    recording = opened.recording(row, first, first + max(1, round(seconds * fs)))
    details = RecordDetails(values, *_rpeaks(opened, row, opened.table["rpeaks"].iat[row]))
    if picture is not None:
        from ecgkit.reporting.pictures.ecg import plot_ecg  # matplotlib is slow to import

        title, subtitle = f"{opened.name}  record {record}{f'  from {start}' if first else ''}", _subtitle(values)
        rpeaks = None if details.rpeaks is None else details.rpeaks - first
        if rpeaks is not None:
            rpeaks = rpeaks[(rpeaks >= 0) & (rpeaks < recording.samples)]
        plot_ecg(recording, picture, title=title, subtitle=subtitle, rpeaks=rpeaks)
    return details


def _seconds(text: str) -> float:
    """Return a time in s that is written as seconds, ``M:SS`` or ``H:MM:SS``; 0 for an empty text."""
    try:
        parts = [float(part) for part in text.split(":")] if text else [0.0]
        if len(parts) > 3 or not all(0 <= part < float("inf") for part in parts):
            raise ValueError
    except ValueError:
        raise ConfigError(f"--start {text}", "a time in seconds, or as H:MM:SS, such as 1:02:03") from None
    return sum(part * 60**power for power, part in enumerate(reversed(parts)))


def _rpeaks(store: Store, row: int, reference: Any) -> tuple[NDArray[np.int64] | None, str, str]:
    """Return R peaks, their source and their flag: those of ``ecgkit beats``, otherwise the dataset's own."""
    if not has_peaks(store):
        return reference, "" if reference is None else "reference", ""
    peaks = read_peaks(store)
    return peaks.of(row), str(peaks.attributes["detector"]), str(peaks.flags[row])


def _subtitle(values: dict[str, Any]) -> str:
    """Return sex, age and labels as far as the dataset and the record have them."""
    sex, age, labels = values.get("sex"), values.get("age"), values.get("labels")
    person = (str(sex) if _known(sex) else "", f"{age:g} y" if _known(age) else "")
    parts = (" ".join(part for part in person if part), "" if labels is None else ", ".join(labels))
    return "   ".join(part for part in parts if part)


def _known(value: Any) -> bool:
    """Return whether a cell has a value other than None and NaN."""
    return value is not None and bool(value == value)


@notes_choices
def inspect_quality(store: PathLike | None = None, *, html: PathLike | None = None) -> QualityCounts:
    """Count the quality flags of a store; write a page with its worst records if `html` is given.

    Args:
        store: The store. By default the only store of the current folder.
        html: HTML page to write.

    Raises:
        StoreError: `store` is not a store, or a damaged one.
        OutputError: `html` does not end in ``.html``, or cannot be written.
    """
    page = path_or_none(html)
    if page is not None:
        check_suffix(page, ".html")
    opened = Store(the_store(store, "ecgkit inspect"))
    if page is not None:
        from ecgkit.reporting.page.quality import write_quality_page  # so is what the page draws with

        write_quality_page(opened, page)
    return QualityCounts(len(opened), count_flags(opened))


def verify_store(store: PathLike | None = None, *, progress: Progress = silent) -> Verified:
    """Compare every record of a store, and every row of its views, with its checksum.

    Args:
        store: Store to verify. By default the only store of the current folder.
        progress: Called with stage, records done and records in all.

    Raises:
        StoreError: A record or a view differs from its checksum, or the folder holds no store or several.
    """
    return verification.verify_store(Store(the_store(store, "ecgkit inspect")), progress)


def inspect_overlap(store: PathLike, overlap: PathLike) -> Overlap:
    """Return the records and patients that two stores share.

    Args:
        store: The first store.
        overlap: The second store.

    Raises:
        StoreError: One of them is not a store, or a damaged one.
    """
    return summary.overlap(Store(located(store)), Store(located(overlap)))
