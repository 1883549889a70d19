"""Runs what a page's blocks say, with sizes made small.

What a reader gets is never touched: only these rules make a command smaller, and each keeps what the command shows.
"""

import contextlib
import dataclasses
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ecgkit.entries import MethodEntry, load_target
from ecgkit.plugins import host
from tests.docs.blocks import PYTHON, Block

# A size on the line is replaced, and one that would be large without being named is named.
SMALLER = (
    (r"(--method \S+)(?!.*--preset)", r"\1 --preset tiny"),
    (r"(--preset) soup\b", r"\1 soup-tiny"),
    (r"(--preset) (base|large|small|gate|resnet\d+|vit-\w+)\b", r"\1 tiny"),
    (r"(--scratch)(?!.*--epochs)", r"\1 --epochs 1"),
    (r"(--epochs) \d+", r"\1 1"),
    (r"(--records) \d+", r"\1 120"),
    (r"(--label-counts) \S+", r"\1 20,30"),
    (r"(--seeds) \d+", r"\1 2"),
)
# What the line leaves open is set by the environment, as docs/cli.md has it.
ENVIRONMENT = {
    "ECGKIT_PRETRAIN_EPOCHS": "1",
    "ECGKIT_PRETRAIN_WORKERS": "0",
    "ECGKIT_EXTRACT_KNOWLEDGE_RUN_MIN_COUNT": "2",
    "MPLBACKEND": "Agg",
}


# Encoders are made shallow, whatever their preset says, and see one crop of a record.
SHALLOW = {
    "depth": 1,
    "width": 64,
    "heads": 2,
    "decoder_depth": 1,
    "latent_depth": 1,
    "query_layers": 1,
    "layers": 1,
    "channels": 8,
}


@contextlib.contextmanager
def shallow_presets() -> Iterator[None]:
    """Make the tiny preset of every family smaller still."""
    with pytest.MonkeyPatch.context() as patch:
        for name, entry in host().entries(MethodEntry).items():
            presets = load_target(entry.presets, name)
            for preset in [preset for preset in presets if "tiny" in preset]:
                patch.setitem(presets, preset, shallow(presets[preset]))
        yield


def shallow(config: Any) -> Any:
    """Return a method's config with fewer layers and one evaluation crop; its width stays where it has no heads."""
    fields = {field.name for field in dataclasses.fields(config)}
    wanted = {name: small for name, small in SHALLOW.items() if name in fields}
    now = {name: getattr(config, name) for name in wanted}  # the channels of some families are a list
    wanted = {name: min(wanted[name], size) for name, size in now.items() if isinstance(size, int)}
    signal = dataclasses.replace(config.signal, eval_starts=config.signal.eval_starts[:1])
    return dataclasses.replace(config, signal=signal, **wanted)


def smaller(line: str) -> str:
    """Return a command line with its sizes made small."""
    for pattern, small in SMALLER:
        line = re.sub(pattern, small, line)
    return line


def clear_the_way(blocks: list[Block], folder: Path) -> None:
    """Remove the stand-ins that a page makes itself, as they are not there yet for who reads it."""
    for line in (line for block in blocks if block.language != PYTHON for line in block.commands):
        words = shlex.split(line, comments=True)
        made = words[2:3] if words[1:2] == ["simulate"] else []
        if words[1:2] in (["ingest"], ["pretrain"]) and "--out" in words:
            made = [words[words.index("--out") + 1]]
        for name in made:
            shutil.rmtree(folder / name, ignore_errors=True)


def run_block(block: Block, folder: Path, names: dict[str, Any]) -> None:
    """Run a block in a folder; Python shares its names with the blocks before it.

    Raises:
        AssertionError: A command failed; says which, where, and what it printed.
    """
    if block.language == PYTHON:
        code = "\n" * block.line + block.code
        exec(compile(code, str(block.page), "exec"), names)
        return
    for line in block.commands:
        folder = run_line(line, folder, f"{block.page.name}:{block.line}")


def run_line(line: str, folder: Path, where: str = "") -> Path:
    """Run one line of a shell and return the folder that the shell is in then."""
    words = shlex.split(line, comments=True)
    if words[0] == "cd":
        return folder / words[1]
    if words[0] == "ecgkit" and "|" not in words and ">" not in words:
        program(line, folder, where)
        return folder
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **ENVIRONMENT, "PATH": path}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", smaller(line)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{where} {line}\n{done.stdout}{done.stderr}"
    return folder


def program(line: str, folder: Path, where: str = "") -> str:
    """Run one `ecgkit` line in this process, with small sizes, and return what it printed."""
    words = shlex.split(smaller(line), comments=True)
    with shallow_presets():
        code, printed = call(words, folder, ENVIRONMENT)
    assert code == 0, f"{where} {' '.join(words)}\n{printed}"
    return printed


def call(words: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run `ecgkit` in this process and return its exit code and what it printed."""
    from ecgkit.cli import main

    kept, arguments = dict(os.environ), sys.argv
    os.environ.update(environment)
    sys.argv, printed, code = words, io.StringIO(), 0
    try:
        with (
            contextlib.chdir(folder),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = arguments
        os.environ.clear()
        os.environ.update(kept)
    return code, printed.getvalue()
