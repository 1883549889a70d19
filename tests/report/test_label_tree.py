"""The tree of ICD-10 labels with published numbers beside the measured ones."""

import csv
from pathlib import Path

from ecgkit.evaluation.results.row import ClassScore, ResultRow
from ecgkit.reporting.page.write import render_report
from ecgkit.reporting.sections.label_tree import INDENT, label_tree_section
from tests.report.rows import make_row

EVIL = "<script>alert(1)</script>"
LABELS = {
    "I214": "non-STEMI",
    "IX.I30-I5A": "other",
    "IX": "circulatory",
    "I48": EVIL,
    "I21": "infarction",
    "IX.I20-I25": "ischemic",
}


def tree_row(**changes) -> ResultRow:
    classes = tuple(
        ClassScore(
            label=label,
            name=name,
            positives=10 + i,
            negatives=90,
            train_positives=50,
            auroc=0.8 + i / 100,
            interval=(0.7, 0.9),
            auprc=0.5,
        )
        for i, (label, name) in enumerate(LABELS.items())
    )
    return make_row(task="icd10-circulatory", task_title="ICD-10", classes=classes, **changes)


def test_labels_stand_under_their_parents_with_published_columns(shared: Path) -> None:
    section = label_tree_section([(Path("a/row.json"), tree_row()), (Path("b/row.json"), tree_row(run="other"))])
    assert section is not None
    table = section.figures[0].table
    labels = [row[0] for row in table.rows]
    assert labels == [
        "IX",
        INDENT + "IX.I20-I25",
        INDENT * 2 + "I21",
        INDENT * 3 + "I214",
        INDENT + "IX.I30-I5A",
        INDENT * 2 + "I48",
    ]
    line = dict(zip(table.columns, table.rows[2], strict=True))
    assert (line["positives"], line["other"]) == (14, "84.0")
    folded = section.figures[1]
    assert folded.folded
    theirs = dict(zip(folded.table.columns[2:], folded.table.rows[2][2:], strict=True))
    with (shared / "specs" / "lamae_table3.csv").open() as file:
        printed = next(row for row in csv.DictReader(file) if row["code"] == "I21")
    assert {float(value) for value in theirs.values()} >= {
        round(100 * float(printed[name]), 2) for name in ("lamae", "lamae_e", "scratch", "mmvm", "ind_p", "ind_s")
    }


def test_it_is_shown_for_such_labels_alone_and_escaped() -> None:
    assert label_tree_section([(Path("a/row.json"), make_row())]) is None
    html = render_report([(Path("a/row.json"), tree_row())])
    assert "Tree of ICD-10 labels" in html
    assert "<script>alert" not in html
