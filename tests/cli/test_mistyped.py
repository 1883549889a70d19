"""Errors of the command line: the value found, the values allowed, what was meant; and a pipe that nobody reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

CASES = {
    "simulate out --records 0": "--records '0'; expected a whole number of 1 or more",
    "simulate out --records 2.5": "--records '2.5'; expected a whole number of 1 or more",
    "beats score x --tolerance soon": "--tolerance 'soon'; expected a number from 1 to 1000",
    "simulate out --recrds 5": "ecgkit simulate has no option --recrds. Did you mean '--records'?",
    "simulate out --records": "--records is given without a value. See: ecgkit simulate --help",
    "simulate": "ecgkit simulate needs OUT. See: ecgkit simulate --help",
    "methods --json=3": "--json takes no value. See: ecgkit methods --help",
    "methods other": "ecgkit methods cannot take: other. See: ecgkit methods --help",
    "prob": "ecgkit has no command 'prob'. Did you mean 'probe'?",
    "runs delet x": "ecgkit runs has no command 'delet', and no path has this name. Did you mean 'delete'?",
    "plugins chek": "ecgkit plugins has no command 'chek'. Did you mean 'check'?",
}


@pytest.mark.parametrize("typed", CASES)
def test_an_error_shows_the_value_found_and_the_values_allowed(
    ecgkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ecgkit(*typed.split())
    assert (done.code, done.out, done.err) == (2, "", f"error: {CASES[typed]}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("ingest", "", "--out", "a.zarr"), "SRC"),
        (("embed", "runs/a", "--data", "", "--out", "a.npz"), "--data"),
        (("report", "runs", ""), "RESULTS"),
        (("beats", ""), "STORE"),
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    arguments: tuple[str, ...], name: str, ecgkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ecgkit(*arguments)
    assert done.code == 2
    assert done.err.startswith(f"error: {name} is empty")
    assert not list(tmp_path.iterdir())


def test_every_bounded_option_names_its_bounds(ecgkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.cli.test_habits import ALL

    monkeypatch.chdir(tmp_path)
    tried = 0
    for name, command in ALL.items():
        for parameter in command.params:
            limits = parameter if hasattr(parameter, "min") else parameter.type
            low = getattr(limits, "min", None)
            if parameter.param_type_name == "option" and low is not None:
                option = max(parameter.opts, key=len)
                done = ecgkit(*name.split(), option, low - 1)
                assert done.code == 2
                assert done.err.startswith(f"error: {option} '{low - 1}'; expected a"), done.err
                assert str(low) in done.err.split("expected")[1]
                tried += 1
    assert tried > 20


@pytest.mark.parametrize("ends", ["methods", "methods --json", "--help", "simulate --help"])
def test_a_closed_pipe_ends_a_command_quietly(ends: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)  # nobody reads
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ecgkit", *ends.split()],
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        timeout=120,
    )
    os.close(writes)
    assert done.returncode == 0
    assert "rror" not in done.stderr and "Traceback" not in done.stderr
