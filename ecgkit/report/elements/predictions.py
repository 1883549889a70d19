"""The predictions beside a result row, as far as the page draws them."""

from pathlib import Path

import pandas as pd

from ecgkit.errors import ResultsError
from ecgkit.evaluation.results.row import PREDICTIONS, ResultRow
from ecgkit.parquet import read_frame


def has_predictions(path: Path) -> bool:
    """Return whether predictions lie beside a ``row.json``."""
    return (path.parent / PREDICTIONS).is_file()


def read_test_part(path: Path, row: ResultRow) -> pd.DataFrame:
    """Return a result's test predictions by record id: ``y_LABEL`` and ``p_LABEL`` of every class or target.

    Raises:
        ResultsError: They cannot be read, or lack a class or target of the row.
    """
    file = path.parent / PREDICTIONS
    expected = "the predictions of a result; make it again with 'ecgkit probe'"
    try:
        frame = read_frame(file)
        part = frame[frame["part"] == "test"].set_index("record_id")
    except Exception as error:  # pyarrow has many
        raise ResultsError(f"{file} cannot be read ({type(error).__name__})", expected) from None
    names = [score.label for score in row.classes] + [score.target for score in row.targets]
    missing = [name for name in names if not {f"y_{name}", f"p_{name}"} <= {*part.columns}]
    if missing:
        kind = "target" if row.targets else "class"
        raise ResultsError(f"{file} lacks the {kind} {missing[0]!r} of its row", expected)
    return part
