"""The rules of the house, checked on the source: imports run downhill, and the core names no family."""

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parent.parent / "ecgkit"
PLUGINS = CORE.parent / "plugins"
# From the top of the hill to the bottom; a module imports from its own room and from those above it.
ROOMS = (
    "distribution",
    "errors",
    "wording",
    "choices",
    "progress",
    "interrupt",
    "schedules",
    "entries",
    "hookspecs",
    "addresses",
    "atomic",
    "parquet",
    "lock",
    "unfinished",
    "plugins",
    "config",
    "compiled",
    "leads",
    "signal",
    "recording",
    "executor",
    "parts",
    "cells",
    "slurm",
    "store",
    "signatures",
    "archives",
    "packed",
    "download",
    "datasets",
    "ingestion",
    "beats",
    "knowledge",
    "cohort",
    "simulate",
    "nn",
    "text",
    "recipe",
    "optimizers",
    "methods",
    "tasks",
    "training",
    "evaluation",
    "reporting",
    "browsing",
    "arrays",
    "inference",
    "export",
    "testing",
    "scaffold",
    "workspace",
    "studies",
    "api",
    "cli",
    "__main__",
)


# Rooms inside the two largest rooms, in the same order.
INNER_ROOMS = {
    "evaluation": ("features", "protocols", "results", "scores", "heads", "probe", "analyses", "suites"),
    "reporting": ("elements", "pictures", "tables", "sections", "page"),
}


def room_of(module: str) -> str:
    return module.split(".")[1]


def inner_room_of(module: str) -> int | None:
    """Return the floor of a module inside its room, for rooms that have rooms of their own."""
    parts = module.split(".")
    rooms = INNER_ROOMS.get(parts[1], ()) if len(parts) > 2 else ()
    return rooms.index(parts[2]) if rooms and parts[2] in rooms else None


def imports_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found += [f"{node.module}.{name.name}" for name in node.names]
    return found


MODULES = sorted(p for p in CORE.rglob("*.py") if p != CORE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(CORE)))
def test_imports_run_downhill(path: Path) -> None:
    module = "ecgkit." + ".".join(path.relative_to(CORE).with_suffix("").parts).removesuffix(".__init__")
    here = ROOMS.index(room_of(module))
    # A package's __init__ registers its entries with the plugin host, which stands above every room.
    for name in imports_of(path):
        parts = name.split(".")
        if (
            parts[0] == "ecgkit"
            and len(parts) > 1
            and (CORE / parts[1]).with_suffix(".py").exists() | (CORE / parts[1]).is_dir()
        ):
            assert ROOMS.index(room_of(name)) <= here, f"{module} imports {name}, which stands below it"
            own, other = inner_room_of(module), inner_room_of(name)
            if room_of(name) == room_of(module) and own is not None and other is not None:
                assert other <= own, f"{module} imports {name}, which stands below it in the same room"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(CORE)))
def test_the_core_names_no_family(path: Path) -> None:
    families = [p.name for p in PLUGINS.iterdir() if p.is_dir()]
    names = {f.removeprefix("ecgkit_") for f in families}
    assert not [name for name in imports_of(path) if name.split(".")[0] in families]
    strings = [n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)]
    assert not names & {s for s in strings if isinstance(s, str)}


@pytest.mark.parametrize("path", MODULES + sorted(PLUGINS.rglob("*.py")), ids=lambda p: p.stem)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
