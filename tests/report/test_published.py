"""Published numbers: as printed, apart from the measured ones, compared only where everything agrees."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from ecgkit.evaluation.results.facts import Facts, LabelFacts, ProtocolFacts
from ecgkit.evaluation.results.row import ClassScore, ResultRow
from ecgkit.reporting.page.overview import overview
from ecgkit.reporting.page.write import render_report
from ecgkit.reporting.sections.published_numbers import published_numbers_section
from ecgkit.reporting.tables.published_numbers import disagreements, published_numbers, same_method
from ecgkit.reporting.tables.summary import summary_table
from tests.report.rows import make_row


def entry(method: str, task: str, share: str, source: str = "", head: str = "linear"):
    return next(
        e
        for e in published_numbers()
        if (e.method, e.task, e.share, e.label, e.head) == (method, task, share, "", head) and source in e.source
    )


def followed(protocol: str) -> Facts:
    return replace(make_row().facts, protocol=ProtocolFacts(name=protocol, title="a title"))


def agreeing(**changes) -> ResultRow:
    facts = followed("merl")
    return make_row(**({"method": "merl", "run": "merl-18", "fraction": 0.1, "facts": facts} | changes))


def test_every_number_has_its_source_and_certainty() -> None:
    assert len(published_numbers()) > 600
    for e in published_numbers():
        assert e.certainty in "ABC"
        assert len(e.certainty) == 1
        assert e.source
        if e.value is not None:
            assert 0.3 < e.value < 1
            assert e.protocol
            assert e.head


def test_numbers_are_those_of_the_tables_they_come_from(shared: Path) -> None:
    specs = shared / "specs"
    if not specs.is_dir():
        pytest.skip("the tables are not here")
    for line in csv.DictReader((specs / "heartlang_table1.csv").open()):
        for name, text in line.items():
            if name not in ("method", "kind"):
                task, _, share = name.rpartition("_")
                assert entry(line["method"], task.replace("_", "-"), f"{share} %", "HeartLang, arXiv").text == text
    names = {
        "lamae": "LAMAE",
        "lamae_e": "LAMAE_E",
        "scratch": "Scratch",
        "mmvm": "MMVM",
        "ind_p": "Ind_P",
        "ind_s": "Ind_S",
    }
    lines = list(csv.DictReader((specs / "lamae_table3.csv").open()))
    for column, method in names.items():
        own = {e.label: e.value for e in published_numbers() if (e.method, e.head) == (method, "linear") and e.label}
        assert own == pytest.approx({line["code"]: float(line[column]) for line in lines})
        mean = entry(method, "icd10-circulatory", "100 %").value
        assert mean == pytest.approx(sum(own.values()) / 49, abs=6e-5)


def test_a_difference_needs_everything_to_agree() -> None:
    theirs = entry("MERL ResNet-18", "ptbxl-super", "10 %")
    assert same_method(theirs, agreeing())
    assert disagreements(theirs, agreeing()) == ()
    fewer = agreeing().classes[:-1]
    for change, said in (
        ({"task": "ptbxl-sub"}, "task"),
        ({"fraction": 0.01}, "share"),
        ({"label_count": 1000}, "share"),
        ({"facts": followed("default")}, "protocol: merl there, default here"),
        ({"facts": Facts()}, "protocol: merl there, not stated here"),
        ({"head": "knn"}, "head"),
        ({"leads": ("I",)}, "leads"),
        ({"classes": fewer}, "classes"),
    ):
        found = disagreements(theirs, agreeing(**change))
        assert found, change
        assert said in "; ".join(found)
    assert not same_method(theirs, agreeing(weights="random-init"))
    assert not same_method(theirs, agreeing(method="stmem"))


def test_other_labels_of_the_same_name_do_not_compare() -> None:
    theirs = entry("MERL ResNet-18", "csn", "10 %")
    assert theirs.labels == "shipped"
    names = "1AVB 2AVB 2AVB1 AF AFIB ALS APB AQW ARS AT AVB CCR CR ERV JEB LBBB LVH MI PRIE PWC QTIE RBBB RVH SA SR ST"
    names += " STDD STE STTC STTU SVT TWC TWO UW VB VEB VPB WPW"
    classes = tuple(
        ClassScore(label=n, name=n, positives=9, negatives=9, train_positives=9, auroc=0.8, interval=None, auprc=0.5)
        for n in names.split()
    )
    assert any("labels" in why for why in disagreements(theirs, agreeing(task="csn", classes=classes)))
    facts = replace(followed("merl"), labels=LabelFacts(label_set="shipped"))
    assert disagreements(theirs, agreeing(task="csn", classes=classes, facts=facts)) == ()


def test_task_files_have_the_classes_that_were_published() -> None:
    from ecgkit.entries import TaskEntry
    from ecgkit.tasks.loading import load_task

    for name in ("ptbxl-super", "ptbxl-sub", "ptbxl-form", "ptbxl-rhythm"):
        classes = tuple(
            ClassScore(label=n, name=n, positives=9, negatives=9, train_positives=9, auroc=0.8, interval=None, auprc=0)
            for n in load_task(TaskEntry(name=name, summary="s", target=f"ecgkit.tasks:{name}.yaml")).labels
        )
        row = agreeing(task=name, classes=classes)
        assert disagreements(entry("MERL ResNet-18", name, "10 %"), row) == (), name


def test_published_numbers_are_a_block_of_their_own_and_never_best() -> None:
    rows = [(Path("a/row.json"), agreeing(macro_auroc=0.5)), (Path("b/row.json"), agreeing(run="b", macro_auroc=0.4))]
    found = overview(rows, summary_table(rows))
    theirs = dict(found.literature)
    (cell,) = next(cells for (method, _, source), cells in theirs.items() if method == "MERL ResNet-18")
    assert (cell.text, cell.certainty) == ("86.27", "C")
    assert cell.difference == "−36.3 merl-18; −46.3 b"
    assert sum(c.cell.best for _, cells in found.lines for c in cells) == 1
    html = render_report(rows)
    block = html[html.index('<tbody class="published">') :].partition("</tbody>")[0]
    assert "86.27" in block
    assert "<b>" not in block
    assert "(" not in "".join(cell.text for cells in theirs.values() for cell in cells if cell)
    others = [(Path("a"), agreeing(facts=followed("default")))]
    apart = overview(others, summary_table(others)).literature
    assert apart
    assert not any(c.difference for _, cells in apart for c in cells if c)


def test_side_by_side_gives_a_difference_or_the_reason() -> None:
    row = agreeing()
    beside, _, _ = published_numbers_section([(Path("a"), row), (Path("b"), agreeing(head="knn"))]).figures
    agreed, other = (dict(zip(beside.table.columns, line, strict=True)) for line in beside.table.rows[::2])
    assert agreed["difference"] == pytest.approx(100 * row.macro_auroc - 86.27, abs=0.006)
    assert agreed["why they do not compare"] == ""
    assert other["difference"] is None
    assert "head" in other["why they do not compare"]


def test_tasks_that_nobody_published_have_no_block() -> None:
    rows = [(Path("a"), make_row(task="simulated"))]
    assert published_numbers_section(rows) is None
    assert overview(rows, summary_table(rows)).literature == ()
    assert 'class="published"' not in render_report(rows)
