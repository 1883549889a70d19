"""The benchmarks load with the code as it is, and say how they are run; what they measure is not timed here."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "examples" / "benchmark").glob("*.py")])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_loads_and_names_its_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (ROOT, path.parent):  # as python puts a script's folder first, and with -m the current one
        monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look themselves up
    spec.loader.exec_module(module)
    typed = (str(path.relative_to(ROOT)), f"-m benchmarks.{path.stem}") if "benchmarks" in path.parts else (path.name,)
    assert any(f"python {how}" in (module.__doc__ or "") for how in typed)
    assert callable(getattr(module, "main", None) or module.write)
