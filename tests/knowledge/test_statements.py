"""Statements: what a report is cut into, and that equal ones are one."""

from hypothesis import given
from hypothesis import strategies as st

from ecgkit.knowledge.statements import clean, corpus_of, split_statements


def test_lines_semicolons_and_sentences_end_a_statement() -> None:
    report = "Sinus rhythm.  Normal ECG.\n*** Abnormal ECG ***; LVH\r\nstep"
    assert split_statements(report) == ["sinus rhythm", "normal ecg", "abnormal ecg", "lvh", "step"]


def test_abbreviations_numbers_and_leads_do_not_confuse_it() -> None:
    assert split_statements("inferiorer infarkt alter unbest. möglich") == ["inferiorer infarkt alter unbest. möglich"]
    assert split_statements("AV-Block 1. Grades. PR interval 0.24 seconds") == [
        "av-block 1. grades",
        "pr interval 0.24 seconds",
    ]
    assert split_statements("st depressed in i, v5,6. this may be strain") == [
        "st depressed in i, v5,6",
        "this may be strain",
    ]
    assert split_statements("q in avl. t flat") == ["q in avl", "t flat"]


def test_cleaning_joins_what_looks_equal() -> None:
    decomposed = "MO\u0308GLICH   "
    assert clean(decomposed) == clean("  mÖglich") == "möglich"


def test_equal_texts_are_read_once() -> None:
    corpus = corpus_of(["Sinus rhythm\nNormal ECG", "sinus rhythm.", "", "SINUS RHYTHM\nsinus rhythm"])
    assert corpus.texts == ("sinus rhythm", "normal ecg")
    assert corpus.records == ((0, 1), (0,), (), (0,))
    assert corpus.counts.tolist() == [3, 1]
    assert corpus.repeats == 2
    whole = corpus_of(["A. B", "a.  b", " "], "report")
    assert whole.texts == ("a. b",)
    assert whole.records == ((0,), (0,), ())


@given(st.lists(st.text(max_size=40), max_size=8))
def test_no_text_is_lost_and_every_index_fits(reports: list[str]) -> None:
    corpus = corpus_of(reports)
    assert len(corpus.records) == len(reports)
    assert sorted({i for record in corpus.records for i in record}) == list(range(len(corpus.texts)))
    for report, record in zip(reports, corpus.records, strict=True):
        assert {corpus.texts[i] for i in record} == set(split_statements(report))
        assert all(clean(corpus.texts[i]) == corpus.texts[i] for i in record)
