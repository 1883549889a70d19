"""The demo claims its folder at once, or not at all."""

from pathlib import Path

import pytest

from ecgkit.api.demo import SETTINGS, _claim
from ecgkit.config import read_yaml
from ecgkit.errors import OutputError


def test_a_demo_that_was_killed_while_it_claimed_its_folder_begins(tmp_path: Path) -> None:
    out, wanted = tmp_path / "demo", {"records": 100, "seed": 0}
    out.mkdir()
    (out / ".demo.123.partial.yaml").write_text("rec")
    _claim(out, wanted)
    _claim(out, wanted)
    assert read_yaml(out / SETTINGS) == wanted
    with pytest.raises(OutputError, match="other settings"):
        _claim(out, {**wanted, "seed": 1})
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").touch()
    with pytest.raises(OutputError, match="not empty"):
        _claim(tmp_path / "thesis", wanted)
