"""Scores of an extraction by a person's verdicts, against slow plain versions; what a sheet may hold."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_score, recall_score

from ecgkit.errors import DatasetError, OutputError
from ecgkit.knowledge.audit import write_audit
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.mentions import POLARITIES
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.scoring import Judgement, score, wilson
from ecgkit.knowledge.verdicts import COLUMNS, read_sheet, read_verdicts

ENTITIES = ("a", "b", "c", "d")


def drawn(count: int = 200) -> tuple[list[Judgement], list[tuple[str, str]]]:
    rng = np.random.default_rng(5)
    texts = [(str(i // 2), f"text {i}") for i in range(count)]
    values = (None, *POLARITIES)
    judged = []
    for record, text in texts:
        for entity in ENTITIES:
            stated = values[rng.choice(4, p=[0.6, 0.2, 0.1, 0.1])]
            found = stated if rng.random() < 0.8 else values[rng.integers(4)]
            judged.append(Judgement(record, text, entity, found, stated))
    return judged, texts


def test_scores_equal_those_of_another_library() -> None:
    judged, texts = drawn()
    scores = score(judged, texts)
    assert {row.entity for row in scores.rows} == set(ENTITIES) and scores.counted == 4
    for row in scores.rows:
        # Each pair of text and polarity is one yes or no.
        mine = [j for j in judged if j.entity == row.entity]
        truth = [j.stated == p for j in mine for p in POLARITIES]
        guess = [j.found == p for j in mine for p in POLARITIES]
        assert row.precision == pytest.approx(precision_score(truth, guess))
        assert row.recall == pytest.approx(recall_score(truth, guess))
        assert row.f1 == pytest.approx(f1_score(truth, guess))
        assert row.missed + row.wrong_polarity == row.stated - row.hits
        assert row.not_stated + row.wrong_polarity == row.found - row.hits
    assert scores.macro_f1 == pytest.approx(np.mean([row.f1 for row in scores.rows]))
    assert len(scores.errors) == sum(row.missed + row.not_stated + row.wrong_polarity for row in scores.rows)


def test_the_macro_interval_equals_a_plain_bootstrap() -> None:
    judged, texts = drawn(60)
    scores = score(judged, texts)
    rng = np.random.default_rng(1)
    means = []
    for _ in range(300):
        chosen = [texts[i] for i in rng.integers(len(texts), size=len(texts))]
        f1 = []
        for entity in ENTITIES:
            by_text = {(j.record, j.text): j for j in judged if j.entity == entity}
            mine = [by_text[text] for text in chosen]
            hits = sum(j.found == j.stated is not None for j in mine)
            f1.append(2 * hits / sum((j.found is not None) + (j.stated is not None) for j in mine))
        means.append(np.mean(f1))
    assert scores.macro_interval == pytest.approx(np.quantile(means, (0.025, 0.975)), abs=0.03)


@pytest.mark.parametrize(("hits", "count"), [(0, 3), (1, 1), (5, 9), (40, 40), (17, 300)])
def test_intervals_are_wilsons(hits: int, count: int) -> None:
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson(hits, count) == pytest.approx((expected.low, expected.high))


def test_one_finding_promises_little_and_none_is_no_error() -> None:
    (row,) = score([Judgement("1", "t", "a", "present", "present")], [("1", "t")]).rows
    assert row.f1 == 1.0 and row.f1_interval[0] < 0.4
    nothing = score([], [("1", "t")])
    assert (nothing.macro_f1, nothing.macro_interval, nothing.total.precision) == (None, None, None)


def sheet(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("record_id", "text", "entity", "polarity", "verdict"), *rows])
    return path


def test_what_verdicts_mean(tmp_path: Path) -> None:
    path = sheet(
        tmp_path / "s.csv",
        ("1", "af, no lbbb", "atrial fibrillation", "present", "OK "),
        ("1", "af, no lbbb", "left bundle branch block", "present", "absent"),
        ("1", "af, no lbbb", "Sinus Rhythm", "present", "no"),
        ("1", "af, no lbbb", "q wave", "", "uncertain"),
        ("2", "unread", "q wave", "present", ""),
        ("3", "nothing", "", "", "ok"),
    )
    verdicts = read_verdicts(path)
    assert verdicts.open_rows == 1 and verdicts.texts == (("1", "af, no lbbb"), ("3", "nothing"))
    kinds = {j.entity: j.error for j in verdicts.judgements}
    assert kinds == {
        "atrial fibrillation": None,
        "left bundle branch block": "wrong polarity",
        "sinus rhythm": "not stated",
        "q wave": "missed",
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("1", "t", "q wave", "present", "")], "holds no verdict"),
        ([("1", "t", "q wave", "present", "yes")], "row 2: verdict 'yes' on 'q wave'; expected one of ok, no"),
        ([("1", "t", "q wave", "maybe", "ok")], "polarity 'maybe'"),
        ([("1", "t", "q wave", "", "ok")], "without a polarity is a finding that was missed"),
        ([("1", "t", "", "", "present")], "without an entity"),
        ([("1", "t", "a", "present", "ok"), ("1", "t", "a", "absent", "ok")], "row 3: another verdict on 'a'"),
    ],
)
def test_a_verdict_that_does_not_fit_is_told(tmp_path: Path, rows: list[tuple[str, ...]], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_verdicts(sheet(tmp_path / "s.csv", *rows))


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    texts = ("Atrial fibrillation\nNo LBBB", "+1 lbbb\x07", "", "Possible LVH. Possible LVH.")
    found = Reports(("1", "2", "3", "4"), texts, tmp_path / "k", "h")
    extract_knowledge(found, LexiconBackend(), ExtractOptions(min_count=1))
    return found


def judge(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**row, "verdict": "ok"} for row in rows)


def test_a_sheet_goes_round(reports: Reports) -> None:
    table, _, workbook = write_audit(reports, 10, xlsx=True)
    rows = read_sheet(table)
    assert [row["quote"] for row in rows] == ["atrial fibrillation", "lbbb", "lbbb", "lvh"]
    assert [row["entity"] for row in read_sheet(workbook)] == [row["entity"] for row in rows]
    assert workbook.stat().st_mode & 0o777 == 0o600
    judge(table)
    scores = score(*(lambda v: (v.judgements, v.texts))(read_verdicts(table)), least=1)
    assert scores.macro_f1 == 1.0 and scores.texts == 4


def test_the_workbook_marks_the_words_and_takes_verdicts(reports: Reports) -> None:
    import openpyxl
    from openpyxl.cell.rich_text import CellRichText, TextBlock

    _, _, path = write_audit(reports, 10, xlsx=True)
    book = openpyxl.load_workbook(path, rich_text=True)
    cells = [row[1].value for row in book.active.iter_rows(min_row=2)]
    assert isinstance(cells[1], CellRichText)
    assert [str(part) for part in cells[1] if isinstance(part, TextBlock)] == ["lbbb"]
    assert "".join(map(str, cells[2])) == "+1 lbbb\N{REPLACEMENT CHARACTER}"
    book.active.cell(2, COLUMNS.index("verdict") + 1).value = "no"
    book.save(path)
    verdicts = read_verdicts(path)
    assert [j.error for j in verdicts.judgements] == ["not stated"] and verdicts.open_rows == 3


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_sheet_with_verdicts_is_not_replaced(reports: Reports, suffix: str) -> None:
    import openpyxl

    paths = write_audit(reports, 10, xlsx=True)
    path = next(path for path in paths if path.suffix == suffix)
    write_audit(reports, 10, seed=2, xlsx=True)  # nobody has worked on it yet
    if suffix == ".csv":
        judge(path)
    else:
        book = openpyxl.load_workbook(path)
        book.active.cell(2, COLUMNS.index("comment") + 1).value = "hm"
        book.save(path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=rf"{suffix} holds verdicts or comments in \d rows.*--score"):
        write_audit(reports, 10)
    assert path.read_bytes() == before
    write_audit(reports, 10, xlsx=True, overwrite=True)
    assert path.read_bytes() != before


def test_a_sheet_that_cannot_be_read_is_not_replaced(reports: Reports) -> None:
    table, *_ = write_audit(reports, 10)
    table.write_text("verdict;entity\nok;q wave\n")
    with pytest.raises(OutputError, match="would be lost"):
        write_audit(reports, 10)


def test_the_command_scores_a_sheet(ecgkit, tmp_path: Path) -> None:
    path = sheet(
        tmp_path / "s.csv",
        *[(str(i), "lbbb", "left bundle branch block", "present", "ok") for i in range(5)],
        ("9", "secret words", "q wave", "", "present"),
    )
    done = ecgkit("extract-knowledge", "audit", "--score", path, "--errors")
    assert done.code == 0, done.err
    assert "macro F1 1.000" in done.out and "1 missed" in done.out and "secret" not in done.out + done.err
    found = ecgkit("extract-knowledge", "audit", "--score", path, "--json", "--least", 1)
    assert '"macro_f1": 0.5' in found.out and "secret" not in found.out
    neither = ecgkit("extract-knowledge", "audit")
    assert neither.code == 2 and "--score" in neither.err
