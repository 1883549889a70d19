"""Codes of records as a matrix of zeros and ones, with one column per label."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ecgkit.tasks.task import Task


def label_matrix(codes: Collection[Collection[str]], task: Task, system: str = "") -> NDArray[np.int8]:
    """Return ``[R, C]``: 1 if a record has any of a label's codes, whatever its likelihood.

    Args:
        codes: Codes of each of the R records.
        task: Task with C labels.
        system: Code system of `codes`; empty for the task's own system.
    """
    return code_matrix(codes, task.codes(system))


def code_matrix(codes: Collection[Collection[str]], labels: Mapping[str, Sequence[str]]) -> NDArray[np.int8]:
    """Return ``[R, C]``: 1 if any code of a record is one of a label's codes.

    Args:
        codes: Codes of each of the R records.
        labels: Codes of each of the C labels.
    """
    columns: dict[str, list[int]] = {}
    for c, own in enumerate(labels.values()):
        for code in own:
            columns.setdefault(code, []).append(c)
    out = np.zeros((len(codes), len(labels)), np.int8)
    for row, record in enumerate(codes):
        for code in record:
            out[row, columns.get(code, ())] = 1
    return out
