"""What outside users' checks run is what `.ci/run` runs, and the tested versions fit what pyproject.toml allows."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.conftest import PROJECT

ABOUT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
RUNTIME = {name: needs for name, needs in ABOUT["optional-dependencies"].items() if name not in ("docs", "test")}
JOBS: dict[str, Any] = yaml.safe_load((PROJECT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]
PINNED = {
    name: Requirement(line)
    for line in (PROJECT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
    for name in [line.partition("==")[0]]
}


def lines_of(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def pythons(job: str) -> list[str]:
    matrix = JOBS[job].get("strategy", {}).get("matrix", {}).get("python")
    steps = [step["with"]["python-version"] for step in JOBS[job]["steps"] if "with" in step]
    return matrix or steps


def test_ci_runs_the_command_of_the_readme() -> None:
    script = (PROJECT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -m1 -E \"(.+)\" README.md", script)
    assert pattern
    found = re.findall(pattern[1] + ".*$", (PROJECT / "README.md").read_text(), flags=re.MULTILINE)
    assert found == ["pip install '.[test]' && pytest -n 2"]


def test_the_whole_script_runs_with_the_oldest_and_the_newest_python() -> None:
    assert lines_of("newest") == ["bash .ci/run"]
    known = re.findall(r"Python :: (3\.\d+)", " ".join(ABOUT["classifiers"]))
    assert pythons("newest") == [known[0], known[-1]]
    assert ABOUT["requires-python"] == f">={known[0]}"


def test_it_runs_with_the_tested_versions() -> None:
    assert lines_of("tested") == ['PIP_CONSTRAINT="$PWD/constraints.txt" bash .ci/run']


def test_its_tests_run_with_the_lowest_allowed_versions() -> None:
    *_, resolve, run = lines_of("lowest")
    assert re.findall(r"--extra (\S+)", resolve) == [*RUNTIME]
    assert "--resolution lowest-direct" in resolve
    assert run == 'PIP_CONSTRAINT="$PWD/lowest.txt" bash .ci/run tests'


@pytest.mark.parametrize("line", [*ABOUT["dependencies"], *(line for needs in RUNTIME.values() for line in needs)])
def test_each_requirement_has_a_tested_version_that_it_allows(line: str) -> None:
    need = Requirement(line)
    version = str(PINNED[need.name.lower()].specifier).removeprefix("==")
    assert need.specifier.contains(version)
    assert any(spec.operator == ">=" for spec in need.specifier), "a lowest version"


def test_tested_versions_name_no_index_and_no_build() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", str(need)) for need in PINNED.values())


def test_the_command_that_writes_them_is_told() -> None:
    assert "python .ci/constraints.py > constraints.txt" in (PROJECT / "CONTRIBUTING.md").read_text()
    assert Path(PROJECT / ".ci" / "constraints.py").is_file()
