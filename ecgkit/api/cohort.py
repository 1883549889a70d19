"""``ecgkit.find_records``: the records of a store that a statement is true of."""

from pathlib import Path

from ecgkit.api.arguments import PathLike, path_or_none
from ecgkit.choices import notes_choices
from ecgkit.cohort.find import Cohort, find_cohort
from ecgkit.store.records import RecordTable
from ecgkit.workspace.defaults import the_store


@notes_choices
def find_records(
    store: PathLike | None = None, where: str = "", *, entities: str = "", csv: PathLike | None = None
) -> Cohort:
    """Find the records that a statement is true of, such as ``atrial fibrillation and not (paced or age < 18)``.

    A statement names entities of the reports, labels, quality flags, and columns with a comparison. `ecgkit.cohort`
    describes the language. A record of which the statement is neither true nor false, because its report is unsure or a
    value is missing, is not found but counted.

    Args:
        store: The store. By default the only store of the current folder.
        where: The statement.
        entities: Name of the extraction whose entities are meant. By default the only one.
        csv: CSV file for record id, patient id and fold of each record.

    Raises:
        ConfigError: The statement cannot be read, or names what the store lacks.
        StoreError: `store` is not a store, or has several extractions and none is chosen.
        OutputError: The CSV file cannot be written.
    """
    records = RecordTable(the_store(store, "ecgkit inspect"))
    records.read()  # compares the table with its hash
    found = find_cohort(records, where, entities)
    path = path_or_none(csv)
    if path is not None:
        found.write(Path(path))
    return found
