"""The shortest commands of docs/workspace.md, typed as a user types them in a folder with a cohort."""

import inspect
import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
import yaml

from ecgkit.cli import build_app, completion
from ecgkit.store.reader import Store
from tests.workspace.places import here, make_run, make_store

__all__ = ["here"]


def commands(command: Any, name: str = "") -> dict[str, Any]:
    """All commands by what is typed; a group that does something by itself too."""
    below = getattr(command, "commands", None) or {}
    own = {name: command} if not below or getattr(command, "invoke_without_command", False) else {}
    return own | {k: v for word, sub in below.items() for k, v in commands(sub, f"{name} {word}".strip()).items()}


ENDLESS = {"browse"}  # it serves a page until Ctrl-C


@pytest.mark.parametrize(("name", "command"), commands(typer.main.get_command(build_app())).items())
def test_every_command_says_what_comes_next(name: str, command: Any) -> None:
    module = inspect.getmodule(inspect.unwrap(command.callback))
    assert module is not None
    assert "next_is(" in inspect.getsource(module) or name in ENDLESS, name


@pytest.mark.slow
def test_the_two_commands(here: Path, cohort: Path, ecgkit, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(cohort, here / "mimic")
    ingested = ecgkit("ingest", "mimic/")
    assert ingested.code == 0, ingested.err
    assert ingested.out.splitlines()[0] == "using --out mimic.zarr (named after the source)"
    assert ingested.err.splitlines()[-1] == "next: ecgkit beats mimic.zarr"
    assert Store(here / "mimic.zarr").attributes["defaults"] == {"--out": "mimic.zarr (named after the source)"}
    again = ecgkit("ingest", "mimic/")
    assert (again.code, len(again.err.splitlines())) == (2, 1)
    assert "mimic.zarr already exists" in again.err

    assert ecgkit("extract-knowledge", "--min-count", 1).code == 0
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    refused = ecgkit("pretrain", "--method", "kmerl", "--gpus", 4)
    assert refused.code == 2
    assert refused.out.startswith("using --data mimic.zarr (the only store in this folder), --out runs/kmerl-")
    assert "--gpus 4" in refused.err
    assert not (here / "runs").exists()


@pytest.mark.slow
def test_train_probe_and_report(here: Path, cohort_store: Path, ecgkit) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(cohort_store, here / "ä b.zarr", ignore=shutil.ignore_patterns("views"))
    tiny = ("--preset", "tiny", "--epochs", 1, "--set", "depth=1", "--set", "width=16", "--set", "heads=1")
    for name in ("stmem-tiny", "stmem-tiny-2"):
        done = ecgkit("pretrain", "--method", "stmem", *tiny, "--set", "head_width=16")
        assert done.code == 0, done.err
        assert f"--out runs/{name} (" in done.out.splitlines()[0]
        assert done.err.splitlines()[-1] == f"next: ecgkit probe runs/{name}"
        recorded = yaml.safe_load((here / "runs" / name / "config.yaml").read_text())["defaults"]
        assert recorded["--data"] == "ä b.zarr (the only store in this folder)"
    asked = ecgkit("probe")
    assert asked.code == 2
    assert "simulated (120 records, " in asked.err
    assert "--task " in asked.err
    probed = ecgkit("probe", "--task", "simulated")
    assert probed.code == 0, probed.err
    first = probed.out.splitlines()[0]
    assert first == "using RUN runs/stmem-tiny-2 (the run that finished last), --data 'ä b.zarr' (the store of the run)"
    assert probed.err.splitlines()[-1] == "next: ecgkit report"
    [row] = (here / "runs" / "stmem-tiny-2").rglob("row.json")
    assert json.loads(row.read_text())["environment"]["defaults"] == {
        "RUN": "runs/stmem-tiny-2 (the run that finished last)",
        "--data": "ä b.zarr (the store of the run)",
    }
    reported = ecgkit("report")
    assert reported.code == 0, reported.err
    assert (here / "report.html").is_file()


def test_two_stores_are_listed(here: Path, ecgkit) -> None:  # type: ignore[no-untyped-def]
    make_store(here, "a.zarr")
    make_store(here, "b.zarr")
    for command in (["beats"], ["extract-knowledge"], ["inspect"], ["pretrain", "--method", "stmem"]):
        done = ecgkit(*command)
        assert (done.code, done.out) == (2, "")
        assert "this folder holds 2 stores: a.zarr, b.zarr" in done.err
        assert len(done.err.splitlines()) == 1


def test_a_bare_extract_knowledge_does_not_end_with_help(here: Path, ecgkit) -> None:  # type: ignore[no-untyped-def]
    done = ecgkit("extract-knowledge")
    assert (done.code, done.out) == (2, "")
    assert "this folder holds no store" in done.err


def test_no_method_is_chosen(here: Path, ecgkit) -> None:  # type: ignore[no-untyped-def]
    make_store(here, "a.zarr")
    done = ecgkit("pretrain")
    assert done.code == 2
    assert "missing --method; expected one of " in done.err
    assert "stmem" in done.err


def test_processes_of_a_launcher_need_a_name(here: Path, ecgkit, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    make_store(here, "a.zarr")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    done = ecgkit("pretrain", "--method", "stmem")
    assert done.code == 2
    assert "missing --out" in done.err


def test_help_is_short_of_types_for_flags(ecgkit) -> None:  # type: ignore[no-untyped-def]
    short, long = ecgkit("probe", "-h"), ecgkit("probe", "--help")
    assert short.out == long.out
    assert short.code == 0
    assert "<bool>" not in short.out


def test_options_of_a_probe_are_grouped() -> None:
    program: Any = typer.main.get_command(build_app())
    panels = {param.rich_help_panel for param in program.commands["probe"].params if param.param_type_name == "option"}
    assert {"Encoder", "Data", "Evaluation", "Amounts of labels", "Output", "Suites and analyses"} <= panels


def test_completion_of_stores_runs_and_settings(here: Path) -> None:
    make_store(here, "a.zarr")
    make_run(here / "runs" / "x", finished=False)
    assert completion.stores("a") == ["a.zarr"]
    assert completion.stores("") == ["a.zarr", "runs/"]
    assert completion.stores("absent/") == []
    assert completion.runs("runs/") == [("runs/x", "stmem tiny, unfinished")]

    class Context:
        params: ClassVar[dict[str, str]] = {"method": "stmem", "preset": "tiny"}

    assert completion.settings(Context, "recipe.ep")[0].startswith("recipe.epochs=")
    assert completion.settings(Context, "nothing") == []
