"""Explains predictions for the page, one after another in a thread of its own, and keeps the last answers in memory.

The page asks again and again until an answer is done, so no request waits for the work. Only one explanation waits for
the one that is being made: a newer wish takes its place, for the reader has gone on.
"""

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ecgkit.browsing.catalogue import SAID, Catalogue
from ecgkit.browsing.record import record_row
from ecgkit.errors import ConfigError, EcgkitError

if TYPE_CHECKING:
    from ecgkit.browsing.explained import Models
    from ecgkit.evaluation.analyses.attribution import Way

KEPT = 32  # explanations

Key = tuple[int, str, str, "Way"]  # row, number of the result, class, way


@dataclass
class _Job:
    """An explanation that is wished for, and how far it is."""

    work: "Future[dict[str, Any]]"
    done: int = 0
    total: int = 0
    began: threading.Event = field(default_factory=threading.Event)


class Explainer:
    """Explains predictions of the results of a catalogue.

    Args:
        catalogue: What is shown.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explain")
        self._lock = threading.Lock()
        self._jobs: OrderedDict[Key, _Job] = OrderedDict()
        self._models: Models | None = None

    def close(self) -> None:
        """Begin no more work."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def answer(self, row: int, result: str, target: str, by: str, begin: bool) -> dict[str, Any]:
        """Return an explanation, how far it is, or that it was not asked for.

        Args:
            row: Row of the store.
            result: Number of the result.
            target: A class or number that it predicts.
            by: One of `ecgkit.browsing.catalogue.SAID`.
            begin: Whether to begin one that was not asked for yet.

        Raises:
            ConfigError: There is no such row, result, class or way.
            EcgkitError: The record cannot be explained.
        """
        key = row, result, target, self._checked(row, result, target, by)
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and job.work.cancelled():
                job = None
            if job is None and begin:
                job = self._begun(key)
        if job is None:
            return {"state": "none"}
        if not job.work.done():
            return {"state": "working" if job.began.is_set() else "waiting", "done": job.done, "total": job.total}
        try:
            return job.work.result()
        except EcgkitError:
            with self._lock:
                self._jobs.pop(key, None)  # so that it can be tried again
            raise

    def _checked(self, row: int, result: str, target: str, by: str) -> "Way":
        record_row(self.catalogue, row)
        shown = self.catalogue.result(result)
        if shown is None or target not in shown.names:
            raise ConfigError(f"there is no class {target!r:.40} to explain", "a result and one of its classes")
        for way in SAID:
            if way == by:
                return way
        raise ConfigError(f"way {by!r:.20}", f"one of {', '.join(SAID)}")

    def _begun(self, key: Key) -> _Job:
        """Begin the work in the thread; what waits there is left out, and the oldest answers are forgotten."""
        for other in [other for other, job in self._jobs.items() if job.work.cancel()]:
            del self._jobs[other]
        job = _Job(Future())
        job.work = self._thread.submit(self._explain, key, job)
        self._jobs[key] = job
        for old in [old for old, one in self._jobs.items() if one.work.done()][: max(0, len(self._jobs) - KEPT)]:
            del self._jobs[old]
        return job

    def _explain(self, key: Key, job: _Job) -> dict[str, Any]:
        job.began.set()
        row, result, target, by = key

        def watch(stage: str, done: int, total: int) -> None:
            if stage == "steps":
                job.done, job.total = done, total

        if self._models is None:
            from ecgkit.browsing.explained import Models  # torch: slow to import, and not needed to look at records

            self._models = Models(self.catalogue)
        return self._models.explain(row, result, target, by, watch)
