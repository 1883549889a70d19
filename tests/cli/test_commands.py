"""Whole commands, as a user types them: the way from WFDB files to a page, and everything that can be typed wrong."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import synthetic_signal, write_wfdb
from tests.reference_vectors import Reference, close

# Small enough for seconds, by settings that any user could give.
SMALL = [
    "--set",
    "width=16",
    "--set",
    "depth=1",
    "--set",
    "heads=1",
    "--set",
    "head_width=16",
    "--set",
    "decoder_width=16",
    "--set",
    "decoder_heads=1",
]


@pytest.fixture(scope="module")
def run(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder made by the command."""
    folder = tmp_path_factory.mktemp("runs") / "stmem"
    command = ["pretrain", "--method", "stmem", "--preset", "tiny", "--data", cohort_store, "--epochs", "2", *SMALL]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ecgkit", *map(str, command), "--out", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "epoch    2" in done.stdout
    return folder


@pytest.mark.slow
def test_the_whole_way(ecgkit, cohort_store: Path, run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    shutil.copytree(run, runs / "stmem")
    probed = ecgkit("probe", "runs/stmem", "--data", cohort_store, "--task", "simulated")
    assert probed.code == 0, probed.err
    assert "macro AUROC" in probed.out
    assert "2250 samples (9 s at 250 Hz)" in probed.out
    random = ecgkit(
        "probe",
        "--method",
        "stmem",
        "--preset",
        "tiny",
        *SMALL,
        "--random-init",
        "--data",
        cohort_store,
        "--task",
        "simulated",
    )
    assert random.code == 0, random.err
    scratch = ecgkit(
        "probe",
        "--method",
        "stmem",
        *SMALL,
        "--scratch",
        "--epochs",
        "1",
        "--data",
        cohort_store,
        "--task",
        "simulated",
    )
    assert scratch.code == 0, scratch.err
    reported = ecgkit("report", "runs", "--out", "report.html")
    assert reported.code == 0, reported.err
    assert "3 results" in reported.out
    page = Path("report.html").read_text()
    assert {"stmem", "random-init", "scratch"} <= {w for w in ("stmem", "random-init", "scratch") if w in page}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "runs"]


def test_ingest_and_inspect(ecgkit, cohort: Path, tmp_path: Path) -> None:
    store = tmp_path / "s.zarr"
    ingested = ecgkit("ingest", cohort, "--out", store, "--limit", 30)
    assert ingested.code == 0, ingested.err
    assert "mimic-iv-ecg: 30 of 30 records" in ingested.out
    shown = ecgkit("inspect", store)
    assert "426783006" in shown.out
    summary = json.loads(ecgkit("inspect", store, "--json").out)
    assert (summary["records"], summary["rates"], summary["rpeaks"]) == (30, {"500": 30}, 30)
    from ecgkit.store.reader import Store

    record = Store(store).table["record_id"].iloc[0]
    assert ecgkit("inspect", store, "--record", record).code == 0
    assert json.loads(ecgkit("inspect", store, "--record", record, "--json").out)["record_id"] == record
    drawn = ecgkit("inspect", store, "--record", record, "--out", tmp_path / "ecg.png")
    assert drawn.code == 0, drawn.err
    assert (tmp_path / "ecg.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_500_hz_store_feeds_a_250_hz_model_and_so_does_a_100_hz_one(
    ecgkit, cohort, run: Path, tmp_path: Path
) -> None:
    ecgkit("ingest", cohort, "--out", tmp_path / "slow.zarr", "--fs", 100)
    done = ecgkit("probe", run, "--data", tmp_path / "slow.zarr", "--task", "simulated", "--out", tmp_path / "r")
    assert done.code == 0, done.err
    row = json.loads((tmp_path / "r" / "row.json").read_text())
    assert row["contract"]["from store"].startswith("100 Hz")


def test_published_weights_become_a_run(ecgkit, golden: Path, tmp_path: Path) -> None:
    reference = Reference(golden / "stmem_tiny.npz")
    if reference.sizes["dim_head"] != 64:
        pytest.skip("no shape tells the width of a head, and the command takes that of the published models")
    torch.save({"model": reference.weights(), "epoch": 1}, tmp_path / "official.pth")
    done = ecgkit("import-weights", "--method", "stmem", tmp_path / "official.pth", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    from ecgkit.training.run import open_run

    encoder = open_run(tmp_path / "run").encoder().eval()
    with torch.no_grad():
        close(encoder(reference.tensor("x"), torch.arange(reference.sizes["num_leads"])).pooled, reference["features"])


@pytest.mark.slow
def test_settings_come_from_preset_file_and_flags_in_this_order(ecgkit, cohort_store, run: Path, tmp_path) -> None:
    (tmp_path / "c.yaml").write_text("width: 32\nrecipe: {epochs: 1}\nsignal: {normalize: lead-zscore}\n")
    done = ecgkit(
        "pretrain",
        "--method",
        "stmem",
        "--preset",
        "tiny",
        "--data",
        cohort_store,
        "--out",
        tmp_path / "a",
        *SMALL,
        "--config",
        tmp_path / "c.yaml",
    )
    assert done.code == 0, done.err
    from ecgkit.training.run import open_run

    config = open_run(tmp_path / "a").config
    assert (config.width, config.recipe.epochs, config.signal.normalize) == (16, 1, "lead-zscore")
    again = ecgkit(
        "pretrain",
        "--method",
        "stmem",
        "--data",
        cohort_store,
        "--out",
        tmp_path / "b",
        "--config",
        run / "config.yaml",
    )
    assert again.code == 0, again.err
    assert open_run(tmp_path / "b").config == open_run(run).config


def bad_record(folder: Path, kind: str) -> None:
    full = synthetic_signal(200)
    if kind == "three leads":
        write_wfdb(folder, "r", full[[0, 1, 7]], ("I", "II", "V2"))
        return
    write_wfdb(folder, "r", np.full((12, 200), np.nan) if kind == "all NaN" else full)
    if kind == "truncated":
        (folder / "r.dat").write_bytes((folder / "r.dat").read_bytes()[:-10])
    if kind == "traversal":
        header = folder / "r.hea"
        header.write_text(header.read_text().replace("r.dat", "../r.dat"))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("truncated", [], "r.dat is cut short: 4790 bytes; expected at least 4800 bytes"),
        ("traversal", [], "leads out of"),
        ("all NaN", [], "every sample of r is missing"),
        ("three leads", ["--leads", "12"], "leads V1, V3, V4, V5, V6 are missing"),
        ("three leads", ["--leads", "I,Q"], "lead 'Q' is unknown"),
        ("good", ["--dataset", "ptbxl"], "wfdb, zzu-pecg. Did you mean 'ptb-xl'?"),
        (
            "good",
            ["--dataset", "ptb-xl"],
            "is not laid out as ptb-xl; it holds 1 file .hea (--dataset wfdb)",
        ),
    ],
)
def test_bad_records_are_one_line_and_leave_nothing(ecgkit, tmp_path: Path, kind, options, message) -> None:
    bad_record(tmp_path / "src", kind)
    done = ecgkit("ingest", tmp_path / "src", "--out", tmp_path / "s.zarr", *options)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err + done.out
    assert [p.name for p in tmp_path.iterdir()] == ["src"]


def test_three_leads_are_welcome_where_nobody_asks_for_more(ecgkit, tmp_path: Path) -> None:
    bad_record(tmp_path / "src", "three leads")
    done = ecgkit("ingest", tmp_path / "src", "--out", tmp_path / "s.zarr")
    assert done.code == 0
    assert "III, aVR, aVL, aVF derived from I and II" in done.out


def test_more_rejected_than_allowed_is_code_3(ecgkit, tmp_path: Path) -> None:
    for name in "abc":
        write_wfdb(tmp_path / "src", name, synthetic_signal(100))
    (tmp_path / "src" / "b.dat").unlink()
    done = ecgkit("ingest", tmp_path / "src", "--out", tmp_path / "s.zarr")
    assert done.code == 3
    assert "signal file b.dat of b.hea does not exist" in " ".join(done.out.split())
    assert ecgkit("ingest", tmp_path / "src", "--out", tmp_path / "t.zarr", "--max-rejected", 40).code == 0
    ledger = json.loads(ecgkit("inspect", tmp_path / "s.zarr", "--json").out)["rejected"]
    assert ledger == {"header": 1}


WRONG = {
    "missing folder": (["ingest", "absent", "--out", "s.zarr"], "absent does not exist"),
    "empty folder": (["ingest", "empty", "--out", "s.zarr"], "empty is empty"),
    "no layout": (["ingest", "other", "--out", "s.zarr"], "is unknown"),
    "no store": (["inspect", "other"], "other is not a store"),
    "absent store": (["inspect", "absent"], "absent does not exist"),
    "no record": (["inspect", "{store}", "--record", "nobody"], "has no record 'nobody'"),
    "picture of nothing": (["inspect", "{store}", "--out", "a.png"], "--out without --record"),
    "no run": (["probe", "other", "--data", "{store}", "--task", "simulated"], "has no config.yaml"),
    "no weights": (["probe", "unfinished", "--data", "{store}", "--task", "simulated"], "has no model.safetensors"),
    "other labels": (["probe", "{run}", "--data", "{store}", "--task", "ptbxl-super"], "'scp' labels"),
    "no task": (["probe", "{run}", "--data", "{store}", "--task", "simulate"], "Did you mean 'simulated'"),
    "no head": (["probe", "{run}", "--data", "{store}", "--task", "simulated", "--head", "x"], "no head 'x'"),
    "no model": (["probe", "--data", "{store}", "--task", "simulated"], "this folder holds no run"),
    "two models": (["probe", "{run}", "--scratch", "--data", "{store}", "--task", "simulated"], "one or the other"),
    "no method": (["pretrain", "--method", "mae", "--data", "{store}", "--out", "r"], "no method 'mae'"),
    "no preset": (
        ["pretrain", "--method", "stmem", "--preset", "huge", "--data", "{store}", "--out", "r"],
        "no preset 'huge'; expected one of base, small, tiny",
    ),
    "unknown key": (
        ["pretrain", "--method", "stmem", "--set", "dept=3", "--data", "{store}", "--out", "r"],
        "Did you mean 'depth'",
    ),
    "wrong value": (
        ["pretrain", "--method", "stmem", "--set", "patch=77", "--data", "{store}", "--out", "r"],
        "must divide",
    ),
    "leads not there": (
        ["pretrain", "--method", "stmem", "--set", "signal.leads=[VX]", "--data", "{store}", "--out", "r"],
        "some of the standard twelve",
    ),
    "no GPU": (
        ["pretrain", "--method", "stmem", "--device", "cuda:7", "--data", "{store}", "--out", "r"],
        "no GPU is visible" if not torch.cuda.is_available() else "cuda",
    ),
    "no results": (["report", "other"], "ecgkit probe"),
    "no run to go on with": (["pretrain", "--resume", "other"], "other has no unfinished run"),
    "finished run": (["pretrain", "--resume", "{run}"], "is finished. Only an unfinished run"),
    "resume and more": (["pretrain", "--resume", "{run}", "--method", "stmem"], "Leave it out"),
    "nothing to train": (["pretrain", "--method", "stmem", "--out", "r"], "this folder holds no store. Make one with"),
    "too many GPUs": (
        ["pretrain", "--method", "stmem", "--gpus", "99", "--data", "{store}", "--out", "r"],
        "--gpus 99: torch sees",
    ),
    "GPUs and CPUs": (
        ["pretrain", "--method", "stmem", "--gpus", "2", "--processes", "2", "--data", "{store}", "--out", "r"],
        "only one of them",
    ),
    "no curves": (["runs", "other"], "other: no run among them"),
    "no such curve": (["runs", "{run}", "--metric", "val_los"], "no run has 'val_los'; expected one of train_loss"),
    "existing run": (["pretrain", "--method", "stmem", "--data", "{store}", "--out", "other"], "other already exists"),
    "no weights file": (["import-weights", "absent.pth", "--method", "stmem", "--out", "r"], "absent.pth does not"),
    "no overwrite": (["simulate", "other", "--records", "5"], "other already exists"),
    "picture under another name": (
        ["inspect", "{store}", "--record", "x", "--out", "other/notes.txt"],
        "must end in .png",
    ),
    "page under another name": (["report", "{run}", "--out", "other/notes.txt"], "must end in .html"),
    "settings of another": (
        ["pretrain", "--method", "stmem", "--config", "unfinished/other.yaml", "--data", "{store}", "--out", "r"],
        "holds settings of mae, not of stmem",
    ),
    "epochs of nothing": (
        ["probe", "{run}", "--epochs", "3", "--data", "{store}", "--task", "simulated"],
        "--epochs without --scratch",
    ),
    "demo in the way": (["demo", "--out", "other"], "other is not empty"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_commands_are_one_line_with_code_2(ecgkit, cohort_store, run, tmp_path, monkeypatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "other", "unfinished"):
        Path(name).mkdir()
    Path("other", "notes.txt").write_text("keep me")
    Path("unfinished", "config.yaml").write_text("method: stmem\nconfig: {}\n")
    Path("unfinished", "other.yaml").write_text("method: mae\nconfig: {}\n")
    before = sorted(p for p in tmp_path.rglob("*"))
    arguments, message = WRONG[case]
    done = ecgkit(*(str(a).format(store=cohort_store, run=run) for a in arguments))
    assert done.code == 2, done.err
    assert message in done.err
    assert [line for line in done.err.splitlines() if line.startswith("error:")] == done.err.splitlines()[-1:]
    assert "Traceback" not in done.err
    assert sorted(p for p in tmp_path.rglob("*")) == before


def test_debug_shows_the_traceback_wherever_it_stands(ecgkit) -> None:
    for arguments in (["--debug", "inspect", "absent"], ["inspect", "absent", "--debug"]):
        done = ecgkit(*arguments)
        assert done.code == 2
        assert "Traceback" in done.err


def test_an_unexpected_error_is_code_1_and_one_line(ecgkit, cohort_store: Path, monkeypatch) -> None:
    monkeypatch.setattr("ecgkit.store.summary.summarize", lambda store: 1 / 0)
    done = ecgkit("inspect", cohort_store)
    assert done.code == 1
    assert "ZeroDivisionError" in done.err
    assert "--debug" in done.err
    assert "Traceback" not in done.err


def test_wrong_flags_are_code_2(ecgkit) -> None:
    for arguments in (["ingest"], ["nonsense"], ["probe", "--nonsense"], ["ingest", "x", "--out", "y", "--limit", "0"]):
        assert ecgkit(*arguments).code == 2


@pytest.mark.slow
def test_output_is_plain_where_nobody_looks(cohort_store: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ecgkit", "inspect", str(cohort_store)], capture_output=True, text=True, check=True
    )
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["methods", "plugins list"])
def test_listings_as_json_and_as_tables(ecgkit, command: str) -> None:
    rows = json.loads(ecgkit(*command.split(), "--json").out)
    assert "stmem" in {row.get("method", row.get("plugin")) for row in rows}
    table = ecgkit(*command.split())
    assert table.code == 0
    assert "stmem" in table.out


@pytest.mark.slow
def test_the_demo_runs_stops_and_goes_on(ecgkit, tmp_path: Path, monkeypatch) -> None:
    """Small by the entry's own settings, so that the real command runs as it is."""
    from dataclasses import replace

    from ecgkit.entries import MethodEntry
    from ecgkit.plugins import host

    sizes = {"stmem": [a for a in SMALL if a != "--set"], "kmerl": ["depth=1"]}
    for name, changes in sizes.items():
        demo = {"preset": "tiny", "set": ("recipe.epochs=1", *changes)}
        small = replace(host().get(MethodEntry, name), demo=demo)
        monkeypatch.setitem(host()._entries["method"], name, small)
    out = tmp_path / "demo"
    first = ecgkit("demo", "--out", out, "--records", 100)
    assert first.code == 0, first.err
    assert "6 results" in (out / "report.html").read_text()
    typed = [line for line in first.out.splitlines() if line.startswith("$ ")]
    assert [line.split()[2] for line in typed[:4]] == ["simulate", "ingest", "beats", "extract-knowledge"]
    assert f"$ ecgkit probe {out}/runs/kmerl-tiny --data {out}/cohort.zarr --task simulated --head zero-shot" in typed
    assert "no label, lead II: macro AUROC" in first.out
    assert len(list((out / "ecg").glob("*.png"))) >= 5
    before = {
        p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file() and p.name not in ("report.html", "demo.yaml")
    }
    shutil.rmtree(next((out / "runs").rglob("row.json")).parent)
    time.sleep(0.01)
    again = ecgkit("demo", "--out", out, "--records", 100)
    assert again.code == 0, again.err
    assert "simulate" not in again.out.replace("simulated", "")
    redone = [p for p, when in before.items() if p.stat().st_mtime_ns != when]
    assert {p.name for p in redone} == {"row.json", "predictions.parquet", "head.json", "head.safetensors", ".ecgkit"}
    assert ecgkit("demo", "--out", out, "--records", 101).code == 2


@pytest.mark.slow
def test_no_command_needs_a_home_or_a_terminal(cohort_store: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-P", "-m", "ecgkit", "inspect", str(cohort_store)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
