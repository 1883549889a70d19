"""The part of the page about runs without a result, and a page of such runs alone."""

import json
from pathlib import Path

import pandas as pd
import pytest

import ecgkit as library
from ecgkit.atomic import mark
from ecgkit.config import write_yaml
from ecgkit.errors import ResultsError
from ecgkit.evaluation.results.row import save_row
from ecgkit.reporting.elements.section import Section
from ecgkit.reporting.sections.runs import Trained, runs_section
from tests.report.rows import make_row, make_training

DETAILS = {
    "method": "stmem",
    "preset": "tiny",
    "config": {"width": 128, "signal": {"leads": ["I", "II"]}, "recipe": {"epochs": 8, "batch_size": 16, "lr": 0.016}},
    "seed": 3,
    "precision": "bf16",
    "store": {"name": "ptbxl.zarr", "path": "/home/someone/ptbxl.zarr", "dataset": "ptb-xl", "sha256": "4de1"},
    "records": {"train": 353, "val": 81, "held_out": 66},
    "environment": {"device": "CPU, 1 thread"},
}


def write_run(folder: Path, epochs: int = 8, kind: str = "run", **changes: object) -> Path:
    folder.mkdir(parents=True)
    mark(folder, kind)
    write_yaml(folder / "config.yaml", {**DETAILS, **changes})
    lines = [json.dumps(epoch) + "\n" for epoch in make_training(epochs)]
    (folder / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def table(section: Section, title: str) -> dict[str, dict[str, object]]:
    """Return each line of a table under its first cell, as a dictionary of its cells by column name."""
    found = next(figure.table for figure in section.figures if figure.title == title)
    return {str(row[0]): dict(zip(found.columns, row, strict=True)) for row in found.rows}


def test_a_run_shows_losses_settings_data_and_cost() -> None:
    section = runs_section([Trained("a", "finished", DETAILS, make_training(8))])
    losses = [epoch["val_loss"] for epoch in make_training(8)]
    learnt = table(section, "Data and losses")["a"]
    assert (learnt["training records"], learnt["validation records"], learnt["epochs"]) == (353, 81, "8 of 8")
    assert (learnt["first validation loss"], learnt["lowest validation loss"]) == (losses[0], min(losses))
    assert learnt["in epoch"] == 1 + losses.index(min(losses))
    cost = table(section, "Cost")["a"]
    assert (cost["batch"], cost["training s"], cost["training records/s"]) == (16, round(8 * 8.251, 1), 2113.4)
    settings = table(section, "a: settings and data")
    assert settings["config.recipe.lr"]["value"] == 0.016
    assert settings["config.signal.leads"]["value"] == "I, II"
    assert settings["store.sha256"]["value"] == "4de1"
    assert "store.path" not in settings, "a page that is sent to others names no place on this disk"
    curves = next(figure.chart for figure in section.figures if figure.title == "a: loss by epoch")
    assert [point.y for point in curves.series[1].points] == losses


def test_a_run_without_epochs_has_its_settings() -> None:
    imported = {"method": "ecgfounder", "config": {"leads": 12}, "imported": {"file": "12lead.pth"}}
    section = runs_section([Trained("weights", "imported", imported, ())])
    learnt = table(section, "Data and losses")["weights"]
    assert (learnt["state"], learnt["epochs"], learnt["lowest validation loss"]) == ("imported", None, None)
    assert table(section, "weights: settings and data")["imported.file"]["value"] == "12lead.pth"
    assert not [figure for figure in section.figures if "loss by epoch" in figure.title]
    assert runs_section([]) is None


def test_a_page_of_runs_alone(ecgkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("runs/stmem"))
    write_run(Path("runs/study/other.partial"), epochs=3, kind="unfinished run")
    write_run(Path("runs/.trash/discarded"))
    done = ecgkit("report")
    assert done.code == 0
    assert "no result yet; report.html shows the runs" in done.out
    html = Path("report.html").read_text(encoding="utf-8")
    assert "2 runs without a result" in html
    assert "ptbxl.zarr (ptb-xl)" in html
    assert "study/other: loss by epoch" in html
    assert "3 of 8" in html
    assert "discarded" not in html
    assert "Every result" not in html
    assert "/home/someone" not in html
    first = Path("report.html").read_bytes()
    assert ecgkit("report", "runs", "--out", "again.html").code == 0
    assert Path("again.html").read_bytes() == first


def test_a_run_with_a_result_is_not_listed_again(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/probed")
    write_run(tmp_path / "runs/elsewhere", epochs=5)
    write_run(tmp_path / "runs/alone", epochs=4)
    for file, epochs in (("runs/probed/probes/x", 2), ("results/y", 5)):
        save_row(tmp_path / file, make_row(training=make_training(epochs)), pd.DataFrame({"record_id": ["1"]}))
    out = tmp_path / "page.html"
    rows = library.report([tmp_path / "runs", tmp_path / "results"], out=out, tests=False)
    assert len(rows) == 2
    html = out.read_text(encoding="utf-8")
    assert "1 run without a result" in html
    assert "alone: settings and data" in html
    assert "probed: settings and data" not in html
    assert "elsewhere: settings and data" not in html


@pytest.mark.parametrize("options", [{"csv": "a.csv"}, {"out": "a.html", "data": "a.zarr"}])
def test_tables_of_results_need_a_result(tmp_path: Path, options: dict[str, str]) -> None:
    write_run(tmp_path / "runs/stmem")
    given = {name: tmp_path / file for name, file in options.items()}
    with pytest.raises(ResultsError, match=r"no result below .*ecgkit probe"):
        library.report(tmp_path / "runs", **given)
    assert not list(tmp_path.glob("a.*"))
