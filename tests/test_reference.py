"""The reference pages say what the code says: a hook, command, option or setting without a line fails here."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from ecgkit.cli import build_app

FOLDER = Path(__file__).parent.parent / "docs" / "reference"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_build", FOLDER / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_what_the_code_says(build: ModuleType) -> None:
    for name, text in build.pages().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"run: python docs/reference/build.py ({name})"


def test_every_option_says_what_it_is() -> None:
    def check(name: str, command: Any) -> None:
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.opts[0]}"
        for sub in getattr(command, "commands", {}).values():
            check(f"{name} {sub.name}", sub)

    check("ecgkit", typer.main.get_command(build_app()))


def test_a_setting_without_a_line_is_an_error(build: ModuleType) -> None:
    import dataclasses

    @dataclasses.dataclass
    class Silent:
        """A config.

        Args:
            told: What it is.
        """

        told: int = 0
        untold: int = 0

    with pytest.raises(KeyError, match="untold"):
        build.arguments(Silent)
