"""your-data.md shows what its commands print: each is run on small generated files, and what it prints is compared."""

from pathlib import Path

import pytest

from tests.docs.blocks import CONSOLE, PYTHON, read_blocks
from tests.docs.your_data import PAGE, TEST, printed_by_commands, without_hash, without_time, write_inputs


@pytest.mark.slow
def test_every_command_prints_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs(tmp_path)
    blocks = {b.line: b for b in read_blocks(PAGE) if b.run_by == TEST and b.language == CONSOLE}
    assert len(blocks) > 15
    for line, printed in printed_by_commands(tmp_path):
        shown = without_hash(without_time(blocks[line].code))
        assert shown == without_hash(printed), f"your-data.md:{line}; run: python -m tests.docs.your_data"
    monkeypatch.chdir(tmp_path)
    for block in read_blocks(PAGE):
        if block.run_by == TEST and block.language == PYTHON:
            exec(compile(block.code, "your-data.md", "exec"), {})
