"""The documentation names what exists: hooks, commands, options, links."""

import re
from pathlib import Path

import pytest

from ecgkit import hookspecs
from ecgkit.cli import build_app
from ecgkit.entries import MethodEntry
from ecgkit.plugins import host

PROJECT = Path(__file__).parent.parent
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("hook", [name for name in vars(hookspecs) if name.startswith("register_")])
def test_every_hook_is_in_the_architecture(hook: str) -> None:
    assert f"`{hook}`" in (PROJECT / "docs" / "architecture.md").read_text()


def test_every_command_is_in_the_readme() -> None:
    readme = (PROJECT / "README.md").read_text()
    names = [c.name for c in build_app().registered_commands] + [g.name for g in build_app().registered_groups]
    assert len(names) >= 10
    for name in names:
        assert f"`ecgkit {name}" in readme, name


def test_every_method_has_a_page() -> None:
    pages = list((PROJECT / "docs" / "methods").glob("*.md"))
    told = "\n".join(page.read_text() for page in pages)  # a page may be about several methods
    for name in host().entries(MethodEntry):
        assert f"{name}.md" in {page.name for page in pages} or f"`{name}`" in told, name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith(("https://", "http://")) or (page.parent / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_line_names_commands_and_options_that_exist(page: Path, ecgkit) -> None:
    for line in re.findall(r"^\$? ?(ecgkit .+)$", page.read_text(), flags=re.MULTILINE):
        words = line.split("#")[0].split()[1:]
        # A group shows its own options; those of its commands stand in their help.
        groups = {g.name: [c.name for c in g.typer_instance.registered_commands] for g in build_app().registered_groups}
        named = words[: 2 if words[1:2] and words[1] in groups.get(words[0], ()) else 1]
        shown = ecgkit(*named, "--help")
        assert shown.code == 0, line
        for option in (w for w in words if w.startswith("--")):
            assert option in shown.out, f"{option} in {line}"


def test_the_readme_holds_the_test_command_that_ci_runs() -> None:
    readme = (PROJECT / "README.md").read_text().splitlines()
    assert readme.count("pip install '.[test]' && pytest -n 2") == 1
    assert "pip install . && ecgkit demo" in readme
