"""Several extractions, and several readings of one text, put to the vote."""

import csv
from pathlib import Path

import pytest

import ecgkit
from ecgkit.errors import ConfigError, StoreError
from ecgkit.knowledge.backends import Readings
from ecgkit.knowledge.consensus import consensus
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import PRESENT, UNCERTAIN, read_labels
from ecgkit.knowledge.mentions import Mention
from ecgkit.knowledge.reports import open_reports
from ecgkit.knowledge.vocabulary import Vocabulary, make_vocabulary
from ecgkit.knowledge.vote import _fleiss


class Told:
    """A backend that reads what it was told: polarity by text and name."""

    def __init__(self, said: dict[str, dict[str, str]]) -> None:
        self.said, self.provenance = said, {"backend": "told"}

    def read(self, texts, watch) -> Readings:
        found = [tuple(Mention(n, p) for n, p in self.said.get(t, {}).items()) for t in texts]  # type: ignore[arg-type]
        return Readings(found)

    def vocabulary(self, counts, watch) -> Vocabulary:
        return make_vocabulary({name: name for name in counts}, {})


A = {"one": {"x": "present"}, "two": {"y": "present"}, "three": {"x": "uncertain"}}
B = {"one": {"x": "present"}, "two": {"y": "absent"}, "three": {"x": "present"}}
C = {"one": {"x": "present", "z": "present"}, "two": {"y": "present"}, "three": {"y": "present"}}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "r.csv"
    path.write_text("id,report\n1,one\n2,two\n3,three\n4,two\n")
    reports = open_reports(path)
    for name, said in (("a", A), ("b", B), ("c", C)):
        extract_knowledge(reports, Told(said), ExtractOptions(min_count=1, name=name))
    return path


def test_the_majority_decides_and_disputes_go_to_a_person(table: Path) -> None:
    folder = table.with_name("r.knowledge")
    done = ecgkit.vote_knowledge([folder / n for n in "abc"], reports=table, min_count=1)
    labels = read_labels(folder / "vote")
    assert labels.names == ("y", "x")
    assert labels.values.tolist() == [[0, PRESENT], [PRESENT, 0], [0, UNCERTAIN], [PRESENT, 0]]
    assert (done.texts, done.disputed, done.records) == (3, 3, 4)
    with done.disputes.open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["text"], r["entity"], r["a"], r["b"], r["c"]) for r in rows] == [
        ("two", "y", "present", "absent", "present"),
        ("one", "z", "-", "-", "present"),
        ("three", "x", "uncertain", "present", "-"),
        ("three", "y", "-", "-", "present"),
    ]
    assert rows[0]["records"] == "2" and rows[0]["a_record"] == "2"
    agreement = {row.entity: (row.unanimous, row.split) for row in done.rows}
    assert agreement == {"x": (1, 1), "y": (0, 2), "z": (0, 1)}
    assert set(labels.provenance["voters"]) == {"a", "b", "c"}


def test_what_cannot_vote_is_refused(table: Path) -> None:
    folder = table.with_name("r.knowledge")
    with pytest.raises(ConfigError, match="two or more"):
        ecgkit.vote_knowledge([folder / "a", folder / "a"], reports=table)
    with pytest.raises(ConfigError, match="--reports"):
        ecgkit.vote_knowledge([folder / "a", folder / "b"])
    table.write_text("id,report\n1,one\n2,other\n3,three\n4,two\n")
    with pytest.raises(StoreError, match="other reports"):
        ecgkit.vote_knowledge([folder / "a", folder / "b"], reports=table)


def test_kappa_of_fleiss() -> None:
    """Two raters: equal to Scott's pi. 20 both, 15 one of them, 15 neither: 1 - 15/50 agree; share 55/100."""
    chance = 0.55**2 + 0.45**2
    assert _fleiss({2: 20, 1: 15}, 2, 50) == pytest.approx((0.7 - chance) / (1 - chance))
    assert _fleiss({3: 10}, 3, 10) is None
    # Fleiss 1971, by hand for three raters on four texts with 3, 2, 1 and 0 votes.
    assert _fleiss({3: 1, 2: 1, 1: 1}, 3, 4) == pytest.approx((1 - 1 / 3 - 0.5) / 0.5)


def test_a_tie_of_polarities_is_uncertain_and_half_is_no_majority() -> None:
    present, absent = (Mention("x", "present", severity="mild"),), (Mention("x", "absent"),)
    assert consensus([present, absent])[0].polarity == "uncertain"
    assert consensus([present, ()]) == ()
    assert consensus([present, present, absent]) == present
