"""Habits of every command: JSON, exit codes, plain output, the environment, the version, completion."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

import ecgkit as library
from ecgkit.cli import build_app
from ecgkit.cli.exit_codes import Exit
from tests.api.runs import make_run
from tests.conftest import PROJECT, synthetic_signal, write_wfdb

ECGKIT = [sys.executable, "-P", "-m", "ecgkit"]
TINY = ["width=16", "depth=1", "heads=1", "head_width=16", "decoder_width=16", "decoder_heads=1"]
# Commands that print no table, or print it in other forms of their own, and why they have no --json.
WITHOUT_JSON = {
    "browse": "serves a page",
    "demo": "prints what its stages print",
    "import-weights": "prints a line",
    "report": "writes its table to a file: report --json FILE",
    "extract-knowledge mentions": "prints the path of its table",
    "extract-knowledge prompts": "prints the paths of the files",
    "plugins new": "prints where the package is",
}


def commands(command: Any, name: str = "") -> dict[str, Any]:
    """All commands by what is typed."""
    below = getattr(command, "commands", None)
    if below is None:
        return {name: command}
    return {k: v for word, sub in below.items() for k, v in commands(sub, f"{name} {word}".strip()).items()}


ALL = commands(typer.main.get_command(build_app()))


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_that_prints_a_table_has_json(name: str) -> None:
    options = {option for parameter in ALL[name].params for option in parameter.opts}
    assert ("--json" in options) != (name in WITHOUT_JSON) or name == "report"


@pytest.mark.slow
def test_json_is_all_that_stdout_holds(ecgkit, cohort_store: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ECGKIT_PRETRAIN_SETTINGS", " ".join(TINY))
    monkeypatch.setenv("ECGKIT_EXTRACT_KNOWLEDGE_RUN_MIN_COUNT", "1")
    cohort, store = tmp_path / "cohort", tmp_path / "s.zarr"
    said = {
        "simulate": ecgkit("simulate", cohort, "--records", 12, "--json"),
        "ingest": ecgkit("ingest", cohort, "--out", store, "--json"),
        "extract": ecgkit("extract-knowledge", store, "--json"),
        "dry": ecgkit(
            "pretrain",
            "--method",
            "stmem",
            "--preset",
            "tiny",
            "--data",
            cohort_store,
            "--out",
            tmp_path / "run",
            "--dry-run",
            "--json",
        ),
    }
    for name, done in said.items():
        assert done.code == 0, (name, done.err)
        assert done.err.strip(), name  # people are told, too
    found = {name: json.loads(done.out) for name, done in said.items()}
    assert found["simulate"]["records"] == found["ingest"]["taken"] == found["extract"]["records"] == 12
    assert found["ingest"]["rejected"] == []
    assert any(entity["present"] for entity in found["extract"]["entities"])
    assert found["dry"]["trained"] == 9793
    probed = ecgkit(
        "probe", make_run(tmp_path / "merl", "merl"), "--data", cohort_store, "--task", "simulated", "--json"
    )
    [row] = json.loads(probed.out)
    assert "macro AUROC" in probed.err
    assert json.loads((Path(row.pop("folder")) / "row.json").read_text()) == row
    # The next command of the same process is not affected.
    assert "12" in ecgkit("inspect", store).out


def test_every_exit_code(ecgkit, tmp_path: Path, monkeypatch) -> None:
    for name in "ab":
        write_wfdb(tmp_path / "src", name, synthetic_signal(100))
    (tmp_path / "src" / "b.dat").unlink()
    assert ecgkit("methods").code == Exit.DONE
    assert ecgkit("inspect", "absent").code == Exit.BAD_INPUT
    assert ecgkit("methods", "--nonsense").code == Exit.BAD_INPUT
    assert ecgkit("ingest", tmp_path / "src", "--out", tmp_path / "s.zarr").code == Exit.INCOMPLETE
    for error, code in ((ZeroDivisionError(), Exit.UNEXPECTED), (KeyboardInterrupt(), Exit.INTERRUPTED)):
        monkeypatch.setattr("ecgkit.store.summary.summarize", lambda store, error=error: (_ for _ in ()).throw(error))
        done = ecgkit("inspect", tmp_path / "s.zarr")
        assert done.code == code
        assert "Traceback" not in done.err


def test_every_exit_code_is_documented() -> None:
    page = (PROJECT / "docs" / "cli.md").read_text()
    assert re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE) == [str(code.value) for code in Exit]


def test_piped_tables_are_plain_and_as_wide_as_they_need(ecgkit) -> None:
    lines = ecgkit("methods").out.splitlines()
    assert not set("".join(lines)) & set("─│┃━┏╭\x1b")
    assert max(map(len, lines)) > 80
    named = [line for line in lines if line.startswith(("needs ", "features ", "presets "))]
    assert len(named) % 3 == 0 and named
    assert {line.index(line.split()[1]) for line in named} == {len("features  ")}  # values stand below each other
    shown = ecgkit("pretrain", "--help").out
    assert not set(shown) & set("─│╭\x1b")


def test_numbers_stand_right_and_brackets_stay(capsys) -> None:
    from ecgkit.cli.render import print_table

    print_table("[T]", [{"a": "[bold]x", "n": 5}, {"a": "y", "n": 1234}], numeric=["n"])
    assert capsys.readouterr().out == "[T]\na           n\n[bold]x     5\ny        1234\n"


def test_no_word_is_broken_where_a_table_is_too_wide() -> None:
    from ecgkit.cli.layout import blocks, facts, fits

    rows = [{"record": "a-long-record-name", "measure": "signal-to-noise", "value": 1.5}]
    assert fits(rows, 60) and not fits(rows, 40)
    shown = ["a-long-record-name", "  measure  signal-to-noise", "  value    1.5"]
    assert list(blocks(rows, 40)) == shown
    long = " ".join(["twelve"] * 12)
    lines = list(facts({"leads": long, "unit": "mV"}, 40))
    assert all(len(line) <= 40 for line in lines) and len(lines) == 4
    assert " ".join(" ".join(lines).split()) == f"leads {long} unit mV"


def test_a_table_fits_a_terminal_of_80_columns_and_breaks_no_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ecgkit.cli import render

    console = Console(force_terminal=True, width=80, highlight=False, color_system=None)
    monkeypatch.setattr(render, "_people", [console])
    row = {
        "run": "stmem-tiny-random-init",
        "name": "first-degree atrioventricular block and more",
        "training records": "12,345",
        "AUROC": "93.8 (88.8–98.1)",
        "95 %": "100.0–100.0",
    }
    render.print_table("A title that is longer than a line " * 4, [row] * 2, numeric=[*row][2:])
    render.say("word " * 30 + "/a/path/that/is/longer/than/a/line" * 4)
    lines = capsys.readouterr().out.splitlines()
    *table, path = lines
    assert all(len(line) <= 80 for line in table), lines
    assert path == "/a/path/that/is/longer/than/a/line" * 4
    words = set(" ".join(lines).replace("│", " ").replace("┃", " ").split())
    assert {word for cell in [*row, *row.values()] for word in cell.split()} <= words


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a command writes where somebody looks."""
    main, other = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [*ECGKIT, *arguments],
        stdout=other,
        stderr=other,
        stdin=other,
        env={**clean, "TERM": "xterm-256color", **environment},
    )
    os.close(other)
    written = b""
    try:
        while part := os.read(main, 65536):
            written += part
    except OSError:  # Linux: the other end is closed
        pass
    os.close(main)
    assert process.wait() == 0
    return written.decode()


@pytest.mark.slow
def test_no_color_is_obeyed_on_a_terminal() -> None:
    coloured, plain = on_a_terminal("methods"), on_a_terminal("methods", NO_COLOR="1")
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    assert "\x1b" not in on_a_terminal("--help", NO_COLOR="1")


def test_options_come_from_the_environment(ecgkit, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ECGKIT_SIMULATE_RECORDS", "7")
    assert "7 records" in ecgkit("simulate", tmp_path / "a").out
    assert "5 records" in ecgkit("simulate", tmp_path / "b", "--records", 5).out  # what is typed wins
    monkeypatch.setenv("ECGKIT_SIMULATE_RECORDS", "many")
    done = ecgkit("simulate", tmp_path / "c")
    assert done.code == 2
    assert "--records 'many' (from ECGKIT_SIMULATE_RECORDS)" in done.err
    monkeypatch.setenv("ECGKIT_VERSION", "1")
    monkeypatch.setenv("ECGKIT_DEBUG", "2")
    assert json.loads(ecgkit("methods", "--json").out)  # no option: it would stop every command
    monkeypatch.setenv("ECGKIT_METHODS_AS_JSON", "1")
    assert json.loads(ecgkit("methods").out)
    assert "ECGKIT" not in ecgkit("simulate", "--help").out


def test_the_version(ecgkit) -> None:
    assert ecgkit("--version").out == f"ecgkit {library.__version__}\n"


def completed(line: str) -> list[str]:
    words = line.split(" ")
    environment = {"_ECGKIT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; from ecgkit.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not {"torch", "zarr", "wfdb", "sklearn", "aiohttp", "numba", "pandas"} & set(done.stderr.split())
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ecgkit pretrain --method st", "stmem"),
        ("ecgkit pretrain --method stmem --preset sm", "small"),
        ("ecgkit pretrain --task simu", "simulated"),
        ("ecgkit ingest --dataset ptb", "ptb-xl"),
        ("ecgkit exp", "export"),
        ("ecgkit probe --head zero", "zero-shot"),
    ],
)
def test_the_shell_completes_names_without_a_heavy_import(line: str, expected: str) -> None:
    assert expected in completed(line)


def test_completion_can_be_installed(ecgkit) -> None:
    assert "--install-completion" in ecgkit("--help").out
