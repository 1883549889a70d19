"""A new plugin, and the one in ``examples/``: installed by pip, they list, pass their checks and train, untouched."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ecgkit.errors import OutputError, PluginError
from ecgkit.scaffold import new_plugin
from ecgkit.testing import CHECKS
from tests.conftest import PROJECT

PAGE = PROJECT / "docs" / "your-own-method.md"
# Lines of the page that are not run, and why.
NOT_RUN = {
    "pip install --no-deps -e ecgkit-my-method": "pip installs it into a folder of the test's own",
    "ecgkit plugins new my_method": "run before pip",
    "ecgkit plugins check my_method --only leads --only resume": "all checks are made",
    "ecgkit plugins check my_method --compiler inductor --json": "makes code for minutes",
}
SESSION = """
import json, shlex, sys
from pathlib import Path
from ecgkit.testing import check_method
from ecgkit.plugins import host
from ecgkit.entries import MethodEntry
import ecgkit.cli

def program(line):
    sys.argv = shlex.split(line)
    try:
        ecgkit.cli.main()
    except SystemExit as stop:
        assert not stop.code, (line, stop.code)

if __name__ == "__main__":
    for line in json.loads(sys.argv[1]):
        program(line)
    results = [(r.check, r.outcome, r.why) for r in check_method("cpc_gru")]
    owners = {name: host().owner(host().get(MethodEntry, name)).distribution for name in ("my_method", "cpc_gru")}
    Path("results.json").write_text(json.dumps([results, owners]))
"""


def commands() -> list[str]:
    """The page's commands, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install both with pip into a folder of their own, then run the page's commands in a process that sees it."""
    folder = tmp_path_factory.mktemp("installed")
    site = folder / "site"
    run([sys.executable, "-m", "ecgkit", "plugins", "new", "my_method"], folder)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    example = shutil.copytree(PROJECT / "examples" / "ecgkit-cpc", folder / "example")  # builds leave files behind
    run([*pip, "--target", str(site), "./ecgkit-my-method", str(example)], folder)
    (folder / "session.py").write_text(SESSION)
    lines = [line for line in commands() if line not in NOT_RUN]
    run([sys.executable, "session.py", json.dumps(lines)], folder, PYTHONPATH=str(site))
    return folder


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_says_why_a_line_is_not_run() -> None:
    assert set(NOT_RUN) <= set(commands())


@pytest.mark.slow
def test_what_pip_installed_is_listed_and_passes_its_checks(session: Path) -> None:
    # `plugins check my_method` of the page would have ended the session.
    results, owners = json.loads((session / "results.json").read_text())
    assert owners == {"my_method": "ecgkit-my-method", "cpc_gru": "ecgkit-cpc"}
    assert [row for row in results if row[1] not in ("ok", "skipped")] == []
    # CPC compares records, and has neither sampler, views nor a run that it is built on.
    assert {row[0] for row in results if row[1] == "skipped"} == {
        "accumulation",
        "sampler",
        "augmentations",
        "built-on",
    }
    assert len(results) == len(CHECKS)


def test_a_new_method_trains_and_is_reported(session: Path) -> None:
    assert (session / "runs" / "my_method" / "model.safetensors").is_file()
    assert "my_method" in (session / "report.html").read_text()


def test_an_example_is_no_part_of_the_core() -> None:
    text = (PROJECT / "pyproject.toml").read_text()
    assert "cpc_gru" not in text


def test_a_new_package_is_small_and_whole(tmp_path: Path) -> None:
    made = new_plugin("two_words", tmp_path / "made")
    files = {str(path.relative_to(made)): path.read_text() for path in made.rglob("*") if path.is_file()}
    assert set(files) == {
        ".ecgkit",
        "README.md",
        "pyproject.toml",
        "ecgkit_two_words/__init__.py",
        "ecgkit_two_words/config.py",
        "ecgkit_two_words/model.py",
        "ecgkit_two_words/py.typed",
        "tests/test_two_words.py",
    }
    assert "class TwoWords(Method)" in files["ecgkit_two_words/model.py"]
    assert not [name for name, text in files.items() if "{{" in text or "}}" in text]
    code = [line for line in files["ecgkit_two_words/model.py"].splitlines() if line.strip()]
    assert len(code) < 90
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,W,N,UP,B", "--line-length", "120"]
    run([*ruff, "--ignore", "N812", "--no-cache", str(made)], tmp_path)


@pytest.mark.parametrize(
    "name", ["", "My", "a-b", "../evil", "a/b", "class", "1st", "a__b", "_a", "a\nb", "ä", "x" * 41]
)
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
    with pytest.raises(OutputError, match="exists. Use another --out"):
        new_plugin("mine", tmp_path / "out")
    shown = ecgkit("plugins", "new", "mine", "--out", tmp_path / "out")
    assert shown.code == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_says_what_comes_next(tmp_path: Path, ecgkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = ecgkit("plugins", "new", "mine")
    assert shown.code == 0
    assert "next: ecgkit plugins check mine" in shown.err
    assert (tmp_path / "ecgkit-mine" / "ecgkit_mine" / "model.py").is_file()
