"""Options from the project file and the environment."""

from pathlib import Path

import pytest

from tests.workspace.places import here

__all__ = ["here"]


def test_flag_before_environment_before_file(here: Path, ecgkit, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (here / "ecgkit.toml").write_text("[simulate]\nrecords = 3\n")
    done = ecgkit("simulate", "a")
    assert done.out.startswith("using --records 3 (from ecgkit.toml)\n3 records")
    monkeypatch.setenv("ECGKIT_SIMULATE_RECORDS", "4")
    assert ecgkit("simulate", "b").out.startswith("using --records 4 (from ECGKIT_SIMULATE_RECORDS)\n4 records")
    assert ecgkit("simulate", "c", "--records", 5).out.startswith("5 records")
    shown = ecgkit("status").out
    assert "--records" in shown
    assert "environment: ECGKIT_SIMULATE_RECORDS" in shown
    monkeypatch.delenv("ECGKIT_SIMULATE_RECORDS")
    assert "ecgkit.toml" in ecgkit("status").out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[simulate]\nrecord = 3\n", "the option simulate.record, which does not exist. Did you mean 'records'?"),
        ("[simluate]\nrecords = 3\n", "the command simluate, which does not exist. Did you mean 'simulate'?"),
        ("[simulate]\nrecords = [3]\n", "simulate.records is [3]; expected one value"),
        ('[pretrain]\nset = "depth=2"\n', "pretrain.set is 'depth=2'; expected a list of values"),
        ('[pretrain]\nshard = "yes"\n', "pretrain.shard is 'yes'; expected true or false"),
        ("[beats.scor]\nfs = 3\n", "the option beats.scor, which does not exist. Did you mean 'score'?"),
        ("[simulate\n", "ecgkit.toml cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(here: Path, ecgkit, text: str, why: str) -> None:  # type: ignore[no-untyped-def]
    (here / "ecgkit.toml").write_text(text)
    done = ecgkit("methods")
    assert done.code == 2
    assert why in done.err
    assert len(done.err.splitlines()) == 1
    assert ecgkit("methods", "-h").code == 0  # the help is there whatever the file holds


def test_a_value_of_the_file_is_checked_like_a_flag(here: Path, ecgkit) -> None:  # type: ignore[no-untyped-def]
    (here / "ecgkit.toml").write_text("[simulate]\nrecords = 0\n")
    assert ecgkit("simulate", "a").code == 2


def test_a_group_and_its_own_command_share_a_table(here: Path) -> None:
    import typer

    from ecgkit.cli import build_app
    from ecgkit.cli.project import name_variables, read_project

    (here / "ecgkit.toml").write_text(
        "[extract-knowledge]\nmin-count = 1\n[extract-knowledge.audit]\nsample = 7\n[beats]\ndetector = 'wfdb'\n"
        "[beats.score]\ntolerance = [150]\n[pretrain]\nset = ['depth=2']\nprobe_task = 'x'\n"
    )
    program = typer.main.get_command(build_app())
    assert read_project(program) == {
        "extract-knowledge": {"run": {"min_count": 1}, "audit": {"sample": 7}},
        "beats": {"detector": "wfdb", "score": {"tolerance": [150]}},
        "pretrain": {"settings": ["depth=2"], "probe_task": "x"},
    }
    name_variables(program)
    run = program.commands["extract-knowledge"].commands["run"]  # type: ignore[attr-defined]
    [count] = [p for p in run.params if p.name == "min_count"]
    assert count.envvar == ["ECGKIT_EXTRACT_KNOWLEDGE_MIN_COUNT", "ECGKIT_EXTRACT_KNOWLEDGE_RUN_MIN_COUNT"]
