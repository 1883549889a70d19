"""Labels of an extraction as a CSV file for other programs, with codes.

``long``: one row per record and entity that its report states, with the codes of the entity: those of the vocabulary
that was applied, else those of the lexicon.
``wide``: one row per record and one column per entity, 1 present, 2 uncertain, 0 absent or not mentioned, and empty if
the report was not read completely.
"""

from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from ecgkit.atomic import atomic_file
from ecgkit.errors import ConfigError, OutputError
from ecgkit.knowledge.codes import SYSTEMS, Codes, load_codes
from ecgkit.knowledge.labels import PRESENT, Entities

Form = Literal["long", "wide"]


def write_labels_csv(entities: Entities, path: Path, *, form: Form = "long", overwrite: bool = False) -> Path:
    """Write labels as a CSV file.

    Args:
        entities: The labels.
        path: The file.
        form: See the module's docstring.
        overwrite: Whether an earlier file may be replaced.

    Raises:
        ConfigError: There is no such form.
        OutputError: The file exists and may not be replaced.
    """
    if form not in get_args(Form):
        raise ConfigError(f"form {form!r}", " or ".join(get_args(Form)))
    if path.exists() and not overwrite:
        raise OutputError(f"{path} already exists", remedy="Give another FILE, or replace it with --overwrite.")
    table = _long(entities) if form == "long" else entity_table(entities)
    with atomic_file(path) as staging:
        table.to_csv(staging, index=False)
    return path


def _long(entities: Entities) -> pd.DataFrame:
    codes = {**load_codes(), **entities.codes}
    cells = {name: codes.get(name, Codes()).cells() for name in entities.names}
    rows = [
        {
            "record_id": entities.record_ids[record],
            "entity": (name := entities.names[column]),
            "polarity": "present" if entities.values[record, column] == PRESENT else "uncertain",
            **cells[name],
        }
        for record, column in zip(*entities.values.nonzero(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["record_id", "entity", "polarity", *SYSTEMS])


def entity_table(entities: Entities) -> pd.DataFrame:
    """Return one row per record, in the order of the store: ``record_id``, and one Int64 column per entity.

    A cell is 1 for present, 2 for uncertain, and 0 for absent or not mentioned. It is missing if the report was not
    read completely. Join it to another table of records by ``record_id``.
    """
    values = pd.DataFrame(entities.values, columns=list(entities.names)).astype("Int64")
    values.loc[~entities.complete] = pd.NA
    values.insert(0, "record_id", list(entities.record_ids))
    return values
