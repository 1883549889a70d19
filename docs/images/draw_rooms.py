"""Draws ``rooms.png`` from the code: the rooms of ecgkit, and which rooms import from which.

    python docs/images/draw_rooms.py

The rooms and their order are those of ``tests/test_architecture.py``. Each arrow is an import in the source.
Only imports from the row directly above are drawn: all of them would fill the picture.
"""

import ast
import runpy
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
CORE = PROJECT / "ecgkit"
# Rows of the picture from top to bottom: a title, and the last room of the row in the order of the test.
ROWS = (
    ("basic rules", "choices"),
    ("telling and stopping", "schedules"),
    ("entries", "hookspecs"),
    ("files", "unfinished"),
    ("plugins and settings", "compiled"),
    ("one ECG", "recording"),
    ("where work runs", "slurm"),
    ("the store", "signatures"),
    ("from files to a store", "ingestion"),
    ("added to a store", "simulate"),
    ("parts of a method", "methods"),
    ("training", "training"),
    ("judging and reporting", "reporting"),
    ("for other programs", "scaffold"),
    ("for people", "cli"),
)
INK, SOFT, WALL, YOURS = "#1f2933", "#9aa5b1", "#e4edf7", "#fdf3e1"
STEP = 1.36  # from one room to the next


def rooms_by_row() -> list[tuple[str, list[str]]]:
    """Return the title and the rooms of each row, in the order in which the rooms may import each other."""
    order = [
        room for room in runpy.run_path(str(PROJECT / "tests" / "test_architecture.py"))["ROOMS"] if room[0] != "_"
    ]
    rows, start = [], 0
    for title, last in ROWS:
        end = order.index(last) + 1
        rows.append((title, order[start:end]))
        start = end
    assert start == len(order), f"not in the picture: {order[start:]}"
    return rows


def imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports from."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in CORE.rglob("*.py"):
        room = path.relative_to(CORE).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ecgkit."):
                found[room].add(str(node.module).split(".")[1])
    return found


def box(
    axes: Axes, x: float, y: float, text: str, *, size: tuple[float, float] = (1.04, 0.4), fill: str = WALL
) -> None:
    """Draw a box with its middle at (x, y)."""
    width, height = size
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(FancyBboxPatch(corner, width, height, "round,pad=0.06", fc=fill, ec=INK, lw=0.8))
    axes.text(x, y, text, ha="center", va="center", color=INK, fontsize=9.5)


def draw(out: Path) -> None:
    """Draw the rooms row by row, and an arrow from each room to the rooms of the row above that it imports from."""
    figure, axes = plt.subplots(figsize=(10.8, 10.4))
    rows = rooms_by_row()
    places = {room: (column * STEP, -row) for row, (_, rooms) in enumerate(rows) for column, room in enumerate(rooms)}
    for row, (title, rooms) in enumerate(rows):
        axes.text(-0.75, -row, title, ha="right", va="center", color=SOFT, fontsize=10)
        for room in rooms:
            box(axes, *places[room], room)
    for room, others in imports().items():
        for other in others & places.keys():
            if room in places and places[other][1] - places[room][1] == 1:
                (x0, y0), (x1, y1) = places[room], places[other]
                ends = (x0, y0 + 0.27), (x1, y1 - 0.27)
                axes.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=8, color=SOFT, lw=0.8))
    words = "plugins/\none package\nper family,\nfound by its\nentry point,\nas yours is"
    box(axes, 6.9, -len(rows) + 3.5, words, size=(1.5, 2.1), fill=YOURS)
    axes.set_xlim(-3.1, 7.9)
    axes.set_ylim(-len(rows) + 0.5, 0.5)
    axes.axis("off")
    figure.savefig(out, dpi=110, bbox_inches="tight", facecolor="white")


if __name__ == "__main__":
    draw(HERE / "rooms.png")
