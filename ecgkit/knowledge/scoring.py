"""How well findings that were read agree with what a person says that the texts state.

A finding counts as right only if the entity and its polarity are right. For an entity, with ``hits`` right ones,
``found`` found ones and ``stated`` stated ones:

    precision = hits / found        recall = hits / stated        F1 = 2 hits / (found + stated)

The intervals are Wilson's (Probable Inference, J. Am. Stat. Assoc. 22:209-212, 1927, equation 5), which also hold for
few findings. F1 = 2 p / (1 + p) where p is the share of hits among all that is found or stated, so the interval of p
gives that of F1. The interval of the macro F1 comes from drawing the texts again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ecgkit.knowledge.mentions import Polarity

ErrorKind = Literal["missed", "not stated", "wrong polarity"]
LEAST = 5  # an entity that the texts state less often does not count in the macro F1
DRAWS = 1000
SEED = 0
Z = float(norm.ppf(0.975))  # of a 95 % interval
Interval = tuple[float, float]


@dataclass(frozen=True)
class Judgement:
    """One entity in one text: what was found, and what the text states. None means nothing."""

    record: str
    text: str
    entity: str
    found: Polarity | None
    stated: Polarity | None

    @property
    def error(self) -> ErrorKind | None:
        """The kind of error, or None if the finding is right."""
        if self.found == self.stated:
            return None
        if self.found is None:
            return "missed"
        return "not stated" if self.stated is None else "wrong polarity"


@dataclass(frozen=True)
class EntityScore:
    """Counts of one entity, or of several together."""

    entity: str
    stated: int
    found: int
    hits: int
    missed: int
    not_stated: int
    wrong_polarity: int

    @property
    def precision(self) -> float | None:
        """Share of right findings among those found; None if nothing was found."""
        return self.hits / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Share of found findings among those stated; None if nothing was stated."""
        return self.hits / self.stated if self.stated else None

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.hits / max(1, self.found + self.stated)

    @property
    def f1_interval(self) -> Interval:
        """95 % interval of F1."""
        low, high = wilson(self.hits, self.found + self.stated - self.hits)
        return 2 * low / (1 + low), 2 * high / (1 + high)

    def to_dict(self) -> dict[str, Any]:
        """Return counts and scores by name."""
        scores = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        intervals = {
            "precision_interval": wilson(self.hits, self.found),
            "recall_interval": wilson(self.hits, self.stated),
            "f1_interval": self.f1_interval,
        }
        return {**asdict(self), **scores, **intervals}


@dataclass(frozen=True)
class Scores:
    """Scores of some judged texts.

    Args:
        rows: One row per entity, the most often stated first.
        total: All entities together.
        macro_f1: Mean F1 of the entities that are stated in `least` texts or more; None if there are none.
        macro_interval: Its 95 % interval.
        counted: Number of those entities.
        least: See `macro_f1`.
        texts: Number of texts.
        open_rows: Number of rows of the sheet that have no verdict and are left out.
        errors: The judgements that are errors.
    """

    rows: tuple[EntityScore, ...]
    total: EntityScore
    macro_f1: float | None
    macro_interval: Interval | None
    counted: int
    least: int
    texts: int
    open_rows: int
    errors: tuple[Judgement, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain values, without any text."""
        return {
            "texts": self.texts,
            "open_rows": self.open_rows,
            "macro_f1": self.macro_f1,
            "macro_interval": self.macro_interval,
            "counted": self.counted,
            "least": self.least,
            "total": self.total.to_dict(),
            "entities": [row.to_dict() for row in self.rows],
            "errors": [
                {"record_id": j.record, "entity": j.entity, "found": j.found, "stated": j.stated, "kind": j.error}
                for j in self.errors
            ],
        }


def wilson(hits: int, count: int) -> Interval:
    """Return Wilson's 95 % interval of a share; (0, 1) if nothing was counted."""
    if not count:
        return 0.0, 1.0
    share, extra = hits / count, Z * Z / count
    middle = (share + extra / 2) / (1 + extra)
    half = Z * np.sqrt(share * (1 - share) / count + extra / (4 * count)) / (1 + extra)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def score(
    judgements: Iterable[Judgement], texts: Sequence[tuple[str, str]], least: int = LEAST, open_rows: int = 0
) -> Scores:
    """Score what was found in some texts.

    Args:
        judgements: At most one per text and entity.
        texts: All judged texts, each as its record and its text, also those in which nothing was found or stated.
        least: Number of texts that must state an entity for it to count in the macro F1.
        open_rows: Number of findings without a verdict.
    """
    judged = [j for j in judgements if j.found or j.stated]
    names = sorted({j.entity for j in judged})
    rows = sorted((_count(name, [j for j in judged if j.entity == name]) for name in names), key=_rank)
    counted = [row.entity for row in rows if row.stated >= least]
    macro = float(np.mean([row.f1 for row in rows if row.entity in counted])) if counted else None
    return Scores(
        rows=tuple(rows),
        total=_count("all entities", judged),
        macro_f1=macro,
        macro_interval=_macro_interval(judged, texts, counted) if counted else None,
        counted=len(counted),
        least=least,
        texts=len(texts),
        open_rows=open_rows,
        errors=tuple(j for j in judged if j.error),
    )


def _rank(row: EntityScore) -> tuple[int, str]:
    return -row.stated, row.entity


def _count(entity: str, judged: Sequence[Judgement]) -> EntityScore:
    kinds = Counter(j.error for j in judged)
    stated, found = sum(j.stated is not None for j in judged), sum(j.found is not None for j in judged)
    return EntityScore(
        entity, stated, found, kinds[None], kinds["missed"], kinds["not stated"], kinds["wrong polarity"]
    )


def _macro_interval(judged: Sequence[Judgement], texts: Sequence[tuple[str, str]], names: Sequence[str]) -> Interval:
    """Return the 95 % interval of the macro F1 over texts that are drawn again, with replacement."""
    row_of = {text: i for i, text in enumerate(texts)}
    column_of = {name: i for i, name in enumerate(names)}
    hits, sizes = np.zeros((2, len(texts), len(names)))
    for j in judged:
        if j.entity in column_of:
            at = row_of[j.record, j.text], column_of[j.entity]
            hits[at] += j.error is None
            sizes[at] += (j.found is not None) + (j.stated is not None)
    drawn = np.random.default_rng(SEED).multinomial(len(texts), np.full(len(texts), 1 / len(texts)), size=DRAWS)
    f1: NDArray[np.float64] = 2 * (drawn @ hits) / np.maximum(1, drawn @ sizes)  # [draws, entities]
    present = drawn @ sizes > 0
    means = (f1 * present).sum(1) / np.maximum(1, present.sum(1))
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
