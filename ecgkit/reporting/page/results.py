"""The results of a task as the page shows them: name, marker, protocol card, and comparison with the best."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecgkit import wording
from ecgkit.evaluation.results.row import ClassScore, ResultRow
from ecgkit.evaluation.scores.comparison import ClassDifference, Comparison
from ecgkit.reporting.elements import geometry
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.page import protocol
from ecgkit.reporting.page.protocol import Card


@dataclass(frozen=True)
class Result:
    """A result row on the page.

    Args:
        row: The row.
        number: Number of the row on the page, from 1.
        series: Index in the figure of its task, from 0; it sets the colour and the marker.
        name: Name that distinguishes it from the other results of its task.
        file: Path of its ``row.json``, relative to the common folder of all rows.
        comparison: Comparison with the best of its column of the summary, if it was tested.
        against: Name of that best result.
        reference: Whether other results were tested against this one.
    """

    row: ResultRow
    number: int
    series: int
    name: str
    file: str
    comparison: Comparison | None = None
    against: str = ""
    reference: bool = False

    @property
    def shape(self) -> str:
        """SVG path of the marker."""
        return geometry.shape(self.series)

    @property
    def colour(self) -> int:
        """Index of the colour."""
        return geometry.colour(self.series)

    @property
    def hollow(self) -> bool:
        """Whether the marker is hollow, because the encoder was not pretrained."""
        return self.row.weights != "pretrained"

    @property
    def card(self) -> Card:
        """Everything that the result depends on."""
        return protocol.card(self.row, self.file)

    @property
    def headline(self) -> str:
        """The headline number: macro AUROC in per cent, or a mean absolute error with its unit."""
        for score in self.row.targets[:1]:
            return f"MAE {wording.quantity(score.metrics['mae'].value)} {score.unit}"
        return wording.percent(self.row.macro_auroc)

    @property
    def scored(self) -> int:
        """Number of classes with an AUROC."""
        return sum(wording.is_number(score.auroc) for score in self.row.classes)

    def score(self, label: str) -> ClassScore | None:
        """Return the score of a class, or None if the row lacks the class."""
        return next((score for score in self.row.classes if score.label == label), None)

    def difference(self, label: str) -> ClassDifference | None:
        """Return the difference of the best of the column minus this result in a class; None if it was not tested."""
        return self.comparison.classes.get(label) if self.comparison else None


@dataclass(frozen=True)
class Numbered:
    """A row with its page number and its file path as shown on the page."""

    number: int
    path: Path
    file: str
    row: ResultRow


def number_rows(rows: Sequence[tuple[Path, ResultRow]]) -> list[Numbered]:
    """Number the rows of a page from 1, and make their paths relative to their common folder.

    The page therefore shows no absolute path of the machine that it was made on.
    """
    if not rows:
        return []
    folders = [os.path.abspath(path.parent) for path, _ in rows]
    root = Path(os.path.commonpath(folders)).parent
    files = [Path(os.path.abspath(path)).relative_to(root).as_posix() for path, _ in rows]
    return [Numbered(n, path, file, row) for n, ((path, row), file) in enumerate(zip(rows, files, strict=True), 1)]


def task_results(
    rows: Sequence[Numbered], drawn: Sequence[int], comparisons: Mapping[Path, Comparison]
) -> tuple[Result, ...]:
    """Return the results of one task.

    Args:
        rows: The rows of the task.
        drawn: Indices of the rows that the figure shows.
        comparisons: Comparisons with the best of a column of the summary, by file.
    """
    names = result_names([of.row for of in rows])
    name_at = {of.path: name for of, name in zip(rows, names, strict=True)}
    best = {found.best for found in comparisons.values()}
    return tuple(
        Result(
            row=of.row,
            number=of.number,
            series=drawn.index(i) if i in drawn else 0,
            name=name,
            file=of.file,
            comparison=(found := comparisons.get(of.path)),
            against=name_at[found.best] if found else "",
            reference=of.path in best,
        )
        for i, (of, name) in enumerate(zip(rows, names, strict=True))
    )
