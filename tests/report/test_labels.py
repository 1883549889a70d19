"""The tree of ICD-10 labels with published numbers, and the table of label counts."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from ecgkit.evaluation.results import ClassScore
from ecgkit.report.contents import task_parts
from ecgkit.report.label_curve import label_curves
from ecgkit.report.label_tree import label_tree
from ecgkit.report.page import render_report
from ecgkit.report.published import published_numbers
from tests.report.rows import make_row
from tests.report.test_page import EVIL, Page

LABELS = {"I214": "non-STEMI", "IX.I30-I5A": "other", "IX": "circulatory", "I48": EVIL, "I21": "infarction",
          "IX.I20-I25": "ischemic"}  # fmt: skip


def tree_row(**changes):
    classes = tuple(
        ClassScore(label=label, name=name, positives=10 + i, negatives=90, train_positives=50, auroc=0.8 + i / 100,
                   interval=(0.7, 0.9), auprc=0.5)
        for i, (label, name) in enumerate(LABELS.items())
    )  # fmt: skip
    return make_row(task="icd10-circulatory", task_title="ICD-10", classes=classes, **changes)


def test_published_numbers_are_those_of_the_papers_tables(shared: Path) -> None:
    found = published_numbers("icd10-circulatory")
    assert found is not None and found.certainty == "A"
    for number, columns in ((3, {"lamae": 0, "lamae_e": 1, "scratch": 2, "mmvm": 3, "ind_p": 4, "ind_s": 5}),
                            (4, {"lamae_probe": 0, "lamae_finetune": 6, "lamae_e_finetune": 7})):  # fmt: skip
        rows = list(csv.DictReader((shared / "specs" / f"lamae_table{number}.csv").open()))
        assert {row["code"] for row in rows} == set(found.values)
        for row in rows:
            for name, column in columns.items():
                assert found.values[row["code"]][column] == float(row[name])
    assert published_numbers("simulated") is None
    assert published_numbers("../published/icd10-circulatory") is None


def test_the_tree_stands_under_its_parents_with_published_columns() -> None:
    (part,) = task_parts([(Path("a/row.json"), tree_row()), (Path("b/row.json"), tree_row(run="other"))])
    tree = label_tree(part)
    assert tree is not None and tree.published is not None
    assert [(line.label, line.depth) for line in tree.lines] == [
        ("IX", 0), ("IX.I20-I25", 1), ("I21", 2), ("I214", 3), ("IX.I30-I5A", 1), ("I48", 2),
    ]  # fmt: skip
    line = next(line for line in tree.lines if line.label == "I21")
    assert line.measured == ("84.0", "84.0") and line.positives == "14"
    assert line.published[:2] == ("82.29", "84.02")
    plain = replace(part, labels={"NORM": "normal"})
    assert label_tree(plain) is None


def test_the_page_holds_tree_and_curve_escaped() -> None:
    rows = [(Path("a/row.json"), tree_row())]
    for count in (50, 100):
        for seed in (0, 1):
            row = tree_row(label_count=count, seed=seed, fraction=0.1, macro_auroc=0.6 + count / 1000 + seed / 50)
            rows.append((Path(f"{count}-{seed}/row.json"), row))
    html = render_report(rows)
    page = Page(html)
    assert "<script>alert" not in html
    assert "Set apart: published, from arXiv 2603.26475" in page.text
    line = next(row for row in page.rows if row and row[0].startswith("I214"))
    assert line[-1] == "86.0" or len(line) == 2 + 5 + 8
    curves = label_curves(row for _, row in rows)
    assert curves is not None and curves.counts == (50, 100)
    assert curves.curves[0].cells == ("66.0 (65.0–67.0, 2 seeds)", "71.0 (70.0–72.0, 2 seeds)")
    assert "66.0 (65.0–67.0, 2 seeds)" in page.text
    assert label_curves([make_row()]) is None


def test_a_damaged_table_is_refused() -> None:
    found = published_numbers("icd10-circulatory")
    assert found is not None
    with pytest.raises(ValueError, match="8 columns"):
        replace(found, values={"IX": (0.5,)})
