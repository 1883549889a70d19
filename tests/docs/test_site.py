"""The site is built without a warning: every page is in the navigation, every link and anchor leads somewhere."""

import logging
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

import ecgkit
from tests.conftest import PROJECT

# Public names that are no function of the library.
NOT_FUNCTIONS = {"__version__", "hookimpl"}


@pytest.mark.slow
def test_the_site_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")  # material's own word about its future, which strict would count
    site = tmp_path / "site"
    with caplog.at_level(logging.WARNING, logger="mkdocs"):
        build(load_config(str(PROJECT / "mkdocs.yml"), site_dir=str(site)))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    pages = [page.relative_to(PROJECT / "docs") for page in (PROJECT / "docs").rglob("*.md")]
    assert len(pages) > 20
    assert [page for page in pages if not (site / page).with_suffix(".html").is_file()] == []
    described = set(re.findall(r'id="ecgkit\.(\w+)"', (site / "api" / "functions.html").read_text()))
    assert {name for name in ecgkit.__all__ if name.islower() and name.isidentifier()} - described <= NOT_FUNCTIONS
