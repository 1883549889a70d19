"""The models whose predictions the page explains, and an explanation in the form that the page draws."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ecgkit.browsing.catalogue import Catalogue
from ecgkit.browsing.record import readable
from ecgkit.errors import ConfigError
from ecgkit.evaluation.analyses.attribution import Way
from ecgkit.evaluation.analyses.explanation import Explanation, explain_rows
from ecgkit.evaluation.probe.classifier import Classifier, open_classifier
from ecgkit.progress import Progress
from ecgkit.reporting.pictures.explanation import map_note, map_strength
from ecgkit.store.reader import Store

OPENED = 2  # classifiers in memory
RATE = 100  # Hz of the map that the page draws
FULL = 100  # value of the full colour


class Models:
    """The store and the classifiers of a catalogue, opened when they are needed.

    Args:
        catalogue: What is shown.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.store = Store(catalogue.records.path)
        self.classifier = lru_cache(OPENED)(self._open)

    def _open(self, result: str) -> Classifier:
        found = self.catalogue.result(result)
        if found is None:
            raise ConfigError("no result is chosen")
        return open_classifier(found.path.parent)

    def explain(self, row: int, result: str, target: str, way: Way, progress: Progress) -> dict[str, Any]:
        """Return the explanation of a row of the store as JSON can hold it.

        Args:
            row: Row of the store.
            result: Number of the result.
            target: Class or number.
            way: How the map is made.
            progress: Called with the stage, and what is done of how much.

        Raises:
            EcgkitError: The classifier cannot be opened, or cannot explain the record in this way.
        """
        return shown(next(explain_rows(self.classifier(result), self.store, [row], target, way=way, progress=progress)))


def shown(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON can hold it, its map in whole numbers from -`FULL` to `FULL` at about `RATE`."""
    step = max(1, round(found.fs / RATE))
    strength = np.rint(FULL * map_strength(found)[:, ::step]).astype(int)
    return {
        "state": "done",
        "output": found.output,
        "way": found.way,
        "attends": found.attends,
        "note": map_note(found),
        "probability": readable(found.probability),
        "score": readable(found.score),
        "flat": readable(found.flat),
        "sum": readable(float(found.values.sum())),
        "fs": found.fs / step,
        "leads": list(found.leads),
        "map": strength.tolist(),
        "by_lead": _lines(found.leads, found.shares.sum(axis=1), found.without_lead),
        "by_part": _lines(found.parts, found.shares.sum(axis=0), found.without_part),
        "check": {name: readable(value) for name, value in vars(found.check).items()},
        "passed": bool(found.check.passed),
    }


def _lines(names: Sequence[str], shares: Any, falls: Any) -> list[dict[str, Any]]:
    rows = zip(names, shares.tolist(), falls.tolist(), strict=True)
    return [{"name": name, "share": share, "fall": readable(fall)} for name, share, fall in rows]
