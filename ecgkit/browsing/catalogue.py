"""What the page shows: an opened store with its R peaks and entities, and the results that were made on it."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgkit.beats.peaks import FOLDER as BEATS
from ecgkit.beats.peaks import PeakTable, has_peaks
from ecgkit.browsing.results import KINDS, ShownResult, shown_results
from ecgkit.errors import ConfigError, EcgkitError, ResultsError, StoreError
from ecgkit.evaluation.results.row import HEAD
from ecgkit.knowledge.extractions import chosen_extraction, extractions
from ecgkit.knowledge.labels import Entities, read_labels
from ecgkit.knowledge.reports import FOLDER as KNOWLEDGE
from ecgkit.signal.quality import FLAGS
from ecgkit.store.format import RECORDS
from ecgkit.store.products import found_folder
from ecgkit.store.records import RecordTable
from ecgkit.tasks.label_map import label_map

if TYPE_CHECKING:
    from ecgkit.evaluation.analyses.attribution import Way

MOST_CHOICES = 500  # of a filter
# What each way of an explanation shows.
SAID: dict["Way", str] = {
    "gradients": "what raises and lowers the score",
    "occlusion": "what hiding 0.2 s changes (slow)",
    "attention": "where the model looks, all layers",
    "last-attention": "where the model looks, last layer",
}


class Catalogue:
    """An opened store.

    Opening takes as long for a million records as for a thousand: a thread reads the rest of the record table.

    Args:
        path: The store.
        results: Folders with results; only those that were made on this store are shown.
        entities: Name of the extraction whose entities are shown; empty for the only one.
        required: Whether there must be a result that is shown.

    Raises:
        StoreError: `path` is not a store, or has no extraction of this name.
        ResultsError: One is required, but none was made on this store with its predictions.
    """

    def __init__(self, path: Path, results: Sequence[Path] = (), entities: str = "", *, required: bool = True) -> None:
        self.records = RecordTable(path)
        self.extraction = chosen_extraction(self.records, entities, "--entities NAME") if entities else self._only()
        self.results: list[ShownResult] = []
        self.left_out = 0
        if results:
            self.results, self.left_out = shown_results(results, self.records)
            if required and not self.results:
                raise ResultsError(
                    f"none of {self.left_out} results was made on {path} and has its predictions",
                    remedy=f"Make one with: ecgkit probe RUN --data {path}",
                )
        self.failure: EcgkitError | None = None
        self._seen = self._fingerprint()
        self._reader = threading.Thread(target=self._read, name="record table", daemon=True)
        self._reader.start()

    def _only(self) -> str:
        found = extractions(self.records)
        return found[0] if len(found) == 1 else ""

    def _read(self) -> None:
        try:
            self.records.read()
        except EcgkitError as error:
            self.failure = error

    def wait(self) -> None:
        """Wait until the whole record table is read.

        Raises:
            StoreError: It cannot be read, or is not the one that was stored.
        """
        self._reader.join()
        self.check()

    def check(self) -> None:
        """Refuse to show a store that has changed since it was opened, or whose record table is damaged.

        Raises:
            StoreError: It has, or is.
        """
        if self.failure is not None:
            raise self.failure
        if self.has_changed:
            raise StoreError("the store has changed since this page was opened", remedy="Reload the page.")

    @property
    def has_changed(self) -> bool:
        """Whether the store, its R peaks or its entities were replaced or removed since it was opened."""
        return self._fingerprint() != self._seen

    def _fingerprint(self) -> tuple[Any, ...]:
        path, content = self.records.path, self.records.content_hash
        products = [found_folder(path, content, what) for what in (BEATS, KNOWLEDGE)]
        return tuple(map(_stamp, (path / "zarr.json", path / RECORDS, path / "signal" / "zarr.json", *products)))

    def result(self, number: str) -> ShownResult | None:
        """Return a result by its number on the page; None for an empty number.

        Raises:
            ConfigError: There is no such result.
        """
        if not number:
            return None
        if not number.isdecimal() or int(number) >= len(self.results):
            raise ConfigError(f"there is no result {number!r:.20}", f"a number below {len(self.results)}")
        return self.results[int(number)]

    @cached_property
    def peaks(self) -> PeakTable | None:
        """The R peaks that ``ecgkit beats`` found; None if it was not run."""
        return PeakTable(self.records) if has_peaks(self.records) else None

    @cached_property
    def entities(self) -> Entities | None:
        """The entities of the reports; None if there is no extraction, or several and none was chosen."""
        return read_labels(self.records, self.extraction) if self.extraction else None

    @cached_property
    def code_names(self) -> dict[str, str]:
        """The name of each label's code that the label map knows."""
        system, names = str(self.records.attributes.get("code_system", "")), dict[str, str]()
        for finding in label_map().findings:
            for code in sorted(finding.codes(system)):
                names.setdefault(code, finding.name)
        return names

    def about(self) -> dict[str, Any]:
        """Return what the page needs at once."""
        attributes = self.records.attributes
        return {
            "name": self.records.path.resolve().name,
            "dataset": str(attributes.get("dataset", "")),
            "records": len(self.records),
            "extraction": self.extraction,
            "results": [
                {
                    "name": result.name,
                    "task": result.row.task_title,
                    "classes": result.names,
                    "numbers": bool(result.row.targets),
                    "units": [score.unit for score in result.row.targets],
                    "explains": (result.path.parent / HEAD).is_file(),
                }
                for result in self.results
            ],
            "left_out": self.left_out,
            "kinds": KINDS,
            "ways": SAID,
            "meanings": dict(FLAGS),
        }

    def choices(self) -> dict[str, Any]:
        """Return what the filters offer, with numbers of records; it needs the whole record table."""
        self.wait()
        labels = list(self.records.items("labels").counts.items())[:MOST_CHOICES]
        folds = self.records.series("fold").value_counts().sort_index()
        found: dict[str, Any] = {
            "labels": [(code, self.code_names.get(code, ""), n) for code, n in labels],
            "flags": list(self.records.items("flags").counts.items()),
            "folds": [(str(fold), int(n)) for fold, n in folds.items()],
            "entities": [],
        }
        with suppress(EcgkitError):  # a damaged extraction is told where an entity is asked for
            if self.entities is not None:
                pairs = zip(self.entities.names, self.entities.counts.tolist(), strict=True)
                found["entities"] = list(pairs)[:MOST_CHOICES]
        return found


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a file or folder is replaced; empty if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size if path.is_file() else 0
