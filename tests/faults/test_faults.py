"""The tool that injects faults sees what it should; a sample of its trials of ``ingest`` holds what is promised."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.faults.trial import forked

POINTS = (
    "open out.txt.new",
    "fsync out.txt.new",
    "os.rename out.txt.new",
    "open careless.txt",
)


def work() -> None:
    """Write one file with care, and one without."""
    with open("out.txt.new", "wb") as file:
        file.write(b"A" * 100)
        file.flush()
        os.fsync(file.fileno())
    os.replace("out.txt.new", "out.txt")
    Path("careless.txt").write_text("B" * 100)


def test_every_write_is_a_point_and_each_fault_has_its_effect(tmp_path: Path) -> None:
    def files(fault: str, at: int) -> tuple[int, str, dict[str, bytes]]:
        root = tmp_path / f"{fault}{at}"
        root.mkdir()
        ended = forked(work, root, fault, at)
        assert ended.points == POINTS[: len(ended.points)]
        return ended.code, ended.text, {path.name: path.read_bytes() for path in root.iterdir()}

    whole = {"out.txt": b"A" * 100, "careless.txt": b"B" * 100}
    assert files("", -1) == (0, "", whole) and files("slow", -1)[2] == whole
    assert files("kill", 2) == (-9, "", {"out.txt.new": b"A" * 100})
    assert files("kill", 3)[2] == {"out.txt": b"A" * 100}
    assert files("power", 1)[2] == {"out.txt.new": b""} and files("power", 2)[2] == {"out.txt.new": b"A" * 100}
    code, text, left = files("full", 1)  # from the sync on: no byte more
    assert (code, left) == (70, {"out.txt": b"A" * 100}) and "No space left on device" in text
    code, text, left = files("denied", 2)
    assert code == 70 and "Permission denied" in text and set(left) == {"out.txt.new"}
    code, _, left = files("flip", 2)
    assert code == 0 and left["out.txt"] == b"A" * 50 + b"I" + b"A" * 49


def _tool(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_sample_of_the_faults_of_an_ingest() -> None:
    assert "6 trials, 0 failed" in _tool("ingest", "--sample", "1", "--seed", "5")


@pytest.mark.slow  # five programs, each with all its points until the first failure
def test_the_tool_finds_programs_that_are_broken_on_purpose() -> None:
    lines = _tool("--broken").splitlines()
    assert len(lines) == 5 and all(line.startswith("found ") for line in lines)
