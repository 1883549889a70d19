"""The report page: whole, inert, self-contained, and true to the rows."""

import base64
import csv
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from ecgkit.errors import ResultsError
from ecgkit.evaluation.results.facts import Facts, ProtocolFacts
from ecgkit.evaluation.results.row import ClassScore, ResultRow
from ecgkit.reporting.page.sentences import sentences
from ecgkit.reporting.page.write import render_report, write_report
from ecgkit.reporting.tables.report_tables import report_tables
from tests.report.rows import CLASSES, FEW, ONE_SEED, make_classes, make_row, make_rows, make_training, write_study

VOID = {"meta", "link", "br", "hr", "img", "input"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&{{ 7*7 }}"


class Page(HTMLParser):
    """Collects elements with their attributes and text, and fails where tags don't match."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def of(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.elements if name == tag]

    def row(self, *starts: str) -> list[str]:
        """The first table row whose first cells start so."""
        rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]
        return next(
            r for r in rows if len(r) >= len(starts) and all(c.startswith(s) for c, s in zip(r, starts, strict=False))
        )


@pytest.fixture
def rows() -> list[tuple[Path, ResultRow]]:
    return make_rows()


@pytest.fixture
def page(rows) -> Page:
    return Page(render_report(rows, title="All runs"))


def saved_table(page: Page, title: str) -> list[dict[str, str]]:
    """The CSV that a figure offers."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] + ".csv"
    href = next(a["href"] for a in page.of("a") if a.get("download") == name)
    return list(csv.DictReader(io.StringIO(unquote(href.partition(",")[2]))))


def single(**changes) -> Page:
    return Page(render_report([(Path("runs/a/row.json"), make_row(**changes))]))


def test_it_needs_nothing_from_outside(rows):
    html = render_report(rows)
    assert not re.search(r"(?i)(https?:)?//[a-z0-9]", html)
    assert "url(" not in html
    assert "@import" not in html
    page = Page(html)
    links = [attrs[name] for _, attrs in page.elements for name in ("src", "href", "data", "action") if name in attrs]
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert links
    saved = [attrs["href"] for attrs in page.of("a") if "download" in attrs]
    assert all(link.startswith("data:text/csv;") for link in saved)
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    assert all(link.startswith("#") or link in saved for link in links)
    assert len(ids) == len(set(ids))


def test_its_policy_allows_its_own_script_only(rows):
    html = render_report(rows)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(a["content"] for a in Page(html).of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_names_are_inert():
    names = dict.fromkeys(
        ("run", "method", "preset", "weights", "store", "dataset", "task", "task_title", "head"), EVIL
    )
    evil = ClassScore(
        label=EVIL, name=EVIL, positives=0, negatives=9, train_positives=3, auroc=None, interval=None, auprc=None
    )
    page = single(
        **names,
        leads=(EVIL,),
        classes=(*make_classes(0.9), evil),
        warnings=(EVIL,),
        facts=Facts(protocol=ProtocolFacts(name=EVIL, title=EVIL), head={EVIL: EVIL}),
        contract={EVIL: [EVIL]},
        hashes={EVIL: EVIL},
        environment={EVIL: {EVIL: EVIL}},
        counts={EVIL: {EVIL: 3}},
        training=({**make_training(1)[0], EVIL: EVIL},),
    )
    assert len(page.of("script")) == 1
    assert page.of("img") == []
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert page.text.count("<script>alert(1)</script>") > 20
    assert "{{ 7*7 }}" in page.text
    assert (
        Page(render_report([(Path(f"runs/{EVIL.replace('/', '')}/row.json"), make_row())], title=EVIL)).of("img") == []
    )


def test_every_row_class_and_warning_appears(rows, page):
    for _, row in rows:
        for text in (
            row.run,
            row.task_title,
            row.weights,
            row.head,
            *row.warnings,
            *sentences(row).values(),
            *row.hashes.values(),
        ):
            assert text in page.text
        for score in row.classes:
            assert score.label in page.text
            assert score.name in page.text
    assert len([a for a in page.of("details") if "card" in a.get("class", "") and "id" in a]) == len(rows)
    assert page.text.count("What all 4 results share") == 1
    assert "5 results · 3 runs · 2 tasks" in page.text
    data = ", ".join(dict.fromkeys(f"{row.store} ({row.dataset})" for _, row in rows))
    assert f"Data: {data}" in page.text


def test_summary_shows_the_numbers_of_the_row(page):
    assert page.row("stmem-base pretrained") == [
        "stmem-base pretrained, linear, 12 leads",
        "",
        "91.290.4–92.0",
        "95.693.9–97.0",
    ]
    assert page.row("stmem-one-lead pretrained") == ["stmem-one-lead pretrained, linear, I", "83.3no interval", "", ""]
    assert page.row("stmem-base", "91.2 (") == [
        "stmem-base",
        "91.2 (90.4–92.0)4 of 5 classes2 warnings",
        "77.4",
        "pretrained",
        "linear",
        "12",
        "100 %",
        "0",
        "2,158 / 1,875",
        "412",
    ]
    assert page.row("stmem-one-lead", "83.3 no") == [
        "stmem-one-lead",
        "83.3 no interval4 of 5 classes2 warnings",
        "61.2",
        "pretrained",
        "linear",
        "1 (I)",
        "10 %",
        "3",
        "2,158 / 1,875",
        "61",
    ]


def test_numbers_by_class_are_those_of_the_row(rows, page):
    for label, score in zip(CLASSES, rows[0][1].classes, strict=True):
        at = next(i for i, row in enumerate(page.rows) if row and row[0].split()[:1] == [label])
        cells = [" ".join(cell.split()) for cell in page.rows[at + 1]]
        if score.auroc is None:
            assert cells[1] == "– no positive test record"
            continue
        low, high = score.interval
        saved = next(
            r
            for r in saved_table(page, f"{rows[0][1].task_title} by class")
            if (r["result"], r["class"]) == ("stmem-base, pretrained, linear", label)
        )
        assert float(saved["auroc"]) == pytest.approx(score.auroc, rel=1e-8)
        assert cells == [
            "stmem-base, pretrained, linear",
            f"{100 * score.auroc:.1f}",
            f"{100 * low:.1f}–{100 * high:.1f}",
            f"{100 * score.auprc:.1f}",
            "–",
            "–",
            f"{score.positives:,}",
            f"{score.negatives:,}",
            f"{score.train_positives:,}",
        ]


def test_each_class_of_a_pair_shows_its_test_beside_it(tmp_path: Path):
    rows = [pair for pair in write_study(tmp_path) if pair[1].fraction == 1 and pair[1].lead_set in ("", "I")]
    tables = report_tables(rows)
    html, comparisons = render_report(rows, tables=tables), tables.summary.comparisons
    page, saved = Page(html), saved_table(Page(html), f"{rows[0][1].task_title} by class")
    (best,) = {found.best for found in comparisons.values()}
    assert len(comparisons) == 3
    labels = {path: saved[5 * i]["result"] for i, (path, _) in enumerate(rows)}
    for label in CLASSES:
        at = next(i for i, row in enumerate(page.rows) if row and row[0].split()[:1] == [label])
        drawn = next(a["aria-label"] for a in page.of("svg") if a.get("aria-label", "").startswith(f"{label}: "))
        lines = [line for line in saved if line["class"] == label]
        for (path, _), cells, said, line in zip(rows, page.rows[at + 1 :], drawn.split("; "), lines, strict=False):
            if path == best:
                assert cells[-1] == "– reference" and said.endswith(", reference")
                assert line["compared with"] == line["p delong"] == ""
                continue
            found = comparisons[path].classes[label]
            p = f"p {found.p:.3f}" if found.p >= 0.001 else "p < 0.001"
            behind = f"{100 * found.value:+.1f}".replace("-", "−")
            assert [" ".join(cell.split()) for cell in cells[-2:]] == [behind, p]
            assert said.endswith(f", {p}")
            assert line["compared with"] == labels[best]
            assert float(line["behind it"]) == pytest.approx(found.value, rel=1e-8)
            assert float(line["p delong"]) == pytest.approx(found.p, rel=1e-8)
    untested = render_report(rows, tables=report_tables(rows, tests=False))
    assert "DeLong" in page.text and "DeLong" not in untested and "reference</small>" not in untested


def test_marks_of_the_figure_lie_where_the_numbers_say(rows):
    html = render_report(rows[:1])
    line = re.search(r'class="track"[^>]*aria-label="MI:.*?</svg>\s*<p', html, re.DOTALL)[0]
    ticks = dict(re.findall(r'<text x="([\d.]+)%" y="14" text-anchor="middle">(\d+)</text>', html))
    (x0, v0), *_, (x1, v1) = sorted((float(x), float(v)) for x, v in ticks.items())
    score = rows[0][1].classes[1]

    def drawn(pattern: str) -> float:
        return v0 + (float(re.search(pattern, line)[1]) - x0) / (x1 - x0) * (v1 - v0)

    assert drawn(r'<svg x="([\d.]+)%"') == pytest.approx(100 * score.auroc, abs=0.02)
    assert drawn(r'class="whisker c0" x1="([\d.]+)%"') == pytest.approx(100 * score.interval[0], abs=0.02)
    assert drawn(r'class="whisker c0" x1="[\d.]+%" x2="([\d.]+)%"') == pytest.approx(100 * score.interval[1], abs=0.02)
    assert drawn(r'class="chance" x1="([\d.]+)%"') == pytest.approx(50)


def test_unscored_classes_are_named_with_their_reason(page):
    assert "HYP Hypertrophy: no positive test record" in page.text
    partly = make_classes(0.8)[:-1]
    text = Page(
        render_report(
            [(Path("a/row.json"), make_row(run="a")), (Path("b/row.json"), make_row(run="b", classes=partly))]
        )
    ).text
    assert "HYP Hypertrophy: no positive test record (a), not among the classes of the result (b)" in text


def test_the_best_of_each_task_is_marked(rows):
    html = render_report(rows)
    assert re.findall(r"<b>([\d.]+)</b></a>", html) == ["91.2"]  # one result alone is no best


def test_no_best_among_results_that_do_not_compare(rows):
    path, row = rows[0]
    other = make_row(run="other", macro_auroc=0.99, counts={"test": {"records": 12, "patients": 12}})
    html = render_report([(path, row), (Path("x/row.json"), other)])
    assert not re.findall(r"<b>([\d.]+)</b></a>", html)
    assert "Not all of these results were scored on the same test records" in html


def test_warnings_stand_before_the_figure_and_name_their_results(rows, page):
    text = page.text
    assert text.index("Before relying on these numbers") < text.index("AUROC × 100 by class")
    assert f"{FEW} {ONE_SEED} stmem-base, pretrained, linear; stmem-base, random-init, linear" in text
    assert "Before relying" not in single(warnings=()).text


def test_missing_numbers_are_dashes_with_a_reason():
    nan = float("nan")
    classes = tuple(
        ClassScore(
            label=name, name=name, positives=p, negatives=n, train_positives=0, auroc=auroc, interval=None, auprc=None
        )
        for name, p, n, auroc in (("A", 0, 9, None), ("B", 9, 0, nan), ("C", 4, 5, None))
    )
    page = single(
        macro_auroc=None,
        macro_interval=(nan, nan),
        macro_auprc=nan,
        classes=classes,
        counts={},
        seconds=nan,
        training=({"loss": nan},),
    )
    assert page.row("stmem-base", "– no")[:3] == [
        "stmem-base",
        "– no class could be scored0 of 3 classes2 warnings",
        "– not scored",
    ]
    for reason in ("A A: no positive test record", "B B: no negative test record", "C C: the result holds no number"):
        assert reason in page.text
    assert not re.search(r"\b(nan|None)\b", page.text)


def test_losses_are_drawn_once_a_run_with_their_numbers(rows, page):
    lines = page.of("polyline")  # base trained once, probed three times
    assert [a["class"] for a in lines] == ["curve solid c0", "curve dashed c1"] * 2
    assert len(lines[0]["points"].split()) == 40
    assert page.row("40", f"{68 * 40}")[3] == f"{rows[0][1].training[-1]['train_loss']:.6g}"
    assert float(saved_table(page, "stmem-base: loss by epoch")[-1]["train_loss"]) == pytest.approx(
        rows[0][1].training[-1]["train_loss"], rel=1e-8
    )


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_any_number_of_epochs_can_be_drawn(epochs):
    page = single(training=make_training(epochs))
    points = page.of("polyline")[0]["points"].split()
    assert len(points) == epochs
    assert all(0 <= float(c) <= 1000 for point in points for c in point.split(","))


def test_a_missing_loss_breaks_the_curve():
    training = [dict(epoch) for epoch in make_training(9)]
    training[4]["val_loss"] = None
    training[8]["val_loss"] = float("inf")
    lengths = [len(a["points"].split()) for a in single(training=tuple(training)).of("polyline")]
    assert lengths == [9, 4, 3]


def test_results_of_one_run_keep_different_labels():
    twice = [(Path(f"{i}/row.json"), make_row(seed=i // 2)) for i in range(4)]
    page = Page(render_report(twice))
    labels = {row[0].strip() for row in page.rows if row and row[0].startswith("stmem-base, seed")}
    assert labels == {f"stmem-base, seed {seed} ({n})" for seed in (0, 1) for n in (1, 2)}


def test_headers_sort_and_figures_have_words(page):
    heads = [a for a in page.of("th") if "data-kind" in a]
    assert len(heads) == len(page.of("button")) > 20
    figures = [a for a in page.of("svg") if a.get("role") == "img"]
    assert len(figures) == 2 * 5 + 2
    assert all(a["alt"] for a in page.of("img"))
    assert all(a["aria-label"] for a in figures)
    assert len(page.of("caption")) == len(page.of("table"))


def test_many_results_and_low_scores_fit():
    many = [(Path(f"{i}/row.json"), make_row(run=f"r{i}", classes=make_classes(0.05 + 0.03 * i))) for i in range(31)]
    page = Page(render_report(many))
    assert all(0 <= float(a["x"].rstrip("%")) <= 100 for a in page.of("svg") if "%" in a.get("x", ""))


def test_same_rows_give_the_same_bytes(rows, tmp_path):
    for name in ("a.html", "b.html"):
        write_report(rows, tmp_path / name, title="Größe")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert "Größe" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_paths_tell_nothing_of_the_machine(tmp_path):
    rows = [(tmp_path / "runs" / run / "row.json", make_row(run=run)) for run in ("a", "b")]
    html = render_report(rows)
    assert str(tmp_path) not in html
    assert "runs/a/row.json" in html


@pytest.mark.slow
def test_two_hundred_results_stay_below_two_megabytes():
    tasks = {f"task-{t}": [f"C{c}" for c in range(n)] for t, n in enumerate((5, 23, 19, 12, 9, 38))}
    rows = []
    for i in range(200):
        task, labels = list(tasks.items())[i % 6]
        run, fraction = f"model-{i // 18}", (0.01, 0.1, 1.0)[i // 6 % 3]
        score = make_classes(0.9)[i % 4]
        classes = tuple(replace(score, label=label, name=f"a class of the task {label}") for label in labels)
        row = make_row(
            run=run,
            task=task,
            task_title=task,
            fraction=fraction,
            classes=classes,
            training=make_training(100),
            macro_auroc=0.7 + i / 1000,
        )
        rows.append((Path(f"{i}/row.json"), row))
    html = render_report(rows)
    assert len(html.encode()) < 2_000_000
    assert html.count('id="result-') == 200


def test_failures_leave_no_file(tmp_path):
    with pytest.raises(ResultsError, match="no result row"):
        write_report([], tmp_path / "page.html")
    with pytest.raises(AttributeError):
        write_report([(Path("a/row.json"), None)], tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_the_head_names_the_data_and_the_days_of_the_results():
    from ecgkit.reporting.page.write import _days, _stores

    days = ("2026-11-29", "2026-12-02", "2026-11-30")
    rows = [(Path(day), replace(make_row(), environment={"date": day}, store=f"{day}.zarr")) for day in days]
    assert _days(rows) == "2026-11-29 to 2026-12-02"
    assert _days(rows[:1]) == "2026-11-29"
    assert _days([(Path("old"), replace(make_row(), environment={}))]) == ""
    assert _stores(rows * 2, []).count(".zarr") == 3
    many = [(path, replace(row, store=f"{n}.zarr")) for n, (path, row) in enumerate(rows * 3)]
    assert _stores(many, []).endswith(" and 5 more")
