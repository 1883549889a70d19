"""The plugins in ``examples/``, each in a process that finds it as pip would: its own tests, and the kit's checks."""

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import PROJECT

EXAMPLES = sorted(path.parent for path in (PROJECT / "examples").glob("ecgkit-*/pyproject.toml"))
NAMES = [path.name.removeprefix("ecgkit-") for path in EXAMPLES]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the examples are found: their folders, and what pip would write of them."""
    site = tmp_path_factory.mktemp("site")
    for path in EXAMPLES:
        project = tomllib.loads((path / "pyproject.toml").read_text())["project"]
        info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        points = "\n".join(f"{name} = {target}" for name, target in project["entry-points"]["ecgkit"].items())
        (info / "entry_points.txt").write_text(f"[ecgkit]\n{points}\n")
    paths = [str(site), str(PROJECT), *map(str, EXAMPLES)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def run(path: Path, environment: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"--rootdir={path}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_its_own_tests_pass(path: Path, installed: dict[str, str]) -> None:
    name = path.name.removeprefix("ecgkit-")
    run(path, installed, "tests", f"--deselect=tests/test_{name}.py::test_{name}")


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_it_passes_every_check_of_the_kit(path: Path, installed: dict[str, str]) -> None:
    name = path.name.removeprefix("ecgkit-")
    run(path, installed, f"tests/test_{name}.py::test_{name}")


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_examples_share_no_code(path: Path) -> None:
    """What two examples need belongs into the core: no function or class is written twice."""
    own = definitions(path)
    for other in EXAMPLES:
        if other != path:
            shared = own & definitions(other)
            assert not shared, f"{path.name} and {other.name} both hold {shared}"


def definitions(path: Path) -> set[str]:
    """Return the bodies of a package's functions, without docstrings, that are longer than a few lines."""
    found = set()
    for file in path.glob("ecgkit_*/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                text = "\n".join(map(ast.unparse, body))
                if text.count("\n") >= 3:
                    found.add(text)
    return found
