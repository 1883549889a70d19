"""Count the structure of the code: files per room, long functions, and the road from a command to a result row.

    python benchmarks/structure.py            files per room and functions over 45 lines
    python benchmarks/structure.py --road     also the calls and classes from `ecgkit probe` to a result row

A room is a folder of the package. A function's length is the number of lines from its first decorator or `def` to its
last statement, without its docstring. The road runs one linear probe of a random encoder on a small simulated store. It
counts the different functions and classes of `ecgkit.cli`, `ecgkit.api` and `ecgkit.evaluation` that are called between
the command and the written row.
"""

import argparse
import ast
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONG = 45  # lines


def sources() -> list[Path]:
    """Return the modules of the package and of the method plugins."""
    return sorted([*(ROOT / "ecgkit").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])


def files_per_room() -> Counter[str]:
    """Count modules by folder, without the ``__init__.py`` files."""
    return Counter(str(path.parent.relative_to(ROOT)) for path in sources() if path.name != "__init__.py")


def long_functions() -> Iterator[tuple[int, str]]:
    """Yield length and place of each function over `LONG` lines."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                length = (node.end_lineno or first) - first + 1 - docstring_lines(node)
                if length > LONG:
                    yield length, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function's docstring has."""
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1 if ast.get_docstring(node) else 0


def road() -> tuple[int, int]:
    """Return how many functions are called, and how many classes made, from the command to the row."""
    from ecgkit.cli import main as program

    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "sim.zarr")
        run(program, "simulate", f"{folder}/sim", "--records", "120")
        run(program, "ingest", f"{folder}/sim", "--out", str(store))
        command = ["probe", "--method", "merl", "--preset", "tiny", "--random-init", "--data", str(store)]
        command += ["--task", "simulated", "--no-cache", "--device", "cpu", "--out", f"{folder}/result"]
        run(program, *command)  # once before, so that imports and compilation are not on the road
        functions: set[str] = set()
        classes: set[str] = set()

        def note(frame, event, argument):
            module = frame.f_globals.get("__name__", "")
            if event != "call" or not on_road(module):
                return
            name = frame.f_code.co_qualname
            if frame.f_code.co_name == "__init__":
                classes.add(type(frame.f_locals["self"]).__qualname__)
            elif not frame.f_code.co_name.startswith("<"):
                functions.add(f"{module}.{name}")

        sys.setprofile(note)
        try:
            run(program, *command)
        finally:
            sys.setprofile(None)
    return len(functions), len(classes)


def on_road(module: str) -> bool:
    """Return whether a module belongs to the road of a probe."""
    return module.startswith(("ecgkit.cli", "ecgkit.api", "ecgkit.evaluation"))


def run(program, *arguments: str) -> None:
    """Run the program in this process."""
    sys.argv = ["ecgkit", *arguments]
    try:
        program()
    except SystemExit as end:
        if end.code:
            raise


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--road", action="store_true", help="also run a probe and count its calls and classes")
    with_road = parser.parse_args().road
    rooms = files_per_room()
    print(f"modules {sum(rooms.values())}, rooms {len(rooms)}, most in one room {max(rooms.values())}")
    for room, count in rooms.most_common(8):
        print(f"  {count:3}  {room}")
    functions = sorted(long_functions(), reverse=True)
    print(f"functions over {LONG} lines: {len(functions)}")
    for length, place in functions:
        print(f"  {length:3}  {place}")
    if with_road:
        calls, classes = road()
        print(f"from `ecgkit probe` to a row: {calls} functions, {classes} classes")


if __name__ == "__main__":
    main()
