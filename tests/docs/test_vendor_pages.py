"""The commands of your-data.md that read files of devices and hospital systems, on generated files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ecgkit.store.reader import Store
from tests.conftest import PROJECT, Outcome
from tests.datasets import vendor_files as make
from tests.docs.blocks import read_blocks

PAGE = PROJECT / "docs" / "howto" / "your-data.md"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("muse-export", "pacs/study", "holter"):
        (tmp_path / name).mkdir(parents=True)
    make.write_muse(tmp_path / "muse-export" / "1.xml", make.counts(1000, 8))
    make.write_sierra(tmp_path / "muse-export" / "2.xml", make.counts(1000))
    make.write_dicom(tmp_path / "pacs" / "study" / "IM000001", make.counts(1000))
    make.write_edf(tmp_path / "holter" / "a.edf", make.counts(1000))
    make.write_scp(tmp_path / "holter" / "b.scp", make.counts(1000, 8))
    make.write_ishne(tmp_path / "holter" / "c.ecg", make.counts(1000, 3))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_page(files: Path, ecgkit: Callable[..., Outcome]) -> None:
    blocks = [block for block in read_blocks(PAGE) if block.run_by == "tests/docs/test_vendor_pages.py"]
    assert len(blocks) == 4
    (files / "key.txt").write_text("a key of this test\n")
    for block in blocks:
        for command in block.commands:
            if command.startswith("ecgkit"):
                outcome = ecgkit(*command.split()[1:])
                assert outcome.code == 0, outcome.err
    taken = {name: len(Store(files / f"{name}.zarr").table) for name in ("muse", "pacs", "holter", "hashed")}
    assert taken == {"muse": 2, "pacs": 1, "holter": 3, "hashed": 1}
    assert Store(files / "hashed.zarr").table["patient_id"][0] != Store(files / "pacs.zarr").table["patient_id"][0]
