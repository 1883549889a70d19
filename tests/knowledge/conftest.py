"""Reports without waveforms, and a server that reads them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecgkit.knowledge.endpoint.backend import OpenAIBackend
from ecgkit.knowledge.endpoint.settings import ModelSettings, OpenAISettings, ServerSettings
from ecgkit.knowledge.reports import Reports
from tests.knowledge.server import ScriptedServer, serving

TEXTS = (
    "Sinus rhythm\nNormal ECG",
    "Atrial fibrillation\nLeft bundle branch block\nAbnormal ECG",
    "Sinus rhythm\nFirst degree A-V block\nPossible left ventricular hypertrophy",
    "Sinus bradycardia\nNo atrial fibrillation\nInferior infarct, age undetermined",
    "sinusrhythmus linkstyp unvollstÄndiger rechtsschenkelblock",
    "",
    "vorhofflimmern. anteroseptaler infarkt mÖglich.",
    "Atrial fibrillation\nPVC(s)\nST depression in V5-V6",
)


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    texts = TEXTS * 3
    return Reports(tuple(f"r{i}" for i in range(len(texts))), texts, tmp_path / "knowledge", "hash")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as running:
        yield running


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., OpenAIBackend]:
    """A backend that loses no time: ``model(server.url)``."""

    def make(*urls: str, folder: Path | None = None, notify=lambda _: None, **given) -> OpenAIBackend:
        own = {name: given.pop(name) for name in ("verify", "retry_quarantined", "batch", "closed") if name in given}
        asked = {name: given.pop(name) for name in list(given) if name in ModelSettings.__dataclass_fields__}
        fast = {"concurrency": 4, "timeout": 0.5, "retries": 6, "backoff": 0.02} | given
        servers = ServerSettings(urls, **fast) if urls else None
        settings = OpenAISettings(ModelSettings(**({"model": "m"} | asked)), servers, **own)
        return OpenAIBackend(settings, folder or tmp_path / "knowledge", notify)

    return make
