"""Numbers that others have published, by task: a YAML file each in ``published/``, never mixed with measured ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from ecgkit.config import build

FOLDER = Path(__file__).parent / "published"


@dataclass(frozen=True)
class Published:
    """Published AUROC of a task's labels.

    Args:
        source: Where they stand.
        certainty: A: read in the paper's own table or figure; B: in an abstract or summary; C: by a third party.
        differs: Why they cannot be compared with a measured number.
        columns: What each column is.
        values: A share of 1 by column, by label.
    """

    source: str
    certainty: Literal["A", "B", "C"]
    differs: str
    columns: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for label, values in self.values.items():
            if len(values) != len(self.columns):
                raise ValueError(f"{label} has {len(values)} values for {len(self.columns)} columns")


def published_numbers(task: str) -> Published | None:
    """Return what is published of a task, or None."""
    # A row's task is text from a file: only a name that is listed leads to one.
    files = {path.stem: path for path in FOLDER.glob("*.yaml")}
    if task not in files:
        return None
    return build(Published, yaml.safe_load(files[task].read_text(encoding="utf-8")), source=files[task].name)
