"""Draws ``rooms.png`` from the code: each room with what it imports, always from rooms above it.

    python docs/images/draw_rooms.py

The order is that of ``tests/test_architecture.py``, the arrows are the imports that stand in the source.
"""

import ast
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

HERE = Path(__file__).parent
CORE = HERE.parents[1] / "ecgkit"
# Rooms in rows, from the top of the hill to the bottom; a row's rooms say what they are for.
FLOORS = (
    ("ground rules", ("errors", "entries", "hookspecs", "atomic", "plugins", "config", "compiled")),
    ("an ECG", ("leads", "signal", "recording")),
    ("from files to a store", ("executor", "store", "datasets", "ingest")),
    ("what a store is told", ("beats", "knowledge", "simulate")),
    ("what a method is made of", ("nn", "text", "recipe", "methods")),
    ("from store to run", ("tasks", "training")),
    ("from run to page", ("evaluation", "report")),
    ("doors", ("api", "export", "demo", "testing", "scaffold", "cli")),
)
INK, SOFT, WALL = "#1f2933", "#9aa5b1", "#e4edf7"


def imports() -> dict[str, set[str]]:
    """Return which room imports from which."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in CORE.rglob("*.py"):
        room = path.relative_to(CORE).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ecgkit."):
                found[room].add(str(node.module).split(".")[1])
    return found


def draw(out: Path) -> None:
    """Draw the rooms floor by floor; an arrow leads from a room to one of the floor above that it builds on."""
    figure, axes = plt.subplots(figsize=(10.8, 8.6))
    there = {path.stem for path in CORE.iterdir()}
    places = {}
    for floor, (title, rooms) in enumerate(FLOORS):
        y, standing = -floor, [room for room in rooms if room in there]
        axes.text(-0.75, y, title, ha="right", va="center", color=SOFT, fontsize=10)
        for column, room in enumerate(standing):
            x = column * 1.36
            places[room] = x, y
            axes.add_patch(FancyBboxPatch((x - 0.52, y - 0.2), 1.04, 0.4, "round,pad=0.06", fc=WALL, ec=INK, lw=0.8))
            axes.text(x, y, room, ha="center", va="center", color=INK, fontsize=10)
    for room, above in imports().items():
        for other in above & places.keys():
            if room in places and 0 < places[other][1] - places[room][1] <= 1:
                (x0, y0), (x1, y1) = places[room], places[other]
                axes.add_patch(
                    FancyArrowPatch(
                        (x0, y0 + 0.27), (x1, y1 - 0.27), arrowstyle="-|>", mutation_scale=8, color=SOFT, lw=0.8
                    )
                )
    y = -len(FLOORS) + 1
    axes.add_patch(FancyBboxPatch((6.1, y + 1.8), 1.5, 2.4, "round,pad=0.06", fc="#fdf3e1", ec=INK, lw=0.8))
    axes.text(
        6.85,
        y + 3,
        "plugins/\none package\na family,\nfound by entry\npoint: yours\nlike ours",
        ha="center",
        va="center",
        color=INK,
    )
    axes.set_xlim(-2.9, 8.9)
    axes.set_ylim(-len(FLOORS) + 0.5, 0.5)
    axes.axis("off")
    figure.savefig(out, dpi=110, bbox_inches="tight", facecolor="white")


if __name__ == "__main__":
    draw(HERE / "rooms.png")
