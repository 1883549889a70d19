"""Writes the pages of this folder from the code: ``python docs/reference/build.py``.

Commands and options come from the program itself, hooks from their docstrings, settings from the dataclasses of
configs and the ``Args`` of their docstrings. A test fails while a page differs from what this writes, or a line is
missing.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import typer

from ecgkit import hookspecs
from ecgkit.archives.card import ArchiveCard, all_cards
from ecgkit.cli import build_app
from ecgkit.config import to_dict
from ecgkit.distribution import DISTRIBUTION
from ecgkit.entries import ArchiveEntry, AugmentationEntry, HeadEntry, MethodEntry
from ecgkit.evaluation.heads.settings import head_config
from ecgkit.methods import method_config
from ecgkit.plugins import host
from ecgkit.recipe import Recipe
from ecgkit.signal.augment.views import Augment, Views
from ecgkit.signal.spec import SignalSpec

HERE = Path(__file__).parent
SHARED = ((Recipe, "recipe"), (SignalSpec, "signal"), (Views, "views"), (Augment, "views.augmentations"))
MADE = "<!-- Written by docs/reference/build.py; do not edit. -->"


def pages() -> dict[str, str]:
    """Return every page's text by its file name."""
    return {
        "commands.md": commands(),
        "hooks.md": hooks(),
        "settings.md": settings(),
        "entries.md": entries(),
        "archives.md": archives(),
    }


def commands() -> str:
    """Return the page of commands: each with its arguments and options."""
    lines = [
        "# Commands",
        "",
        "`ecgkit COMMAND --help` says the same.",
        "",
    ]
    for name, command in _walk("ecgkit", typer.main.get_command(build_app())):
        lines += [f"## {name}", "", _prose(command.help or command.short_help or ""), ""]
        rows = [_option(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            lines += ["| option | what it is | default |", "| --- | --- | --- |", *rows, ""]
    return _page(lines)


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for sub in getattr(command, "commands", {}).values():
        yield from _walk(f"{name} {sub.name}", sub)


def _option(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    shown = ", ".join(f"`{n}`" for n in names) if parameter.param_type_name == "option" else f"`{names[0].upper()}`"
    help_ = getattr(parameter, "help", "") or ""
    default = "" if parameter.default in (None, "", False, ()) or callable(parameter.default) else parameter.default
    variable = f" (`{parameter.envvar}`)" if getattr(parameter, "envvar", None) else ""
    needed = "required" if parameter.required else (f"`{default}`" if default != "" else "")
    return f"| {shown} | {_cell(help_)}{variable} | {needed} |"


def hooks() -> str:
    """Return the page of hooks and of what each takes."""
    about, _, example = (inspect.getdoc(hookspecs) or "").partition("    import ecgkit")
    lines = [
        "# Hooks",
        "",
        _prose(about),
        "",
        "```python",
        *f"    import ecgkit{example}".replace("\n    ", "\n").strip().split("\n"),
        "```",
        "",
    ]
    for name, hook in vars(hookspecs).items():
        if not name.startswith("register_"):
            continue
        entry = get_type_hints(hook)["register"].__args__[0]
        lines += [f"## {name}", "", _prose(inspect.getdoc(hook) or ""), ""]
        lines += [f"Takes `ecgkit.{entry.__name__}`: {_prose(_summary(entry))}", "", *_fields(entry), ""]
    return _page(lines)


def settings() -> str:
    """Return the page of settings: what ``--set`` changes, by method, head and augmentation."""
    lines = ["# Settings", "", "`--set KEY=VALUE` changes one, `--config FILE.yaml` several.", ""]
    for name, entry in sorted(host().entries(MethodEntry).items()):
        preset, config = method_config(entry, "")
        lines += [f"## Method {name}", "", f"Defaults: preset `{preset}`.", "", *_fields(type(config), config), ""]
    for name, head in sorted(host().entries(HeadEntry).items()):
        chosen = head_config(head, [])
        if chosen is not None:
            lines += [f"## Head {name}", "", *_fields(type(chosen), chosen), ""]
    for name, entry in sorted(host().entries(AugmentationEntry).items()):
        kind = entry.load()
        lines += [f"## Augmentation {name}", "", _prose(_summary(kind)), ""]
        lines += [*_fields(kind), ""] if dataclasses.fields(kind) else []
    for shared, title in SHARED:
        lines += [f"## `{title}`", "", _prose(_summary(shared)), "", *_fields(shared), ""]
    return _page(lines)


def entries() -> str:
    """Return the page of what ecgkit itself registers, kind by kind: methods, heads, tasks and all others."""
    lines = [
        "# What is registered",
        "",
        "By ecgkit and its own families. `ecgkit plugins list` shows what is installed besides.",
        "",
    ]
    for kind in _kinds():
        found = {
            name: entry
            for name, entry in host().entries(kind).items()
            if host().owner(entry).distribution == DISTRIBUTION
        }
        rows = [f"| `{name}` | {_cell(entry.summary)}{_needs(entry)} |" for name, entry in sorted(found.items())]
        if rows:
            lines += [f"## {kind.kind.capitalize()}", "", "| name | what it is |", "| --- | --- |", *rows, ""]
    return _page(lines)


def archives() -> str:
    """Return the page of published archives: a table of all, and which of them share recordings."""
    cards = {name: card for name, card in all_cards().items() if _ships(name)}
    heads = ["archive", "records", "patients", "leads", "Hz", "licence", "labels", "cite"]
    lines = [
        "# Published archives",
        "",
        "`ecgkit datasets` lists them, and `ecgkit datasets NAME` shows one in full. A figure that could not be",
        "verified is unknown.",
        "",
        f"| {' | '.join(heads)} |",
        f"| {' | '.join('---' for _ in heads)} |",
        *(f"| {' | '.join(map(_cell, _archive(card)))} |" for card in cards.values()),
        "",
        "## Archives that share recordings",
        "",
        "A model that was pretrained on one of a pair may have seen test records of the other. A probe warns of it.",
        "",
        "| archive | archive | what they share |",
        "| --- | --- | --- |",
        *(
            f"| `{name}` | `{other}` | {_cell(what)} |"
            for name, card in cards.items()
            for other, what in card.overlaps.items()
        ),
    ]
    return _page(lines)


def _ships(name: str) -> bool:
    return host().owner(host().get(ArchiveEntry, name)).distribution == DISTRIBUTION


def _archive(card: ArchiveCard) -> list[str]:
    counts = ["unknown" if number is None else f"{number:,}" for number in (card.records, card.patients)]
    rates = ", ".join(f"{fs:g}" for fs in card.fs) or "-"
    name = f"[`{card.name}`]({card.page})" if card.page else f"`{card.name}`"
    cite = f"{card.citation}, doi {card.doi}" if card.doi else card.citation
    return [name, *counts, card.leads, rates, card.licence or "unknown", card.labels, cite]


def _kinds() -> list[type[Any]]:
    """Return the class of entries that each hook takes, in the order of the hooks."""
    hooked = [hook for name, hook in vars(hookspecs).items() if name.startswith("register_")]
    return [get_type_hints(hook)["register"].__args__[0] for hook in hooked]


def _needs(entry: Any) -> str:
    needs = getattr(entry, "needs", ())
    return f"; needs {', '.join(f'`{name}`' for name in needs)}" if needs else ""


def _fields(kind: type, values: Any = None) -> list[str]:
    described = arguments(kind)
    rows = []
    for field in dataclasses.fields(kind):
        default = getattr(values, field.name) if values is not None else _default(field)
        rows.append(f"| `{field.name}` | {_cell(described[field.name])} | {_value(default)} |")
    return ["| field | what it is | default |", "| --- | --- | --- |", *rows]


def _default(field: Any) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else dataclasses.MISSING


def _value(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "required"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = ", ".join(f"{key}: {inner}" for key, inner in to_dict(value).items())
    return f"`{_cell(str(value))}`" if str(value) else ""


def arguments(kind: type) -> dict[str, str]:
    """Return what a docstring's ``Args`` says of each field.

    Raises:
        KeyError: A field has no line.
    """
    found: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        _, _, after = inspect.cleandoc(ancestor.__doc__ or "").partition("Args:\n")
        for match in re.finditer(r"^    (\w+): (.*(?:\n        .*)*)", after, re.MULTILINE):
            found[match[1]] = " ".join(match[2].split())
    missing = [field.name for field in dataclasses.fields(kind) if field.name not in found]
    if missing:
        raise KeyError(f"the docstring of {kind.__name__} says nothing of {', '.join(missing)}")
    return found


def _summary(kind: type) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0]


def _prose(text: str) -> str:
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split("Args:")[0].split()))


def _cell(text: str) -> str:
    return _prose(text).replace("|", "\\|").replace("<", "&lt;")


def _page(lines: list[str]) -> str:
    return "\n".join([MADE, "", *lines]).rstrip() + "\n"


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
        print(f"wrote {HERE / name}")
