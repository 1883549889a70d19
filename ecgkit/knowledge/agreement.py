"""Agreement of two extractions of the same reports, such as one by a model and one by the lexicon.

Cohen's kappa: Cohen, A Coefficient of Agreement for Nominal Scales, Educ. Psychol. Meas. 20(1):37-46 (1960).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import StoreError
from ecgkit.knowledge.labels import PRESENT, Entities


@dataclass(frozen=True)
class Agreement:
    """Agreement of two extractions on one entity.

    Args:
        entity: Name of the entity.
        both: Number of records in which both find it present.
        only_a: Number of records in which only the first finds it present.
        only_b: Number of records in which only the second finds it present.
        neither: Number of records in which neither finds it present.
    """

    entity: str
    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def agreement(self) -> float:
        """Share of the records on which they agree."""
        return (self.both + self.neither) / max(1, self.records)

    @property
    def records(self) -> int:
        """Number of records that both have read."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None if the agreement expected by chance is already complete."""
        n = max(1, self.records)
        a, b = (self.both + self.only_a) / n, (self.both + self.only_b) / n
        chance = a * b + (1 - a) * (1 - b)
        return None if chance == 1 else (self.agreement - chance) / (1 - chance)

    def to_dict(self) -> dict[str, Any]:
        """Return counts, agreement and kappa by name."""
        return {**asdict(self), "agreement": self.agreement, "kappa": self.kappa}


@dataclass(frozen=True)
class Comparison:
    """Comparison of two extractions of the same reports.

    Args:
        rows: Entities that both have, the one with the most differences first.
        only_a: Entities that only the first has.
        only_b: Entities that only the second has.
        records: Number of records whose reports both have read completely.
    """

    rows: tuple[Agreement, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    records: int

    @property
    def total(self) -> Agreement:
        """Agreement over all shared entities together."""
        counts = [sum(getattr(row, part) for row in self.rows) for part in ("both", "only_a", "only_b", "neither")]
        return Agreement("all shared entities", *counts)


def compare(a: Entities, b: Entities) -> Comparison:
    """Compare two extractions on the records whose reports both have read completely.

    An uncertain entity counts as not present, as in training.

    Raises:
        StoreError: The extractions belong to different records, or share no entity.
    """
    if a.content_hash != b.content_hash or a.record_ids != b.record_ids:
        raise StoreError("the extractions belong to different records", remedy="Compare two of the same reports.")
    shared = [name for name in a.names if name in set(b.names)]
    if not shared:
        raise StoreError("the extractions share no entity", remedy="Apply one --vocabulary to both.")
    read = a.complete & b.complete
    rows = [_agreement(name, _present(a, name)[read], _present(b, name)[read]) for name in shared]
    return Comparison(
        rows=tuple(sorted(rows, key=lambda row: (-(row.only_a + row.only_b), row.entity))),
        only_a=tuple(name for name in a.names if name not in b.names),
        only_b=tuple(name for name in b.names if name not in a.names),
        records=int(read.sum()),
    )


def _present(entities: Entities, name: str) -> NDArray[np.bool_]:
    return entities.values[:, entities.names.index(name)] == PRESENT


def _agreement(name: str, a: NDArray[np.bool_], b: NDArray[np.bool_]) -> Agreement:
    return Agreement(name, int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum()))
