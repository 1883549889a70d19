"""The summary table and its forms."""

import csv
import io
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from ecgkit.evaluation.results.averages import model_names
from ecgkit.evaluation.results.facts import CheckpointFacts
from ecgkit.evaluation.results.row import PREDICTIONS, ROW, ClassScore, ResultRow
from ecgkit.evaluation.scores import comparison
from ecgkit.evaluation.scores.areas import areas
from ecgkit.evaluation.scores.comparison import ClassDifference, class_differences, compare_aurocs
from ecgkit.reporting.tables.formats import to_csv, to_json, to_latex, to_markdown
from ecgkit.reporting.tables.report_tables import report_tables
from ecgkit.reporting.tables.summary import summary_table
from tests.evaluation.test_scores import plain_delong
from tests.report.rows import make_row, write_result


def write(folder: Path, quality: float, *, seed: int = 0, records: int = 300) -> Path:
    """Write predictions of two classes: one score that all share, and noise of its own."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (records, 2))
    shared = y + rng.normal(size=(records, 2))
    scores = quality * shared + 0.3 * np.random.default_rng(seed).normal(size=(records, 2))
    frame = pd.DataFrame({"record_id": np.arange(records).astype(str), "patient_id": None, "part": "test"})
    for c, label in enumerate("AB"):
        frame[f"y_{label}"], frame[f"p_{label}"] = y[:, c], 1 / (1 + np.exp(-scores[:, c]))
    frame.sample(frac=1, random_state=seed).to_parquet(folder / PREDICTIONS)
    return folder / ROW


def results(folder: Path) -> list[tuple[Path, ResultRow]]:
    good = make_row(run="good", macro_auroc=0.83, macro_interval=(0.8, 0.86))
    same = make_row(run="same", macro_auroc=0.825, macro_interval=(0.8, 0.85))
    poor = make_row(run="poor_<b>|&%", macro_auroc=0.6, macro_interval=(0.5, 0.7))
    paths = [write(folder / "g", 1.0), write(folder / "s", 1.0, seed=2), write(folder / "p", 0.05, seed=3)]
    return list(zip(paths, (good, same, poor), strict=True))


def test_the_best_is_marked_and_what_cannot_be_told_from_it(tmp_path: Path) -> None:
    table = summary_table(results(tmp_path))
    by_run = {line[0]: cell for (line, _), cell in table.cells.items()}
    assert [cell.best for cell in by_run.values()] == [True, False, False]
    assert (by_run["same"].mark, by_run["poor_<b>|&%"].mark, by_run["good"].mark) == ("†", "", "")
    assert by_run["good"].auroc.percent == "83.0 (80.0–86.0)"


def test_seeds_are_one_line_with_their_spread(tmp_path: Path) -> None:
    rows = [(tmp_path / str(s), make_row(run="a", seed=s, macro_auroc=v)) for s, v in enumerate((0.8, 0.82, 0.84))]
    table = summary_table([*rows, (tmp_path / "f", make_row(run="a", fraction=0.01, macro_auroc=0.7))])
    (line,) = table.lines
    assert table.columns == (("ptbxl-super", "100 %"), ("ptbxl-super", "1 %"))
    assert table.cells[line, table.columns[0]].auroc.percent == "82.0 ± 2.0"
    assert not any(cell.best for cell in table.cells.values())


def trained(run: str, seed: int, value: float, settings: str = "a1") -> ResultRow:
    """A result of a pretrained run whose settings have a fingerprint."""
    row = make_row(run=run, macro_auroc=value, hashes={**make_row().hashes, "checkpoint": f"{run}{seed}"})
    return replace(row, facts=replace(row.facts, checkpoint=CheckpointFacts(training=settings, training_seed=seed)))


def test_runs_that_differ_only_in_their_seed_are_one_line(tmp_path: Path) -> None:
    rows = [trained(f"runs-simclr-s{s}", s, v) for s, v in enumerate((0.8, 0.82, 0.84))]
    other = [trained("byol-0", 0, 0.7, "b2"), trained("byol-long", 0, 0.75, "c3"), make_row(run="runs-simclr-s7")]
    table = summary_table([(tmp_path / row.run, row) for row in (*rows, *other)])
    assert [line[0] for line in table.lines] == ["runs-simclr, seeds 0, 1, 2", "byol-0", "byol-long", "runs-simclr-s7"]
    place = (table.lines[0], table.columns[0])
    assert table.cells[place].auroc.percent == "82.0 ± 2.0"
    assert table.members[place] == tuple(tmp_path / row.run for row in rows)
    listed = csv.DictReader(io.StringIO(to_csv([(tmp_path / row.run, row) for row in rows])))
    found = {(line["run"], line["model"], line["training_seed"]) for line in listed}
    assert found == {(row.run, "runs-simclr, seeds 0, 1, 2", str(s)) for s, row in enumerate(rows)}


def test_names_of_models_say_what_they_average() -> None:
    assert model_names([trained("x1", 1, 0.8), trained("b2", 2, 0.8)]) == ["st-mem, seeds 1, 2"] * 2
    twice = [trained("a0", 0, 0.8), trained("a1", 1, 0.8), trained("a3", 3, 0.8, "z"), trained("a4", 4, 0.8, "z")]
    assert model_names(twice) == ["a, seeds 0, 1"] * 2 + ["a, seeds 3, 4"] * 2
    # The same training under two names is no second seed.
    assert model_names([trained("a0", 0, 0.8), trained("again", 0, 0.8)]) == ["a0", "again"]
    many = [trained(f"s-{seed}", seed, 0.8) for seed in range(9)]
    assert set(model_names(many)) == {"s, 9 seeds"}


def test_seeds_that_draw_nothing_are_one_result(tmp_path: Path) -> None:
    rows = results(tmp_path)
    again = [(write(tmp_path / f"again{s}", 1.0), replace(rows[0][1], seed=s)) for s in (1, 2)]
    table = summary_table([*rows, *again])
    by_run = {line[0]: cell for (line, _), cell in table.cells.items()}
    assert (by_run["good"].auroc.percent, by_run["good"].seeds, by_run["good"].auroc.deviation) == (
        "83.0 (80.0–86.0)",
        3,
        None,
    )
    assert by_run["same"].mark == "†"


def test_results_of_other_data_are_never_ranked(tmp_path: Path) -> None:
    rows = results(tmp_path)
    rows[1] = rows[1][0], replace(rows[1][1], hashes={**rows[1][1].hashes, "store": "another"})
    assert not any(cell.best or cell.comparison for cell in summary_table(rows).cells.values())


def test_results_on_other_records_are_not_tested(tmp_path: Path) -> None:
    best, fewer = write(tmp_path / "a", 1.0), write(tmp_path / "b", 1.0, seed=2, records=299)
    assert compare_aurocs(best, [fewer]) == {}


def test_much_worse_results_are_told_apart_however_many_there_are(tmp_path: Path) -> None:
    best = write(tmp_path / "best", 1.0, records=240)
    others = [write(tmp_path / str(n), 0.05, seed=n, records=240) for n in range(40)]
    assert all(comparison.distinguishable for comparison in compare_aurocs(best, others).values())


def plain_class_tests(first: pd.DataFrame, second: pd.DataFrame, labels: str) -> dict[str, tuple[float, float]]:
    """By class the difference of AUROC and its p by all pairs and Student's t, and Holm's correction."""
    first, second = (frame.set_index("record_id").sort_index() for frame in (first, second))
    found = {}
    for label in labels:
        columns = (first[f"y_{label}"], first[f"p_{label}"], second[f"p_{label}"])
        found[label] = plain_delong(*(column.to_numpy() for column in columns))
    fewer = {label: min((n := first[f"y_{label}"].value_counts())[0], n[1]) for label in labels}
    p = {label: 2 * t.sf(abs(d) / math.sqrt(v), fewer[label] - 1) for label, (d, v) in found.items()}
    corrected, highest = {}, 0.0
    for left, label in zip(range(len(p), 0, -1), sorted(p, key=p.__getitem__), strict=True):
        highest = max(highest, min(1.0, left * p[label]))
        corrected[label] = highest
    return {label: (found[label][0], corrected[label]) for label in labels}


def test_classes_of_a_pair_are_tested_as_the_definitions_say(tmp_path: Path) -> None:
    rows = results(tmp_path)
    tables = report_tables(rows)
    table = tables.summary
    (best, _), *others = rows
    assert set(table.comparisons) == {path for path, _ in others}
    frames = {path: pd.read_parquet(path.parent / PREDICTIONS) for path, _ in rows}
    written = json.loads(to_json(tables))["cells"]
    lines = list(csv.DictReader(io.StringIO(to_csv([(p, replace(r, classes=ab(r))) for p, r in rows], tables))))
    for at, (path, _) in enumerate(others, 1):
        found = table.comparisons[path]
        expected = plain_class_tests(frames[best], frames[path], "AB")
        assert found.best == best
        assert {label: (d.value, d.p) for label, d in found.classes.items()} == {
            label: pytest.approx(pair, rel=1e-9) for label, pair in expected.items()
        }
        assert [(c["class"], c["behind_best"], c["p_delong"]) for c in written[at]["classes"]] == [
            (label, d.value, d.p) for label, d in found.classes.items()
        ]
        mean, *classes = lines[3 * at : 3 * at + 3]
        assert (float(mean["behind_best"]), float(mean["p"]), mean["p_delong"]) == (found.difference.value, found.p, "")
        assert [(c["class"], float(c["behind_best"]), float(c["p_delong"]), c["p"]) for c in classes] == [
            (label, d.value, d.p, "") for label, d in found.classes.items()
        ]
    assert not written[0]["classes"]
    assert not any(lines[k][name] for k in range(3) for name in ("behind_best", "p", "p_delong")), "the best itself"
    near, far = (table.comparisons[path].classes for path, _ in others)
    assert all(d.p > 0.05 for d in near.values())
    assert all(d.p < 0.05 and d.value > 0 for d in far.values())


def ab(row: ResultRow) -> tuple[ClassScore, ...]:
    return tuple(replace(score, label=label) for score, label in zip(row.classes, "AB", strict=False))


def test_a_class_that_cannot_be_tested_takes_no_part_in_the_correction() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (80, 3))
    first, second = targets + rng.normal(size=(2, 80, 3)) * [[[0.5]], [[2.0]]]
    alone = np.arange(80)

    def differences(labels: str, y: np.ndarray, columns: list[int]) -> dict[str, ClassDifference]:
        of = [areas(y[:, columns], scores[:, columns], alone) for scores in (first, second)]
        return class_differences(labels, *of)

    whole = differences("abc", targets, [0, 1, 2])
    targets[:, 1] = np.arange(80) == 0  # one positive has no variance
    found = differences("abc", targets, [0, 1, 2])
    assert list(found) == ["a", "c"]
    assert found["a"].value == whole["a"].value
    assert [d.p for d in found.values()] == pytest.approx([d.p for d in differences("ac", targets, [0, 2]).values()])


def test_every_form_holds_the_numbers_and_none_breaks_on_a_name(tmp_path: Path) -> None:
    rows = results(tmp_path)
    tables = report_tables(rows)
    markdown, latex = to_markdown(tables), to_latex(tables)
    lines = markdown.splitlines()
    assert {line.replace("\\|", "").count("|") for line in lines[:5]} == {6}
    assert "**83.0 (80.0–86.0)**" in markdown
    assert "<b>" not in markdown
    assert r"\textbf{83.0 (80.0--86.0)}" in latex
    assert r"poor\_<b>|\&\%" in latex
    cells = json.loads(to_json(tables))["cells"]
    assert [c["auroc"] for c in cells] == [0.83, 0.825, 0.6]
    assert cells[2]["p"] < 0.01
    read = list(csv.DictReader(io.StringIO(to_csv([(p, replace(r, run="=1+1")) for p, r in rows]))))
    assert read[0]["run"] == "'=1+1"
    assert float(read[0]["auroc"]) == 0.83
    assert len(read) == 3 * (1 + len(rows[0][1].classes))
    classes = {c.label: c.auroc for c in rows[0][1].classes}
    assert {line["class"]: line["auroc"] for line in read[1:6]} == {k: str(v or "") for k, v in classes.items()}


def test_the_command_writes_what_is_asked_for(tmp_path: Path, ecgkit) -> None:
    for path, row in results(tmp_path):
        path.write_text(json.dumps(asdict(row)))
    files = {
        f"--{kind}": tmp_path / f"t.{suffix}"
        for kind, suffix in (("md", "md"), ("latex", "tex"), ("csv", "csv"), ("json", "json"))
    }
    done = ecgkit("report", tmp_path, *(x for pair in files.items() for x in pair))
    assert done.code == 0, done.err
    assert all(path.stat().st_size > 100 for path in files.values())
    assert not (Path.cwd() / "report.html").exists()
    assert ecgkit("report", tmp_path, "--md", tmp_path / "t.txt").code == 2


def test_damaged_predictions_are_one_clear_error(tmp_path: Path) -> None:
    from ecgkit.errors import ResultsError

    rows = results(tmp_path)
    (rows[1][0].parent / PREDICTIONS).write_text("no")
    with pytest.raises(ResultsError, match="predictions"):
        summary_table(rows)


def test_work_grows_with_the_results_and_not_with_their_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty models on five tasks took minutes when every pair was scored and resampled anew."""
    scored: list[object] = []
    real = comparison.areas
    monkeypatch.setattr(comparison, "areas", lambda *given: scored.append(given) or real(*given))
    monkeypatch.setattr(comparison, "read_predictions", (read := Mock(wraps=comparison.read_predictions)))
    rows = []
    for number in range(12):
        path = tmp_path / str(number) / ROW
        rows.append((path, write_result(path, f"model-{number}", 1.0 + number / 20, 1.0, 0, "", number)))
    found = report_tables(rows).summary.comparisons
    assert len(found) == 11 and len(scored) == 12 and read.call_count == 12
