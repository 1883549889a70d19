"""A new plugin, and the one in ``examples/``: installed by pip, they list, pass their checks and train, untouched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecgkit.errors import OutputError, PluginError
from ecgkit.scaffold import new_plugin
from tests.conftest import PROJECT

SESSION = """
import json, sys
from pathlib import Path
from ecgkit.testing import check_method
from ecgkit.testing.case import Case
from ecgkit.plugins import host
from ecgkit.entries import MethodEntry
import ecgkit.cli

def program(*arguments):
    sys.argv = ["ecgkit", *arguments]
    try:
        ecgkit.cli.main()
    except SystemExit as stop:
        assert not stop.code, stop.code

if __name__ == "__main__":
    store, out = sys.argv[1:3]
    results = {name: [(r.check, r.outcome, r.why) for r in check_method(name)] for name in ("my_method", "cpc")}
    owners = {name: host().owner(host().get(MethodEntry, name)).distribution for name in results}
    program("pretrain", "--method", "my_method", "--preset", "tiny", "--data", store, "--epochs", "1",
            "--out", f"{out}/run", "--device", "cpu")
    Path(out, "results.json").write_text(json.dumps([results, owners]))
"""


@pytest.fixture(scope="module")
def session(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install both with pip into a folder of their own, then check and train in one process that sees it."""
    folder = tmp_path_factory.mktemp("installed")
    mine = new_plugin("my_method", folder / "mine")
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run([*pip, "--target", str(site), str(mine), str(PROJECT / "examples" / "ecgkit-cpc")])
    (folder / "session.py").write_text(SESSION)
    run([sys.executable, str(folder / "session.py"), str(cohort_store), str(folder)], site)
    return folder


def run(command: list[str], site: Path | None = None) -> None:
    environment = {**os.environ, **({"PYTHONPATH": str(site)} if site else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "distribution"), [("my_method", "ecgkit-my-method"), ("cpc", "ecgkit-cpc")])
def test_what_pip_installed_is_listed_and_passes_its_checks(session: Path, name: str, distribution: str) -> None:
    results, owners = json.loads((session / "results.json").read_text())
    assert owners[name] == distribution
    assert [row for row in results[name] if row[1] != "ok"] == []
    assert len(results[name]) == 14


def test_a_new_method_trains(session: Path) -> None:
    assert (session / "run" / "model.safetensors").is_file()
    assert "ecgkit_my_method" in {path.name for path in (session / "site").iterdir()}


def test_an_example_is_no_part_of_the_core() -> None:
    text = (PROJECT / "pyproject.toml").read_text()
    assert "cpc" not in text


def test_a_new_package_is_small_and_whole(tmp_path: Path) -> None:
    made = new_plugin("two_words", tmp_path / "made")
    files = {str(path.relative_to(made)): path.read_text() for path in made.rglob("*") if path.is_file()}
    assert set(files) == {
        ".ecgkit", "README.md", "pyproject.toml", "ecgkit_two_words/__init__.py", "ecgkit_two_words/config.py",
        "ecgkit_two_words/model.py", "tests/test_two_words.py",
    }  # fmt: skip
    assert "class TwoWords(Method)" in files["ecgkit_two_words/model.py"]
    assert not [name for name, text in files.items() if "{{" in text or "}}" in text]
    code = [line for line in files["ecgkit_two_words/model.py"].splitlines() if line.strip()]
    assert len(code) < 90
    pip = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,W,I,N,UP,B", "--line-length", "120"]
    run([*pip, "--ignore", "N812", "--no-cache", str(made)])


@pytest.mark.parametrize("name", ["", "My", "a-b", "../evil", "a/b", "class", "1st", "a__b", "_a", "a\nb", "ä", "x" * 41])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError, match="the name .* expected lower-case letters"):
        new_plugin(name, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["stmem", "kmerl", "clear"])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError, match="is taken"):
        new_plugin(name, tmp_path / "out")


def test_a_folder_that_exists_is_left_alone(tmp_path: Path, ecgkit) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists; expected a new folder"):
        new_plugin("mine", tmp_path / "out")
    shown = ecgkit("plugins", "new", "mine", "--out", tmp_path / "out")
    assert shown.code == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_says_what_comes_next(tmp_path: Path, ecgkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = ecgkit("plugins", "new", "mine")
    assert shown.code == 0
    assert "ecgkit plugins check mine" in shown.out
    assert (tmp_path / "ecgkit-mine" / "ecgkit_mine" / "model.py").is_file()
