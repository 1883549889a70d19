"""A command imports only the libraries that it uses: to look at a store or to list runs takes no torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecgkit.atomic import mark
from tests.api.runs import make_run

HEAVY = ["torch", "scipy", "sklearn", "matplotlib", "numba", "zarr", "pandas", "requests", "aiohttp", "wfdb", "jinja2"]
PROGRAM = """
import sys
from ecgkit.cli import main
sys.argv = ["ecgkit", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    print("exit", stop.code or 0)
print("imported", *(name for name in {heavy!r} if name in sys.modules))
"""


def imported_by(folder: Path, *arguments: object) -> set[str]:
    """Return which heavy libraries a command imports in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM.format(heavy=HEAVY), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    *_, code, libraries = done.stdout.splitlines()
    assert code == "exit 0", done.stderr
    return set(libraries.split()[1:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run."""
    place = tmp_path_factory.mktemp("folder")
    mark(make_run(place / "runs/a", "stmem"), "run")
    return place


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [(["inspect"], {"pandas", "zarr"}), (["inspect", "--quality"], {"pandas", "zarr"}), (["runs"], set())],
    ids=["inspect", "inspect --quality", "runs"],
)
def test_looking_imports_no_torch(arguments: list[str], needed: set[str], folder: Path, cohort_store: Path) -> None:
    store = [cohort_store] if arguments[0] == "inspect" else []
    assert imported_by(folder, *arguments, *store) <= needed


@pytest.mark.slow
def test_features_of_a_file_need_no_store_no_chart_and_no_network(folder: Path, cohort: Path) -> None:
    recording = next(iter(sorted(cohort.rglob("*.hea"))))
    needed = {"torch", "scipy", "numba", "pandas"}
    assert imported_by(folder, "embed", "runs/a", "--data", recording, "--out", folder / "a.npz") <= needed
