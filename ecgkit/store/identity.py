"""Who a patient or a record is beyond one store: ids say something within their own dataset alone."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

# The dataset of a store that was joined of others; its ids are qualified already.
JOINED = "stores"


def qualified(dataset: str, ids: Iterable[Any]) -> list[Any]:
    """Return ids as ``DATASET:ID``, None where there is none.

    Args:
        dataset: What a store was made from.
        ids: Ids of its records or patients.
    """
    prefix = "" if dataset == JOINED else f"{dataset}:"
    return [None if pd.isna(key) else f"{prefix}{key}" for key in ids]
