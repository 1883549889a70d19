"""The commands of your-data.md about published archives, on a small generated one, and what they print."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgkit.store.reader import Store
from tests.conftest import PROJECT, Outcome, write_wfdb
from tests.docs.blocks import read_blocks
from tests.download.server import Mirror, serving

PAGE = PROJECT / "docs" / "howto" / "your-data.md"
RUN_BY = "tests/docs/test_archive_pages.py"
LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6", "vx", "vy", "vz")
RECORDS = {"patient001/s0010_re": "Myocardial infarction", "patient001/s0014lre": "Myocardial infarction"}
RECORDS |= {"patient104/s0306lre": "Healthy control"}


def beats(samples: int, seed: int) -> NDArray[np.float64]:
    """Return 15 leads with one R wave per 800 samples, which obey the laws of the limb leads."""
    at = np.arange(samples)[:, None] - np.arange(400 + 10 * seed, samples, 800)
    wave = np.exp(-((at / 12) ** 2)).sum(1) - 0.2 * np.exp(-(((at - 30) / 15) ** 2)).sum(1)
    size = np.array([1, 1.5, 0.5, -1.25, 0.25, 1, -0.5, -0.3, 0.4, 1, 1.2, 1, 1, 0.8, -0.4])
    return np.outer(size, wave)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror of three records in the layout of PTB Diagnostic; the current folder is empty."""
    source = tmp_path / "source"
    for number, (path, reason) in enumerate(RECORDS.items()):
        folder, name = path.split("/")
        signal = beats(4000, number)
        comments = ("age: 81", "sex: female", f"Reason for admission: {reason}")
        write_wfdb(source / folder, name, signal, LEADS, fs=1000, comments=comments)
    held = Mirror({str(f.relative_to(source)): f.read_bytes() for f in sorted(source.rglob("*")) if f.is_file()})
    held.list_files()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("COLUMNS", "100")
    with serving(held, "/files/ptbdb/1.0.0/") as served:
        yield served


def plain(text: str) -> str:
    """Return what is printed, without times, which differ from run to run."""
    lines = re.sub(r"\d+\.\d s", "0.0 s", text).splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def test_the_commands_of_the_page(mirror: Mirror, tmp_path: Path, ecgkit: Callable[..., Outcome]) -> None:
    blocks = [block for block in read_blocks(PAGE) if block.run_by == RUN_BY]
    assert len(blocks) == 4
    for block in sorted(blocks, key=lambda block: "download" not in block.commands[0]):
        (command,) = block.commands
        words = command.split()[1:]
        outcome = ecgkit(*words, *(("--base", mirror.address) if words[0] == "download" else ()))
        assert outcome.code == 0, outcome.err
        shown = plain(block.code.partition("\n")[2])
        assert shown == plain(outcome.out + outcome.err), command
        if words[0] == "download":
            shutil.make_archive("ptbdb", "zip", Path(), "ptbdb")
    stores = [Store(Path(name)) for name in ("ptb.zarr", "zipped.zarr")]
    assert [store.table["patient_id"].tolist() for store in stores] == [["patient001", "patient001", "patient104"]] * 2
    assert stores[0].content_hash == stores[1].content_hash
