"""The sections of the page: shown only where rows hold their data, and true to it."""

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgkit.entries import SectionEntry
from ecgkit.errors import PluginError, ResultsError
from ecgkit.evaluation.results.facts import Facts, facts_of_old_row
from ecgkit.evaluation.results.row import PREDICTIONS, ResultRow
from ecgkit.plugins import host
from ecgkit.reporting.elements.geometry import place
from ecgkit.reporting.elements.section import Figure, HeatMap, Plot, Point, Section, Series, Table
from ecgkit.reporting.page import write as page
from ecgkit.reporting.page.protocol import card, own, shared, unstated
from ecgkit.reporting.sections.calibration import calibration_section
from ecgkit.reporting.sections.confusion import confusion_section
from ecgkit.reporting.sections.cost import cost_section
from ecgkit.reporting.sections.efficiency import efficiency_section
from ecgkit.reporting.sections.layers import layers_section
from ecgkit.reporting.sections.leads import leads_section
from tests.report.rows import make_row, make_training, write_layers, write_study

Rows = list[tuple[Path, ResultRow]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return write_study(tmp_path_factory.mktemp("study"))


def test_a_single_result_has_no_section_that_compares() -> None:
    alone = [(Path("runs/a/probes/x/row.json"), make_row())]
    for make in (efficiency_section, leads_section, layers_section, calibration_section, confusion_section):
        assert make(alone) is None, make.__name__


def test_label_efficiency_is_a_curve_a_model_over_training_records(study: Rows) -> None:
    (figure,) = efficiency_section(study).figures
    assert [series.name for series in figure.chart.series] == ["stmem-tiny", "clear-tiny"]
    at_1 = [100 * row.macro_auroc for _, row in study if row.run == "stmem-tiny" and row.fraction == 0.01]
    first, _, last = figure.chart.series[0].points
    assert (first.x, last.x) == (171, 17084)
    assert first.y == pytest.approx(np.mean(at_1))
    assert first.high - first.y == pytest.approx(np.std(at_1, ddof=1))
    assert last.y == pytest.approx(100 * study[6][1].macro_auroc)
    assert (last.low, last.high) == pytest.approx([100 * v for v in study[6][1].macro_interval])
    assert len(figure.table.rows) == 14


def test_label_counts_are_a_curve_too() -> None:
    rows = [
        (
            Path(f"{n}/row.json"),
            make_row(label_count=n, macro_auroc=0.6 + n / 1000, counts={"train": {"records": n + 1, "patients": n}}),
        )
        for n in (10, 100, 30)
    ]
    (figure,) = efficiency_section(rows).figures
    assert [point.x for point in figure.chart.series[0].points] == [11, 31, 101]


def test_lead_sets_are_lines_of_a_map_a_model(study: Rows) -> None:
    first, _ = leads_section(study).figures
    heat = first.chart
    assert isinstance(heat, HeatMap)
    assert heat.lines == ("all 12", "limb", "chest", "I II", "I")
    assert heat.columns[-1] == "ptbxl-super"
    row = next(row for _, row in study if row.run == "stmem-tiny" and row.lead_set == "limb")
    assert heat.values[1][-1] == row.macro_auroc
    assert heat.values[1][0] is None
    assert heat.texts[1][-1].startswith(f"{100 * row.macro_auroc:.1f}\n")


def test_layers_are_read_from_the_study_beside_the_probes(study: Rows, tmp_path: Path) -> None:
    path = tmp_path / "run" / "probes" / "x" / "row.json"
    file = write_layers(tmp_path / "run", layers=4)
    (figure,) = layers_section([(path, make_row())]).figures
    assert [series.name for series in figure.chart.series] == ["val", "test"]
    assert [point.x for point in figure.chart.series[0].points] == [1, 2, 3, 4]
    assert figure.chart.series[0].points[1].y == pytest.approx(81.2)
    assert "highest on val in layer 2" in figure.alt
    file.write_text("layer\n1\n")
    with pytest.raises(ResultsError, match=r"layers\.csv cannot be read"):
        layers_section([(path, make_row())])


def test_calibration_draws_what_the_rows_hold(study: Rows) -> None:
    (figure,) = calibration_section(study[:2]).figures
    diagonal, *curves = figure.chart.series
    assert diagonal.style == "reference"
    by_name = {series.name.rpartition(" (ECE")[0]: series for series in curves}
    held = study[0][1].calibration
    drawn = next(s for name, s in by_name.items() if name.endswith("seed 0"))
    assert [(p.x, p.y) for p in drawn.points] == list(zip(held["predicted"], held["observed"], strict=True))
    assert f"(ECE {held['ece']:.3f})" in drawn.name


def test_confusion_counts_records_as_a_plain_loop_does(study: Rows) -> None:
    predicted, together = confusion_section(study).figures
    best, row = max(study, key=lambda pair: pair[1].macro_auroc)
    frame = pd.read_parquet(best.parent / PREDICTIONS)
    for name, other, records, both, said in predicted.table.rows:
        of = frame[frame[f"y_{name}"] == 1]
        threshold = next(score.threshold for score in row.classes if score.label == other)
        assert records == len(of)
        assert both == (of[f"y_{other}"] == 1).sum()
        assert said == (of[f"p_{other}"] >= threshold).sum()
    assert all(together.chart.values[i][i] == 1 for i in range(len(together.chart.lines)))


def test_predictions_without_a_class_are_one_clear_error(study: Rows, tmp_path: Path) -> None:
    path, row = study[0]
    frame = pd.read_parquet(path.parent / PREDICTIONS).drop(columns="p_MI")
    frame.to_parquet(tmp_path / PREDICTIONS)
    with pytest.raises(ResultsError, match="lacks predictions of 'MI'"):
        confusion_section([(tmp_path / "row.json", row)])


def test_cost_sums_the_training_behind_a_result() -> None:
    rows = [(Path("a/row.json"), make_row(training=make_training(4), seconds=3.25))]
    (figure,) = cost_section(rows).figures
    line = dict(zip(figure.table.columns, figure.table.rows[0], strict=True))
    assert (line["result s"], line["epochs"], line["training s"]) == (3.25, 4, 33.0)
    assert (line["training records/s"], line["device"]) == (2113.4, "cpu")


def test_cards_hold_apart_what_results_share_and_what_they_do_not_say() -> None:
    a, b = make_row(), make_row(seed=1)
    cards = [card(a, "a/row.json"), card(b, "b/row.json")]
    common = shared(cards)
    assert common["Hashes"] == a.hashes
    assert "seed" not in common["Result"]
    for whole in cards:
        rest = own(whole, common)
        assert "Hashes" not in rest
        merged = {heading: {**common.get(heading, {}), **rest.get(heading, {})} for heading in whole}
        assert merged == whole
    assert shared(cards[:1]) == {}
    assert unstated(a) == []
    assert unstated(make_row(facts=Facts())) == ["protocol", "split", "labels", "departures"]
    assert unstated(make_row(facts=facts_of_old_row({"Split": "folds"}))) == [
        "protocol",
        "labels",
        "checkpoint selection",
        "departures",
    ]


def test_curves_lie_where_their_numbers_say() -> None:
    points = (Point(10, 50.0, 40.0, 60.0), Point(100, None), Point(1000, 80.0))
    chart = place(Plot("n", "auroc", (Series("a", points),), log_x=True))
    (curve,) = chart.curves
    assert len(curve.pieces) == 2
    first, last = curve.spots
    ticks = [(100 - at, float(text)) for at, text in chart.y.ticks]
    (y0, v0), (y1, v1) = ticks[0], ticks[-1]
    for spot, low, value, high in ((first, 40, 50, 60), (last, None, 80, None)):
        assert v0 + (spot.y - y0) / (y1 - y0) * (v1 - v0) == pytest.approx(value, abs=0.1)
        if low is not None:
            assert v0 + (spot.low - y0) / (y1 - y0) * (v1 - v0) == pytest.approx(low, abs=0.1)
            assert v0 + (spot.high - y0) / (y1 - y0) * (v1 - v0) == pytest.approx(high, abs=0.1)
    assert (first.x, last.x) == (4, 96)
    assert chart.x.at(100) == 50
    assert place(Plot("n", "auroc", (Series("a", (Point(1, None),)),))) is None


def test_csv_is_whole_and_starts_no_formula() -> None:
    text = Table(("a", "=b"), ((1.23456789012, "=1+1"), (None, 'x,\n"y"'), (float("nan"), "@z"))).csv()
    assert text == 'a,\'=b\n1.23456789,\'=1+1\n,"x,\n""y"""\n,\'@z\n'


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Put a section of a plugin in the place of all others."""

    def install(make: object) -> None:
        entry = SectionEntry(name="mine", summary="s", target="nowhere:f")
        monkeypatch.setattr(SectionEntry, "load", lambda self: make)
        monkeypatch.setattr(type(host()), "entries", lambda self, kind: {"mine": entry})
        monkeypatch.setattr(type(host()), "owner", lambda self, entry: type("P", (), {"name": "theirs"}))

    return install


def test_a_plugin_adds_a_section_whose_text_is_inert(plugin) -> None:
    evil = "<script>alert(1)</script>"
    table = Table((evil,), ((evil,),))
    plugin(
        lambda rows: Section(
            evil,
            (
                Figure(evil, evil, HeatMap(evil, (evil,), (evil,), ((0.5,),), ((evil,),), 0, 1), table, evil),
                Figure(evil, evil, None, table),
            ),
            evil,
        )
    )
    html = page.render_report([(Path("a/row.json"), make_row())])
    assert html.count("<script>") == 1
    assert html.count("&lt;script&gt;alert(1)") > 8
    plugin(lambda rows: None)
    assert 'id="section-1"' not in page.render_report([(Path("a/row.json"), make_row())])


def test_a_section_that_fails_is_named(plugin, tmp_path: Path) -> None:
    rows = [(Path("a/row.json"), make_row())]
    plugin(lambda rows: 1 / 0)
    with pytest.raises(PluginError, match=r"'mine' of theirs failed \(ZeroDivisionError"):
        page.write_report(rows, tmp_path / "page.html")
    plugin(lambda rows: "<p>")
    with pytest.raises(PluginError, match="gave a str"):
        page.write_report(rows, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_our_own_sections_come_in_through_the_hook(study: Rows) -> None:
    titles = [section.title for section in page.registered_sections(study)]
    assert titles == [
        "Label efficiency",
        "Leads",
        "Calibration",
        "Confusion and co-occurrence",
        "Training",
        "Time and throughput",
        "Published numbers",
    ]


@pytest.mark.slow
def test_the_command_draws_examples_of_the_store_that_results_are_of(
    cohort_store: Path, tmp_path: Path, ecgkit
) -> None:
    from ecgkit.store.reader import Store

    store = Store(cohort_store)
    ids = store.table["record_id"].tolist()[:40]
    rows = write_study(tmp_path / "runs")[:2]
    for path, row in rows:
        frame = pd.read_parquet(path.parent / PREDICTIONS).head(40).assign(record_id=ids)
        frame.loc[3, ["y_MI", "p_MI"]] = [1, 1e-6]  # by far the surest error
        frame.to_parquet(path.parent / PREDICTIONS)
        values = json.loads(path.read_text())
        values["hashes"]["store"] = store.content_hash
        path.write_text(json.dumps(values))
        assert replace(row, hashes={**row.hashes, "store": store.content_hash}).run == "stmem-tiny"
    out = tmp_path / "page.html"
    folders = [path.parent for path, _ in rows]
    done = ecgkit("report", *folders, "--examples", cohort_store, "--no-tests", "--out", out)
    assert done.code == 0, done.err
    html = out.read_text()
    assert html.count('src="data:image/png;base64,') == 6
    assert f"record {ids[3]}" in html
    reports = [text for text in store.table["report"].head(40) if text]
    assert reports
    assert not any(text in html for text in reports)
    first = out.read_bytes()
    ecgkit("report", *folders, "--examples", cohort_store, "--no-tests", "--out", out)
    assert out.read_bytes() == first


def test_examples_of_another_store_are_refused(cohort_store: Path, tmp_path: Path, ecgkit) -> None:
    path, _ = write_study(tmp_path / "runs")[0]
    done = ecgkit("report", path.parent, "--examples", cohort_store, "--no-tests", "--out", tmp_path / "page.html")
    assert done.code == 2
    assert "no result with classes and predictions was made on" in done.err
    assert not (tmp_path / "page.html").exists()
    assert ecgkit("report", path.parent, "--examples", cohort_store, "--md", tmp_path / "t.md").code == 2


def test_the_plugin_of_the_docs_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
    (tmp_path / "my_plugin.py").write_text(text.split("```python\n")[2].partition("```")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    entries: list[SectionEntry] = []
    module = importlib.import_module("my_plugin")
    module.register_report_sections(entries.append)
    section = entries[0].load()([(Path("a/row.json"), make_row())])
    assert section.figures[0].table.rows == (("ptbxl-super", 963 + 550 + 521 + 496),)
