"""What is done with extractions: compared, checked by hand, scored, put to the vote, and written as tables."""

from collections.abc import Sequence
from pathlib import Path

from ecgkit.api.arguments import PathLike, path_or_none, several
from ecgkit.errors import ConfigError
from ecgkit.knowledge import vote as voting
from ecgkit.knowledge.agreement import Comparison, compare
from ecgkit.knowledge.audit import write_audit
from ecgkit.knowledge.evidence import write_evidence
from ecgkit.knowledge.export import Form, write_labels_csv
from ecgkit.knowledge.extract import ExtractOptions
from ecgkit.knowledge.extractions import chosen_extraction, chosen_labels
from ecgkit.knowledge.labels import label_folder
from ecgkit.knowledge.reports import FOLDER, Reports, open_reports
from ecgkit.knowledge.scoring import LEAST, Scores, score
from ecgkit.knowledge.verdicts import read_verdicts
from ecgkit.knowledge.vote import Vote
from ecgkit.workspace.stores import store_of_product


def reports_of(
    source: Path, columns: str | Sequence[str], table: PathLike | None, id_column: str, out: PathLike | None
) -> Reports:
    """Open the reports that the arguments of a function name; see `ecgkit.knowledge.reports.open_reports`."""
    return open_reports(
        source,
        columns=several(columns),
        table=path_or_none(table),
        id_column=id_column,
        folder=path_or_none(out),
    )


def compare_knowledge(a: PathLike, b: PathLike) -> Comparison:
    """Compare two extractions of the same reports: counts, agreement and Cohen's kappa of each entity.

    Args:
        a: Store, or folder of an extraction.
        b: Another extraction of the same reports.

    Raises:
        StoreError: There is no extraction, a store holds several, they are of different records, or they share no
            entity.
    """
    which = "its folder, such as STORE/knowledge/NAME"
    return compare(*(chosen_labels(Path(one), "", which) for one in (a, b)))


def audit_knowledge(
    source: PathLike,
    *,
    sample: int = 50,
    seed: int = 0,
    xlsx: bool = False,
    overwrite: bool = False,
    report_columns: str | Sequence[str] = "",
    reports: PathLike | None = None,
    id_column: str = "",
    out: PathLike | None = None,
    name: str = "",
) -> tuple[Path, ...]:
    """Write a sheet of sampled reports with what was read in them, to check by hand.

    Args:
        source: Store or CSV file whose reports were read.
        sample: Number of reports to draw.
        seed: Seed of the draw.
        xlsx: Write an Excel workbook too. Needs ``ecgkit-learn[xlsx]``.
        overwrite: Replace a sheet that holds verdicts.
        report_columns: Columns of texts that were read.
        reports: For a store, CSV file whose texts were read.
        id_column: Column of record ids of a CSV file.
        out: Folder of the results of a CSV file. By default ``NAME.knowledge`` beside the file.
        name: Name of the extraction. By default the only one.

    Returns:
        The sheet as a CSV file, as an HTML page and, if wanted, as a workbook.

    Raises:
        StoreError: There is no extraction of this name, it belongs to other reports, or none of several is chosen.
        OutputError: The earlier sheet holds verdicts.
        ConfigError: The package for workbooks is missing.
    """
    read = reports_of(Path(source), report_columns, reports, id_column, out)
    chosen = chosen_extraction(read, name, "--name NAME")
    return write_audit(read, sample, name=chosen, seed=seed, xlsx=xlsx, overwrite=overwrite)


def write_mentions(
    source: PathLike,
    *,
    report_columns: str | Sequence[str] = "",
    reports: PathLike | None = None,
    id_column: str = "",
    out: PathLike | None = None,
    name: str = "",
) -> Path:
    """Write a table of every finding of every record, with the quote that supports it and its place in the report.

    Args:
        source: Store or CSV file whose reports were read.
        report_columns: Columns of texts that were read.
        reports: For a store, CSV file whose texts were read.
        id_column: Column of record ids of a CSV file.
        out: Folder of the results of a CSV file. By default ``NAME.knowledge`` beside the file.
        name: Name of the extraction. By default the only one.

    Returns:
        The CSV file. It holds report text, and only its owner can read it.

    Raises:
        StoreError: There is no extraction of this name, it belongs to other reports, or none of several is chosen.
    """
    read = reports_of(Path(source), report_columns, reports, id_column, out)
    return write_evidence(read, name=chosen_extraction(read, name, "--name NAME"))


def vote_knowledge(
    extractions: Sequence[PathLike],
    *,
    min_count: int | None = None,
    max_entities: int | None = None,
    keep_children: bool = False,
    report_columns: str | Sequence[str] = "",
    reports: PathLike | None = None,
    id_column: str = "",
    name: str = "vote",
    overwrite: bool = False,
) -> Vote:
    """Make labels from the votes of several extractions of the same reports.

    In each text, an entity counts if more than half of the extractions mention it, with the polarity that most of them
    give it. The texts on which they differ are written into a table for a person to decide.

    Args:
        extractions: Folders of two or more extractions, in the same store or folder.
        min_count: Smallest number of records in which an entity must be present to be kept. By default a fifth of the
            square root of the number of reports, at most 50.
        max_entities: Largest number of entities to keep, by frequency. By default all.
        keep_children: Keep the column of each subtype beside that of its parent.
        report_columns: Columns of texts that were read.
        reports: CSV file whose texts were read. It is needed where the extractions are not in a store.
        id_column: Column of record ids of the CSV file.
        name: Name of the new extraction.
        overwrite: Replace an extraction of the same name.

    Raises:
        ConfigError: There are fewer than two extractions, or they do not fit each other.
        StoreError: An extraction does not exist, or was made from other reports.
        OutputError: An extraction of this name exists.
    """
    paths = [Path(path).resolve() for path in extractions]
    folder = paths[0].parent if paths else Path()
    columns, table = several(report_columns), path_or_none(reports)
    store = next(filter(None, (store_of_product(path, FOLDER) for path in paths)), None)
    if store is not None:
        read = open_reports(store, columns=columns, table=table, id_column=id_column)
        paths = [label_folder(path)[0] for path in paths]
    elif table is None:
        raise ConfigError(
            f"{folder} belongs to no store that is known here",
            remedy="Name extractions of a store as STORE/knowledge/NAME, wherever they lie, or name the table of their "
            "reports with --reports.",
        )
    else:
        read = open_reports(table, columns=columns, id_column=id_column, folder=folder)
    options = ExtractOptions("statement", min_count, max_entities, keep_children, None, name, overwrite)
    return voting.vote(read, paths, options)


def score_knowledge(sheet: PathLike, *, least: int = LEAST) -> Scores:
    """Score an extraction by the verdicts in its audit sheet: precision, recall and F1 of each entity.

    Args:
        sheet: Audit sheet with verdicts, a CSV file or an Excel workbook.
        least: Number of texts that must state an entity for it to count in the macro F1.

    Raises:
        DatasetError: The sheet is missing, holds no verdict, or holds one that does not fit.
        ConfigError: The package for workbooks is missing.
    """
    verdicts = read_verdicts(Path(sheet))
    return score(verdicts.judgements, verdicts.texts, least, verdicts.open_rows)


def export_knowledge(
    source: PathLike, to: PathLike, *, form: Form = "long", name: str = "", overwrite: bool = False
) -> Path:
    """Write the labels of an extraction as a CSV file, with SCP-ECG, SNOMED CT and ICD-10 codes.

    Args:
        source: Store, or folder of an extraction.
        to: CSV file to write.
        form: ``long`` (one row per record and entity, with codes) or ``wide`` (one row per record, one column per
            entity: 1 present, 2 uncertain, 0 absent or not mentioned, empty if the report was not read completely).
        name: Name of the extraction. By default the only one.
        overwrite: Replace an earlier file.

    Raises:
        StoreError: There is no extraction, or there are several and none is chosen.
        OutputError: The file exists.
    """
    labels = chosen_labels(Path(source), name, "--name NAME")
    return write_labels_csv(labels, Path(to), form=form, overwrite=overwrite)
