"""Identity of patients and records across stores: an id is only unique within its own dataset."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

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
