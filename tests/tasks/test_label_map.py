"""The label map: its rule, its sources, and records that exist in two code systems."""

from pathlib import Path

import pandas as pd
import pytest

from ecgkit.datasets import wfdb_record
from ecgkit.datasets.comments import parse_comments
from ecgkit.entries import TaskEntry
from ecgkit.plugins import host
from ecgkit.tasks.label_map import SYSTEMS, Finding, carry, label_map
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.loading import load_task
from ecgkit.tasks.task import Task

SCORED_BY_COUNT = {
    "AFIB": "164889003",
    "AFLT": "164890007",
    "STACH": "427084000",
    "SBRAD": "426177001",
    "SARRH": "427393009",
    "PAC": "284470004",
    "LPR": "164947007",
    "QWAVE": "164917005",
    "INVT": "59931005",
    "LVOLT": "251146004",
    "CLBBB": "164909002",
    "IRBBB": "713426002",
}


def load(name: str) -> Task:
    return load_task(host().get(TaskEntry, name))


def test_a_finding_needs_all_its_parts_and_any_of_its_synonyms() -> None:
    finding = Finding("f", scp=("A", "B"), snomed=("1 | 2",), includes={"snomed": ("3",)})
    assert not finding.covered_by(["A"], "scp") and finding.covered_by(["A", "B", "C"], "scp")
    assert finding.covered_by(["2"], "snomed") and not finding.covered_by(["3"], "snomed")
    assert finding.codes("snomed") == {"1", "2", "3"} and finding.codes("icd10") == set()
    assert not finding.covered_by(["x"], "cpsc2018") and not finding.covered_by(["x"], "icd10")


def test_the_file_names_known_codes_and_known_systems(shared: Path) -> None:
    statements = set(pd.read_csv(shared / "data" / "ptb-xl" / "scp_statements.csv", index_col=0).index)
    for finding in label_map().findings:
        assert finding.codes("scp") <= statements
        assert set(finding.includes) <= set(SYSTEMS)
        assert sum(bool(finding.parts(system)) for system in SYSTEMS) >= 2
    assert set(label_map().unmapped["scp"]) <= statements
    words = {code for label in load("cpsc2018").labels.values() for code in label.codes}
    assert set().union(*(finding.codes("cpsc2018") for finding in label_map().findings)) == words


def test_equivalent_codes_of_the_challenges_are_synonyms(shared: Path) -> None:
    weights = pd.read_csv(shared / "data" / "cinc_scoring" / "2021" / "weights.csv", nrows=0)
    pairs = [frozenset(column.split("|")) for column in weights.columns if "|" in column]
    parts = {part for finding in label_map().findings for part in finding.parts("snomed")}
    assert len(pairs) == 4
    assert all(any(pair <= part for part in parts) for pair in pairs)


def test_statements_and_codes_are_as_frequent_in_ptbxl(shared: Path) -> None:
    """PTB-XL's records by statement, of the split tables, against the Challenge's records by code."""
    counts: dict[str, int] = {}
    for folder in ("form", "rhythm", "sub_class"):
        for path in (shared / "data" / "splits" / "merl" / "ptbxl" / folder).glob("*.gz"):
            for name, column in pd.read_csv(path).iloc[:, 6:].items():
                counts[str(name)] = counts.get(str(name), 0) + int(column.sum())
    scored = pd.read_csv(
        shared / "data" / "cinc_scoring" / "2021" / "dx_mapping_scored.csv", dtype={"SNOMEDCTCode": str}
    )
    published = scored.set_index("SNOMEDCTCode")["PTB_XL"]
    parts = {part for finding in label_map().findings for part in finding.parts("snomed")}
    for statement, code in SCORED_BY_COUNT.items():
        # INVT and others are in one of the tables only; NST and LNGQT are in two.
        assert counts[statement] == published[code], statement
        assert any(
            code in finding.codes("snomed") and statement in finding.codes("scp") for finding in label_map().findings
        )
        assert any(code in part for part in parts)


def test_records_of_both_forms_have_the_same_classes(shared: Path) -> None:
    """HR06000 to HR06009 of the Challenge are PTB-XL 6000 to 6009, whose statements the split tables have."""
    ids = range(6000, 6010)
    folder = shared / "data" / "cinc2021"
    headers = [wfdb_record.read_header(folder, f"HR{number:05d}") for number in ids]
    codes = [parse_comments(header.comments).labels for header in headers]
    positives = 0
    for name, table in (("sub", "sub_class"), ("form", "form"), ("rhythm", "rhythm"), ("super", "super_class")):
        task = load(f"ptbxl-{name}")
        carried = carry(task, "snomed")
        paths = (shared / "data" / "splits" / "merl" / "ptbxl" / table).glob("*.gz")
        published = pd.concat([pd.read_csv(path) for path in paths]).set_index("ecg_id")
        for label, of in carried.codes.items():
            ours = [int(bool(set(of) & set(record))) for record in codes]
            theirs = published[label].reindex(ids).fillna(0).astype(int).tolist()
            # A normal ECG has the code of sinus rhythm in the Challenge, whatever its rhythm statement.
            wrong = {6002: 1, 6003: 1} if label == "SR" else {}
            assert {n: a for n, a, b in zip(ids, ours, theirs, strict=True) if a != b} == wrong, label
            positives += sum(ours)
    assert positives >= 13


@pytest.mark.parametrize(
    ("task", "system", "kept", "left"),
    [
        ("ptbxl-super", "snomed", {"CD", "HYP", "MI"}, {"NORM", "STTC"}),
        ("cpsc2018", "scp", None, set()),
        ("ptbxl-super", "icd10", set(), None),
        ("cpsc2018", "snomed", None, {"NORM"}),
    ],
)
def test_what_is_not_covered_is_left_out_and_named(task: str, system: str, kept: set, left: set) -> None:
    own = load(task)
    carried = carry(own, system)
    kept = set(own.labels) - left if kept is None else kept
    assert set(carried.codes) == kept and set(carried.left_out) == set(own.labels) - kept
    assert all("no counterpart" in why for why in carried.left_out.values())


def test_a_map_within_a_system_is_the_task_itself() -> None:
    own = load("csn")
    assert carry(own, "snomed", home=True).codes == own.codes()
    assert set(carry(own, "snomed").left_out) == {"STTU"}
    assert "something else" in carry(own, "scp").left_out["STTU"]
    assert "NT_" in carry(own, "scp").codes["TWC"]
    there = label_matrix([["NT_"], ["NORM"]], load("ptbxl-all"))
    assert there.sum() == 2


def test_the_reason_names_each_code_once() -> None:
    why = carry(load("ptbxl-super"), "snomed").left_out["STTC"]
    assert "for NDT, DIG, ANEUR, EL (" in why and why.count("428750005") == 1


def test_the_page_counts_what_is_carried_over() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    listed = {name.strip("`"): (classes, counts) for name, classes, _, _, counts in rows if counts != "-"}
    tasks = {name: load(name) for name in host().entries(TaskEntry)}
    assert set(listed) == {name for name, task in tasks.items() if task.labels and not task.icd10}
    for name, (classes, counts) in listed.items():
        found = ", ".join(str(len(carry(tasks[name], system, home=True).codes)) for system in SYSTEMS)
        assert (classes, counts) == (str(len(tasks[name].labels)), found), name
