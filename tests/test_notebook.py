"""The notebooks of the examples run from the first cell to the last, and are kept without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import PROJECT

NOTEBOOKS = sorted((PROJECT / "examples").glob("*.ipynb"))


# Pictures that each notebook draws, and texts that it must show.
SHOWN = {
    "first-features": (2, ("((32,), (12, 32))", "(32,)")),
    "compare-encoders": (1, ("True",)),
    "explain-a-record": (1, ()),
    "few-labels": (1, ("(9, 9)",)),
    "own-data-to-prediction": (1, ()),
}


def test_every_notebook_is_known() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures, wanted = SHOWN[path.stem]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == pictures
    texts = [output.get("data", {}).get("text/plain", "") for output in outputs]
    assert set(wanted) <= set(texts)
