"""The cards of archives: each is complete, its overlaps hold both ways, and a plugin's card is like one of ours."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ecgkit.archives.card import all_cards, read_card
from ecgkit.archives.overlaps import overlaps_of, shared_archives
from ecgkit.cli import build_app, completion
from ecgkit.entries import ArchiveEntry, DatasetEntry
from ecgkit.errors import ConfigError
from ecgkit.plugins import host


@pytest.mark.parametrize("name", host().entries(ArchiveEntry))
def test_a_card_can_be_read_and_says_how_the_archive_is_read_and_cited(name: str) -> None:
    card = all_cards()[name]
    assert card.citation and card.recognised_by and card.leads
    assert card.read_at and all(re.match("https?://", address) for address in card.read_at)
    assert bool(card.layouts) != bool(card.reading)
    assert set(card.layouts) <= set(host().entries(DatasetEntry))
    assert set(card.overlaps) <= set(all_cards())
    assert name not in card.overlaps
    assert all(name not in all_cards()[other].overlaps for other in card.overlaps), "each pair is stated once"


def test_overlaps_hold_both_ways() -> None:
    assert overlaps_of("cinc2021")["ptb-xl"] == overlaps_of("ptb-xl")["cinc2021"]
    assert "mimic-iv-ecg" not in overlaps_of("ptb-xl")
    found = shared_archives(["cinc2021", "mimic-iv-ecg"], ["ptb-xl", "mimic-iv-ecg"])
    assert [pair[:2] for pair in found] == [("cinc2021", "ptb-xl"), ("mimic-iv-ecg", "mimic-iv-ecg")]
    assert found[1][2] == ""
    assert shared_archives(["a lab's own"], ["ptb-xl"]) == []
    assert shared_archives(["wfdb"], ["wfdb"]) == [], "only what has a card is known to be one archive"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: [", "cannot be read"),
        ("- a list", "holds no mapping"),
        ("title: t\nleads: '12'\nrecognised_by: r\ncitation: c\nlicense: MIT", "licence"),
        ("title: t\nleads: '12'\nrecognised_by: r\ncitation: c\nreading: {headers: '('}", "not a regular expression"),
        ("title: t\nleads: '12'\nrecognised_by: r\ncitation: c\nrecords: many", "records"),
    ],
)
def test_a_wrong_card_is_one_clear_error(tmp_path: Path, monkeypatch, text: str, message: str) -> None:
    package = tmp_path / f"lab_{abs(hash(text))}"  # a module is imported once
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.yaml").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    entry = ArchiveEntry(name="mine", summary="s", target=f"{package.name}:mine.yaml")
    with pytest.raises(ConfigError, match=message):
        read_card.__wrapped__(entry)


def test_the_command_lists_all_and_shows_one() -> None:
    run = CliRunner()
    listed = run.invoke(build_app(), ["datasets", "--json"])
    assert listed.exit_code == 0
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert set(rows) == set(all_cards())
    assert rows["ptb-xl"]["records"] == 21799
    assert rows["ptb-xl"]["overlaps"]["cinc2021"]
    shown = run.invoke(build_app(), ["datasets", "ptb-xl"])
    assert "Wagner et al." in shown.stdout and "10.13026/kfzx-aw45" in shown.stdout
    assert "cinc2021" in shown.stdout
    assert "figures read at" in shown.stdout
    wrong = run.invoke(build_app(), ["datasets", "ptbxl"])
    assert wrong.exit_code != 0


def test_the_shell_completes_layouts_of_modules_and_of_cards() -> None:
    names = [name for name, _ in completion.datasets("")]
    assert {"ptb-xl", "wfdb", "ptbdb", "mit-bih"} <= set(names) and len(names) == len(set(names))
    assert completion.datasets("ptbd") == [("ptbdb", "PTB Diagnostic ECG Database")]
