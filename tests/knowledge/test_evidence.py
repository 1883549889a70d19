"""Quotes, found again in the report as it was written."""

import csv
import stat
from pathlib import Path

import ecgkit
from ecgkit.knowledge.evidence import place_in_report
from ecgkit.knowledge.statements import split_statements

REPORT = "Sinus rhythm.\r\n  ANTERO\u00adseptal   infarct, ST-Hebung; st-hebung  in V5"


def test_a_quote_is_found_in_the_report_as_it_was_written() -> None:
    statement = "st-hebung in v5"
    place = place_in_report(REPORT, statement, (0, 9))
    assert place and REPORT[slice(*place)] == "st-hebung" and place[0] == REPORT.rindex("st-hebung")
    place = place_in_report(REPORT, "anteroseptal infarct, st-hebung", (0, 20))
    assert place and REPORT[slice(*place)] == "ANTERO\u00adseptal   infarct"
    assert place_in_report(REPORT, "vorhofflimmern", (0, 5)) is None
    for text in split_statements("Sinus rhythm (normal)* a+b. Q waves [V1]"):
        assert place_in_report("Sinus rhythm (normal)* a+b. Q waves [V1]", text, (0, len(text))), text


def test_the_table_holds_every_finding_with_its_quote(tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    table.write_text('id,report\n1,"Sinus Rhythm\nno  Atrial Fibrillation"\n2,sinus rhythm\n')
    ecgkit.extract_knowledge(table, min_count=1)
    path = ecgkit.write_mentions(table)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open() as file:
        rows = [(r["record_id"], r["entity"], r["polarity"], r["certainty"], r["quote"]) for r in csv.DictReader(file)]
    assert rows == [
        ("1", "sinus rhythm", "present", "certain", "Sinus Rhythm"),
        ("1", "atrial fibrillation", "absent", "denied", "Atrial Fibrillation"),
        ("2", "sinus rhythm", "present", "certain", "sinus rhythm"),
    ]
