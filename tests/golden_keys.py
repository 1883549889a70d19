"""Which arrays of the reference vectors the tests name, as far as their source tells.

An array is read if a test module that names its file also names the array: as a text, as a text with gaps such as
``f"loss{j}"``, or as the name of an argument. The twin of an array in float32, with ``_f32`` behind its name, is read
with it. Stored parameters are read by `Reference.weights` and `Reference.filled`.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
GAP = r".*"


@cache
def named(module: Path) -> tuple[str, tuple[re.Pattern[str], ...]]:
    """Return the source of a test module, and patterns of all texts in it."""
    source = module.read_text(encoding="utf-8")
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            if any(text and re.search(r"[A-Za-z/]", str(text)) for text in texts):
                found.add("".join(GAP if text is None else re.escape(str(text)) for text in texts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            found.add(re.escape(node.value) + ("" if not node.value.endswith(("/", ".")) else GAP))
        elif isinstance(node, ast.keyword) and node.arg:
            found.add(re.escape(node.arg))
    found |= {r"sd/.*"} if ".weights(" in source else set()
    found |= {r"(.*/)?(names|shapes)"} if ".filled(" in source else set()
    return source, tuple(map(re.compile, sorted(found)))


def modules_of(file: str) -> Iterator[Path]:
    """Yield the test modules that name a file of vectors, without its ending."""
    short = file.removeprefix("ssl_")
    for module in sorted(TESTS.rglob("test_*.py")):
        source, _ = named(module)
        gaps = re.findall(r"golden / f?\"([^\"]+)\.npz\"", source)
        loads = f'load("{short}"' in source
        told = (gap for gap in gaps if not gap.startswith("{"))
        if loads or any(re.fullmatch(re.sub(r"\{[^}]*\}", GAP, gap), file) for gap in told):
            yield module


def unread(file: str, arrays: list[str]) -> list[str]:
    """Return the arrays of a file that no test module names."""
    patterns = [pattern for module in modules_of(file) for pattern in named(module)[1]]
    return [
        name
        for name in arrays
        if not any(pattern.fullmatch(name) or pattern.fullmatch(name.removesuffix("_f32")) for pattern in patterns)
    ]
