"""Reports without waveforms, and a server that reads them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecgkit.knowledge.endpoint.backend import OpenAIBackend
from ecgkit.knowledge.endpoint.client import EndpointSettings
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

    def make(url: str, folder: Path | None = None, **settings) -> OpenAIBackend:
        own = {"verify": settings.pop("verify", True), "retry_quarantined": settings.pop("retry_quarantined", False)}
        fast = {"concurrency": 4, "timeout": 0.5, "retries": 6, "backoff": 0.02} | settings
        return OpenAIBackend(EndpointSettings(url, "m", **fast), folder or tmp_path / "knowledge", **own)

    return make
