"""The lexicon on the statements that were annotated by hand; the annotations hold no text."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from ecgkit.knowledge.lexicon.terms import load_lexicon
from ecgkit.knowledge.scoring import score
from ecgkit.knowledge.verdicts import read_verdicts
from tests.conftest import PROJECT

FOLDER = Path(__file__).parent / "annotations"


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["development", "test"])
def test_annotations_name_entities_of_the_lexicon(name: str) -> None:
    known = {*load_lexicon().entities, "other"}
    assert len(rows(name)) == 300
    for row in rows(name):
        for part in filter(None, row["findings"].split("; ")):
            entity, polarity = part.split(": ")
            assert entity in known and polarity in ("present", "uncertain", "absent")


def test_no_statement_is_in_both_sets() -> None:
    assert not {row["sha256"] for row in rows("development")} & {row["sha256"] for row in rows("test")}


def test_the_lexicon_reads_what_the_texts_say(shared: Path, tmp_path: Path) -> None:
    command = [sys.executable, PROJECT / "benchmarks/annotations.py", "sheet", shared, "--set", "test"]
    sheet = tmp_path / "sheet.csv"
    sheet.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    verdicts = read_verdicts(sheet)
    scores = score(verdicts.judgements, verdicts.texts)
    assert scores.texts == 300 and scores.counted >= 40
    assert scores.macro_f1 is not None and scores.macro_f1 > 0.97
