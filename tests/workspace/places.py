"""Folders with stores and runs as small as they can be."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecgkit.ingestion import ingest
from tests.conftest import synthetic_signal, write_wfdb


def make_store(folder: Path, name: str) -> Path:
    """Ingest two records into a store."""
    source = folder / f".source-{len(list(folder.iterdir()))}"
    for record, seed in (("a", 0), ("b", len(name))):
        write_wfdb(source, record, synthetic_signal(500, seed=seed))
    ingest(source, folder / name)
    shutil.rmtree(source)
    return folder / name


def make_run(
    path: Path,
    *,
    losses: tuple[float, ...] = (2.0, 1.0),
    method: str = "stmem",
    finished: bool = True,
    **details: Any,
) -> Path:
    """Write what a run's folder says about it, without weights."""
    folder = path if finished else path.with_name(f"{path.name}.partial")
    folder.mkdir(parents=True)
    config = {"method": method, "preset": "tiny", "config": {"recipe": {"epochs": 5}}, **details}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    lines = [json.dumps({"epoch": n, "val_loss": loss, "probe_auroc": 1 - loss / 4}) for n, loss in enumerate(losses)]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    (folder / ".ecgkit").write_text("run\n" if finished else "unfinished run\n")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, whose name has a blank and a letter that is not ASCII."""
    folder = tmp_path / "meine Übung"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
