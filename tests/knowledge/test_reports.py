"""Where reports come from: columns, tables joined by record id, pilots; and how many records an entity needs."""

from pathlib import Path

import pytest

from ecgkit.errors import DatasetError, StoreError
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge, relabel
from ecgkit.knowledge.labelling import default_min_count
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import open_reports
from tests.knowledge.server import serving


def machine_measurements(path: Path) -> Path:
    """A table in the form of MIMIC-IV-ECG's, with more than ten numbered columns."""
    numbers = range(12)
    header = ["subject_id", "study_id", *(f"report_{i}" for i in numbers), "bandwidth"]
    rows = [
        ["1", "40", *(f"line {i}." if i in (0, 1, 2, 11) else "" for i in numbers), "0.05 Hz"],
        ["1", "41", *("" for _ in numbers), ""],
    ]
    path.write_text("\n".join(",".join(row) for row in (header, *rows)) + "\n")
    return path


def test_the_numbered_columns_of_mimic_are_joined_in_their_order(tmp_path: Path) -> None:
    reports = open_reports(machine_measurements(tmp_path / "machine_measurements.csv"))
    assert reports.ids == ("40", "41"), "the study, not the patient in the first column"
    assert reports.texts == ("line 0.\nline 1.\nline 2.\nline 11.", "")


def test_columns_are_chosen_by_name_and_pattern(tmp_path: Path) -> None:
    table = machine_measurements(tmp_path / "m.csv")
    reports = open_reports(table, columns=["report_1", "report_1*", "bandwidth"], id_column="subject_id")
    assert reports.ids == ("1", "1") and reports.texts[0] == "line 1.\nline 11.\n0.05 Hz"
    with pytest.raises(DatasetError, match="lacks column 'note'.*subject_id.*--report-columns"):
        open_reports(table, columns=["note"])


def test_notes_are_joined_to_a_store_by_record_id(cohort_store: Path, tmp_path: Path) -> None:
    own = open_reports(cohort_store)
    notes = tmp_path / "notes.csv"
    rows = [f"{own.ids[3]},atrial fibrillation", f"{own.ids[3]},left bundle branch block", f"{own.ids[5]},sinus rhythm"]
    notes.write_text("record_id,note\n" + "\n".join(rows) + "\nnobody,normal ecg\n")
    joined = open_reports(cohort_store, columns=["note"], table=notes)
    assert joined.ids == own.ids and joined.content_hash == own.content_hash and joined.folder == own.folder
    assert joined.texts[3] == "atrial fibrillation\nleft bundle branch block" and sum(map(bool, joined.texts)) == 2
    notes.write_text("record_id,note\nnobody,normal ecg\n")
    with pytest.raises(DatasetError, match="no record id of"):
        open_reports(cohort_store, columns=["note"], table=notes)
    with pytest.raises(StoreError, match="no column 'note'"):
        open_reports(cohort_store, columns=["note"])


def test_labels_are_not_made_anew_from_other_texts(tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    table.write_text("id,report,note\n1,atrial fibrillation,sinus rhythm\n")
    done = extract_knowledge(open_reports(table), LexiconBackend(), ExtractOptions(min_count=1))
    other = open_reports(table, columns=["note"])
    edited = ExtractOptions(min_count=1, vocabulary=done.path / "vocabulary.yaml")
    with pytest.raises(StoreError, match="made from other reports"):
        relabel(other, edited)


@pytest.mark.parametrize(("reports", "needed"), [(1, 1), (16, 1), (500, 4), (6144, 16), (62_500, 50), (800_000, 50)])
def test_how_many_records_an_entity_needs_grows_with_the_corpus(reports: int, needed: int) -> None:
    assert default_min_count(reports) == needed


def test_what_is_too_rare_is_said(ecgkit, tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    texts = ["atrial fibrillation"] * 300 + ["sinus rhythm"] * 197 + ["left bundle branch block"] * 3
    table.write_text("id,report\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)))
    done = ecgkit("extract-knowledge", table)
    assert done.code == 0, done.err
    assert "2 entities of 500 records" in done.out
    said = " ".join(done.out.split())
    assert "1 more entity is left out, present in fewer than 4 records: left bundle branch block (3)" in said


def test_a_pilot_estimates_the_whole_and_its_answers_count(ecgkit, tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    table.write_text("id,report\n" + "".join(f"{i},sinus rhythm {i}\n" for i in range(40)))
    with serving() as server:
        command = ("extract-knowledge", table, "--base-url", server.url, "--model", "m")
        prices = ("--price-in", 1000, "--price-out", 1000)
        pilot = ecgkit(*command, "--limit", 8, "--audit", 3, *prices)
        assert pilot.code == 0, pilot.err
        assert len(server.bodies) == 9  # and the made-up statement
        said = " ".join(pilot.out.split())
        assert "8 to ask" in said and "a rough guess" in said
        assert "the whole would take 32 more questions: 320 prompt tokens and 160 answer tokens" in said
        assert "a price of" in said and "measured on 8 answers" in said
        folder = tmp_path / "r.knowledge"
        assert (folder / "labels-pilot" / "entities.csv").is_file() and (folder / "audit-labels-pilot.csv").is_file()
        drawn = {json_text for body in server.bodies for json_text in [body["messages"][-1]["content"]]}
        assert ecgkit("extract-knowledge", "audit", table, "--name", "labels-pilot", "--sample", 2).code == 0
        assert ecgkit(*command, "--limit", 8).code == 0
        assert len(server.bodies) == 9, "the same seed draws the same reports"
        whole = ecgkit(*command)
        assert whole.code == 0 and "32 to ask" in whole.out and "measured on 8 answers" in whole.out
        assert len(server.bodies) == 9 + 33
        assert not drawn & {body["messages"][-1]["content"] for body in server.bodies[10:]}
