"""The results of a task as the page shows them: name, marker, protocol card, and how each compares with the best."""

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
    """A row on the page.

    Args:
        row: The row.
        number: Its number on the page, from 1.
        series: Its number in the figure of its task, from 0, which gives its colour and marker.
        name: What tells it from the other results of its task.
        file: Its ``row.json``, relative to the folder that all rows share.
        comparison: Against the best of its column of the summary, where it was tested.
        against: Name of that result.
        reference: Whether others were tested against it.
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
        """The path of its marker."""
        return geometry.shape(self.series)

    @property
    def colour(self) -> int:
        """Number of its colour."""
        return geometry.colour(self.series)

    @property
    def hollow(self) -> bool:
        """Whether its marker is drawn hollow: nothing was pretrained."""
        return self.row.weights != "pretrained"

    @property
    def card(self) -> Card:
        """What it depends on."""
        return protocol.card(self.row, self.file)

    @property
    def headline(self) -> str:
        """Its first number: macro AUROC x 100, or a mean absolute error with its unit."""
        for score in self.row.targets[:1]:
            return f"MAE {wording.quantity(score.metrics['mae'].value)} {score.unit}"
        return wording.percent(self.row.macro_auroc)

    @property
    def scored(self) -> int:
        """Number of classes with an AUROC."""
        return sum(wording.is_number(score.auroc) for score in self.row.classes)

    def score(self, label: str) -> ClassScore | None:
        """Return the score of a class, or None where the row lacks the class."""
        return next((score for score in self.row.classes if score.label == label), None)

    def difference(self, label: str) -> ClassDifference | None:
        """Return the best result of the column less this one in a class, or None where that was not tested."""
        return self.comparison.classes.get(label) if self.comparison else None


@dataclass(frozen=True)
class Numbered:
    """A row with its number on the page and its file as the page shows it."""

    number: int
    path: Path
    file: str
    row: ResultRow


def number_rows(rows: Sequence[tuple[Path, ResultRow]]) -> list[Numbered]:
    """Number the rows of a page from 1, and shorten their paths to what follows the folder that all share.

    So a page shows no path of the machine that it was made on.
    """
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
        drawn: Which of them its figure shows, by place.
        comparisons: By file, against the best of a column of the summary.
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
