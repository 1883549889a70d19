"""Read arrays from Matlab files (versions 4 to 7.2) with scipy, which only reads data and runs no code."""

import io
from pathlib import Path
from typing import Any

from scipy.io import loadmat

from ecgkit.errors import RecordError


def load_struct(file: Path, name: str) -> dict[str, Any]:
    """Return the fields of a struct as arrays, numbers and strings.

    Raises:
        RecordError: The file contains no such struct.
    """
    value = _load(file, [name]).get(name)
    if not isinstance(value, dict):
        raise RecordError(f"{file.name} contains no struct {name}")
    return value


def _load(file: Path, names: list[str] | None) -> dict[str, Any]:
    content = loadmat(io.BytesIO(file.read_bytes()), variable_names=names, simplify_cells=True)
    return {name: value for name, value in content.items() if not name.startswith("__")}
