"""Suites: what a file says becomes probes; what is done is skipped, what fails is named, and kill -9 loses no row."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ecgkit.errors import ConfigError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.row import find_rows
from ecgkit.evaluation.suites import run as suite_run
from ecgkit.evaluation.suites.file import SHIPPED, SuiteHead, read_suite, requests_of
from ecgkit.evaluation.suites.places import Places
from ecgkit.evaluation.suites.run import run_suite
from tests.conftest import Outcome

SMALL = ("width=16", "depth=1", "heads=1", "head_width=16", "signal.eval_starts=[0.5]")
MODEL = {"method": "stmem", "weights": "random-init", "preset": "tiny", "settings": list(SMALL)}


@pytest.fixture(autouse=True)
def no_runs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders without a run keep their features below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECGKIT_CACHE", raising=False)


def write(path: Path, values: dict[str, object]) -> str:
    path.write_text(yaml.safe_dump(values))
    return str(path)


@pytest.fixture
def grid(tmp_path: Path, cohort_store: Path) -> str:
    return write(
        tmp_path / "grid.yaml",
        {
            "runs": [MODEL],
            "stores": {"cohort": str(cohort_store)},
            "tasks": [{"task": "simulated", "store": "cohort"}],
            "heads": ["linear", {"head": "knn", "settings": ["k=[5]"]}],
            "fractions": {50: 2, 100: 1},
        },
    )


def test_the_six_are_six_tasks_at_three_fractions(tmp_path: Path) -> None:
    suite = read_suite("six")
    assert [task.task for task in suite.tasks] == [
        "ptbxl-super",
        "ptbxl-sub",
        "ptbxl-form",
        "ptbxl-rhythm",
        "cpsc2018",
        "csn",
    ]
    assert suite.fractions == {1.0: 5, 10.0: 3, 100.0: 1}
    known = replace(suite, runs=(EncoderChoice(run="r"),), stores=dict.fromkeys(("ptbxl", "cpsc2018", "csn"), "s"))
    assert len(requests_of(known)) == 6 * 9
    some = replace(known, stores={"ptbxl": "s"})
    assert some.left_out() == {"cpsc2018": "cpsc2018", "csn": "csn"}
    assert len(requests_of(some)) == 4 * 9
    assert [file.name for file in SHIPPED.iterdir() if file.name.endswith(".yaml")] == ["six.yaml"]


def test_a_suite_takes_from_its_base_what_it_does_not_say(tmp_path: Path) -> None:
    suite = read_suite(
        write(tmp_path / "a.yaml", {"base": "six", "runs": ["x"], "fractions": [1, 10, 30], "leads": [12, "limb"]})
    )
    assert (suite.runs, len(suite.tasks)) == ((EncoderChoice(run="x"),), 6)
    assert suite.fractions == {1.0: None, 10.0: None, 30.0: None}
    some = replace(suite, stores={"csn": "s"}, leads=("",))
    asked = [(asked.amount.percent, asked.seeds, asked.seed) for asked in requests_of(some)]
    assert asked == [*((1, 5, seed) for seed in range(5)), *((10, 3, seed) for seed in range(3)), (30, 1, 0)]
    assert suite.leads == ("12", "limb")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tsaks": []}, "unknown key 'tsaks'"),
        ({"tasks": [{"task": "simulated", "stroe": "x"}]}, "unknown key 'stroe'"),
        ({"tasks": "simulated"}, "a list"),
        ({"fractions": {"all": 1}}, "fractions holds 'all'"),
        ({"fractions": {10: True}}, "gets True draws"),
        ({"fractions": [200]}, "fractions: 200"),
        ({"fractions": {10: 0}}, "10 with 0 draws"),
        ({"leads": ["I+XX"]}, "I\\+XX"),
        ({"base": "seven"}, "no suite 'seven'"),
        ({"base": "../six"}, "no suite"),
        ({"runs": []}, "a suite without runs"),
        ({"stores": {}}, "no store for any task"),
        ({"runs": [{"method": "stmem"}]}, "no model to probe"),
    ],
)
def test_what_a_suite_refuses(grid: str, tmp_path: Path, values: dict[str, object], message: str) -> None:
    changed = {"base": grid, **values}
    with pytest.raises(ConfigError, match=message):
        requests_of(read_suite(write(tmp_path / "wrong.yaml", changed)))


def test_a_suite_that_is_its_own_base_ends(tmp_path: Path) -> None:
    name = str(tmp_path / "loop.yaml")
    write(Path(name), {"base": name})
    with pytest.raises(ConfigError, match="its own base"):
        read_suite(name)


@pytest.mark.slow
def test_a_grid_is_run_once_resumed_and_tabulated(
    grid: str, tmp_path: Path, cohort_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, out, told = requests_of(read_suite(grid)), tmp_path / "out", []
    assert len(wanted) == 2 * 3
    prepared = []
    real = suite_run.Probe
    monkeypatch.setattr(suite_run, "Probe", lambda *a, **k: prepared.append(a) or real(*a, **k))
    first = run_suite(wanted, out, progress=lambda *news: told.append(news))
    assert (len(first.rows), first.skipped, first.failed) == (6, 0, {})
    assert [news[1] for news in told if news[0] == "probes"] == [0, 1, 2, 3, 4, 5, 6]
    # Weights of an untrained encoder are drawn from the seed: two seeds, two heads.
    assert len(prepared) == 4
    table = pd.read_parquet(out / "results.parquet")
    for folder, row in first.rows:
        own = table[table["folder"] == str(folder)]
        mean = own[(own["label"] == "") & (own["metric"] == "auroc")].iloc[0]
        assert mean["value"] == row.macro_auroc
        assert (mean["low"], mean["high"]) == row.macro_interval
        for score in row.classes:
            line = own[(own["label"] == score.label) & (own["metric"] == "auroc")].iloc[0]
            assert (line["value"] if score.auroc is not None else None) == score.auroc
            assert line["positives"] == score.positives
        assert (own["checkpoint"] == row.hashes["checkpoint"]).all()
        assert (own["split_sha256"] == row.hashes["split"]).all()
    fractions = {round(row.fraction, 1) for _, row in first.rows}
    assert fractions == {0.5, 1.0}
    assert {row.seed for _, row in first.rows if row.fraction < 1} == {0, 1}
    assert len(find_rows([out])) == 6

    again = run_suite(wanted, out)
    assert (len(again.rows), again.skipped, len(prepared)) == (6, 6, 4)
    # A damaged row is made anew, the others are kept.
    (again.rows[0][0] / "row.json").write_text("{")
    third = run_suite(wanted, out)
    assert (len(third.rows), third.skipped, len(prepared)) == (6, 5, 5)

    # A cell at 100 % is the row that a single probe gives.
    encoder = EncoderChoice(**{**MODEL, "settings": SMALL})
    single = Probe(ProbeRequest(str(cohort_store), "simulated", encoder, cache=None)).run(tmp_path / "single")
    whole = next(row for _, row in first.rows if row.fraction == 1 and row.head == "linear")
    np.testing.assert_allclose(
        [c.auroc for c in whole.classes if c.auroc is not None],
        [c.auroc for c in single.classes if c.auroc is not None],
    )


@pytest.mark.slow
def test_what_changes_a_row_changes_its_place(grid: str, tmp_path: Path) -> None:
    def places(**values: object) -> set[str]:
        suite = read_suite(write(tmp_path / "g.yaml", {"base": grid, **values}))
        return {Places().name(request, with_encoder=True) for request in requests_of(suite)}

    assert places() == places()
    assert places(seed=5).isdisjoint(places())
    assert places(heads=["knn"]).isdisjoint(places())
    assert places(leads=["limb"]).isdisjoint(places())
    assert places(runs=[{**MODEL, "settings": [*SMALL[:-1], "signal.eval_starts=[0]"]}]).isdisjoint(places())
    assert places(fractions=[100]) < places()


@pytest.mark.slow
def test_a_failing_cell_stops_no_other(grid: str, tmp_path: Path, ecgkit: Callable[..., Outcome]) -> None:
    values = {
        "base": grid,
        "runs": [MODEL, "runs/absent"],
        "heads": ["linear", "hug", {"head": "knn", "settings": ["k=[0]"]}],
        "fractions": [100],
    }
    # The hierarchical family, for one, gives no features by lead.
    values["runs"].append({"method": "hierarchical", "weights": "random-init", "preset": "tiny"})
    done = ecgkit("probe", "--suite", write(tmp_path / "f.yaml", values), "--out", tmp_path / "out", "--device", "cpu")
    assert done.code == 3, done.err
    shown = " ".join(done.err.split())
    assert "absent, simulated, linear, 100 %, seed 0: runs/absent does not exist" in shown
    assert "hierarchical random-init, simulated, hug, 100 %, seed 0: hierarchical gives no per_lead" in shown
    assert "k [0] must hold whole numbers" in shown
    assert "6 probes failed" in shown
    assert "3 results" in done.out
    assert len(pd.read_parquet(tmp_path / "out" / "results.parquet")["folder"].unique()) == 3
    again = ecgkit("probe", "--suite", tmp_path / "f.yaml", "--out", tmp_path / "out", "--device", "cpu", "--json")
    assert again.code == 3
    assert "3 results, 3 of them from an earlier run" in again.err
    said = json.loads(again.out)
    assert (len(said["results"]), said["done_before"], len(said["failed"])) == (3, 3, 6)
    assert all((Path(row["folder"]) / "row.json").is_file() and row["macro_auroc"] for row in said["results"])
    assert Path(said["table"]).is_file()


def test_what_the_command_refuses_and_leaves_out(
    grid: str, tmp_path: Path, cohort_store: Path, ecgkit: Callable[..., Outcome]
) -> None:
    assert "run does not exist; expected a run" in ecgkit("probe", "run").err
    assert ecgkit("probe", "--suite", "seven").code == 2
    assert "NAME=PATH" in ecgkit("probe", "--suite", grid, "--store", "cohort").err
    nothing = ecgkit("probe", "run", "--suite", "six")
    assert (nothing.code, "no store for any task" in nothing.err) == (2, True)
    # Stores of the command line go before those of the file.
    tasks = [{"task": "simulated", "store": "c"}, {"task": "csn", "store": "csn"}]
    few = {"base": grid, "heads": ["linear"], "fractions": [100], "stores": {}, "tasks": tasks}
    some = write(tmp_path / "s.yaml", few)
    done = ecgkit("probe", "--suite", some, "--store", f"c={cohort_store}", "--device", "cpu")
    assert done.code == 0, done.err
    assert "csn is left out" in done.err
    assert (tmp_path / "suites" / "s" / "results.parquet").is_file()


def test_heads_that_learn_nothing_are_asked_once(grid: str, tmp_path: Path) -> None:
    suite = read_suite(grid)
    assert len(requests_of(replace(suite, heads=(SuiteHead("zero-shot"),)))) == 1
    scratch = replace(suite, runs=(EncoderChoice(method="stmem", weights="scratch"),))
    assert len(requests_of(scratch)) == 3  # it has a head of its own, whatever the others get


@pytest.mark.slow
def test_an_interrupted_suite_keeps_its_rows_and_its_table(
    grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, out, real, runs = requests_of(read_suite(grid)), tmp_path / "out", suite_run.Probe.run, []

    def interrupted(*arguments: object) -> None:
        runs.append(arguments)
        if len(runs) == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(suite_run.Probe, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_suite(wanted, out)
    assert len(pd.read_parquet(out / "results.parquet")["folder"].unique()) == 2
    monkeypatch.setattr(suite_run.Probe, "run", real)
    after = run_suite(wanted, out)
    assert (len(after.rows), after.skipped) == (6, 2)


@pytest.mark.slow
def test_two_processes_give_the_same_rows_and_kill_9_loses_none(grid: str, tmp_path: Path) -> None:
    grid = write(tmp_path / "few.yaml", {"base": grid, "heads": ["linear"]})
    wanted = requests_of(read_suite(grid), device="cpu")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ecgkit", "probe", "--suite", grid, "--out", str(out), "--device", "cpu"]
    killed = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not list(out.glob("rows/*/row.json")) and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = {path: path.read_bytes() for path in out.glob("rows/*/row.json")}
    assert before
    both = run_suite(wanted, out, jobs=2)
    assert (len(both.rows), both.failed) == (3, {})
    assert all(path.read_bytes() == content for path, content in before.items())
    alone = run_suite(wanted, tmp_path / "alone")
    for (_, ours), (_, theirs) in zip(both.rows, alone.rows, strict=True):
        assert ours.classes == theirs.classes
