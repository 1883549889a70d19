"""Identity of records, recordings and patients, in a store and across stores.

An id is only unique within its own dataset.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Name of the dataset of a joined store; its ids already start with their dataset.
JOINED = "stores"


def qualified(dataset: str, ids: Iterable[Any]) -> list[Any]:
    """Return ids as ``DATASET:ID``; None for a missing id.

    Args:
        dataset: Dataset that the store was made from.
        ids: Ids of its records or patients.
    """
    prefix = "" if dataset == JOINED else f"{dataset}:"
    return [None if pd.isna(key) else f"{prefix}{key}" for key in ids]


def independent_units(table: pd.DataFrame) -> NDArray[np.str_]:
    """Return what each record of a record table belongs to: its patient, or its recording if the patient is unknown."""
    return table["patient_id"].fillna("recording " + recordings_of(table["record_id"])).to_numpy(dtype=str)


def recordings_of(record_ids: "pd.Series[Any]") -> "pd.Series[str]":
    """Return the recording of each record.

    Windows that were cut from one recording have its id, followed by ``#`` and their number.
    """
    return record_ids.astype(str).str.replace(r"#[1-9][0-9]*$", "", regex=True)
