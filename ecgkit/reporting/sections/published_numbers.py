"""Published numbers on the tasks of the page, each with its source and whether it can be compared."""

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.section import Figure, Rows, Section, Table
from ecgkit.reporting.tables.published_numbers import PublishedNumber, disagreements, published_numbers, same_method

NOTE = (
    "Literature, not measured by ecgkit. Certainty A: read in the paper's own table or figure; B: stated in an "
    "abstract, a summary or a public review; C: third party or recalled. A difference is given only where task, "
    "share of the training part, classes, protocol, head and leads agree."
)
COLUMNS = ("method", "task", "training", "class", "published", "certainty", "head", "source")
SOURCES = ("source", "certainty", "protocol", "head", "labels", "note")
BESIDE = ("run", "method", "task", "training", "measured", "published", "difference", "why they do not compare")


def published_numbers_section(rows: Rows) -> Section | None:
    """Return all published numbers on the tasks of the rows."""
    tasks = {row.task for _, row in rows}
    entries = [entry for entry in published_numbers() if entry.task in tasks]
    if not entries:
        return None
    lines = tuple((e.method, e.task, e.share, e.label, e.text, e.certainty, e.head, e.source) for e in entries)
    named = dict.fromkeys((e.source, e.certainty, e.protocol, e.head, e.labels, e.note) for e in entries)
    sources = Figure("Sources", "Sources of the published numbers", None, Table(SOURCES, tuple(named)), folded=True)
    alone = Figure(
        "Published numbers", "Published numbers as a table", None, Table(COLUMNS, lines), "AUROC × 100.", folded=True
    )
    pairs = tuple(_beside(entry, row) for _, row in rows for entry in entries if _twins(entry, row))
    title = "Measured beside published, same method by name"
    # Pairs of which none can be compared are folded: they would take more room than the measured results.
    compared = any(pair[BESIDE.index("difference")] is not None for pair in pairs)
    beside = Figure(title, title, None, Table(BESIDE, pairs), "AUROC × 100.", folded=not compared)
    return Section("Published numbers", (beside, sources, alone) if pairs else (sources, alone), NOTE)


def _twins(entry: PublishedNumber, row: ResultRow) -> bool:
    share = f"{100 * row.fraction:g} %"
    return same_method(entry, row) and (entry.task, entry.share, entry.label) == (row.task, share, "")


def _beside(entry: PublishedNumber, row: ResultRow) -> tuple[object, ...]:
    reasons = disagreements(entry, row)
    measured = None if row.macro_auroc is None else round(100 * row.macro_auroc, 2)
    theirs = entry.value
    comparable = not reasons and theirs is not None and row.macro_auroc is not None
    difference = round(100 * (row.macro_auroc - theirs), 2) if comparable and row.macro_auroc and theirs else None
    method = f"{entry.method} ({entry.certainty}: {entry.source})"
    return row.run, method, row.task, entry.share, measured, entry.text, difference, "; ".join(reasons)
