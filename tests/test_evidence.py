"""The evidence of the benchmark page: rows are added and replaced, and the page holds the tables of the stored rows."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARK = ROOT / "examples" / "benchmark"


@pytest.fixture(scope="module")
def evidence() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARK)
        spec = importlib.util.spec_from_file_location("evidence", BENCHMARK / "evidence.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "evidence", module)
        spec.loader.exec_module(module)
        yield module
    sys.modules.pop("tables", None)


def test_the_page_shows_the_stored_rows(evidence: ModuleType) -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page.count("<!-- table ") == 7
    assert evidence.filled(page) == page


def test_a_row_of_the_same_run_is_replaced(evidence: ModuleType, tmp_path: Path) -> None:
    line = {"run": "a-s0", "scikit-learn": "0.5", "ecgkit": "0.5"}
    evidence.add("independent", [line, {**line, "run": "b-s0"}], tmp_path)
    evidence.add("independent", [{**line, "ecgkit": "0.7"}], tmp_path)
    assert [(row["run"], row["ecgkit"]) for row in evidence.kept("independent", tmp_path)] == [
        ("a-s0", "0.7"),
        ("b-s0", "0.5"),
    ]


def test_rows_become_means_by_share_of_the_labels(evidence: ModuleType) -> None:
    row = {"encoder": "kmerl", "task": "t", "leads": "12", "head": "linear", "fraction": "1", "test_records": "64"}
    rows = [{**row, "auroc": "80"}, {**row, "auroc": "90"}, {**row, "auroc": "70", "fraction": "0.01"}]
    assert evidence.scores_table(rows, "t") == [
        {"encoder": "kmerl", "test records": "64", "1%": "70.0", "100%": "85.0 ± 7.1"}
    ]
    assert evidence.scores_table(rows, "other") == []


def test_gains_are_sorted_and_corrected_over_the_table(evidence: ModuleType) -> None:
    row = {"first": "a", "task": "t", "seeds": "2", "low": "-1", "high": "3", "fraction": "1"}
    rows = [
        {**row, "difference": "1", "p": "0.03"},
        {**row, "difference": "9", "p": "0.5", "fraction": "0.01"},
        {**row, "first": "b", "difference": "2", "p": "0.01"},
    ]
    few, all_labels = ("gain with 1% of the labels", "p, Holm (1%)"), ("gain with 100% of the labels", "p, Holm (100%)")
    assert evidence.differences_table(rows, "t") == [
        {"trained": "b", "seeds": "2", all_labels[0]: "+2.0 (-1.0 to +3.0)", all_labels[1]: "0.030"},
        {
            "trained": "a",
            "seeds": "2",
            few[0]: "+9.0 (-1.0 to +3.0)",
            few[1]: "0.500",
            all_labels[0]: "+1.0 (-1.0 to +3.0)",
            all_labels[1]: "0.060",
        },
    ]
    assert evidence.differences_table(rows, "other") == []


def test_no_stored_row_names_a_record_or_a_patient() -> None:
    for file in (ROOT / "docs" / "evidence").glob("*.csv"):
        header = file.read_text(encoding="utf-8").splitlines()[0].split(",")
        assert not {"record_id", "patient_id", "subject_id", "path"} & set(header)
