"""Published weights: fetched from a hub, verified, read without running code, and known to the leak guard."""

import hashlib
import json
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgkit.arrays.encoder import load
from ecgkit.config import read_yaml
from ecgkit.entries import MethodEntry, WeightsEntry
from ecgkit.errors import ConfigError, DownloadError, RunError
from ecgkit.evaluation.features.encoder import pretrained_encoder
from ecgkit.evaluation.probe.leaks import archive_warnings, find_leak, leak_warnings
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.training import hub
from ecgkit.training.published import import_published
from ecgkit.training.weight_cards import weight_cards
from tests.conftest import synthetic_signal
from tests.reference_vectors import Reference

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('code of the file ran')",)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, bytes]], list[str]]]:
    """Serve files as a model hub does; returns the paths that were asked for."""
    files: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.startswith("/api/models/"):
                info = {"id": "org/name", "sha": COMMIT, "cardData": {"license": "cc-by-nc-4.0"}, "siblings": []}
                self.answer(json.dumps(info).encode(), {"Content-Type": "application/json"})
                return
            name = self.path.rpartition("/")[2]
            if name not in files:
                self.answer(b"", {"X-Error-Code": "EntryNotFound"}, 404)
                return
            stated = hashlib.sha256(files.get(f"{name} as stated", files[name])).hexdigest()
            self.answer(files[name], {"ETag": f'"{stated}"', "X-Repo-Commit": COMMIT})

        do_HEAD = do_GET  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))

    def start(served: dict[str, bytes]) -> list[str]:
        files.update(served)
        return asked

    yield start
    server.shutdown()
    server.server_close()


@pytest.fixture
def weights(golden: Path, tmp_path: Path) -> Path:
    """ECGFounder's weights in miniature, as its published file holds them."""
    file = tmp_path / "tiny.pth"
    state = Reference(golden / "ecgfounder_tiny_12lead.npz").weights()
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {}}, file)
    return file


def test_one_named_file_is_fetched_verified_and_imported(
    weights: Path, tmp_path: Path, serve: Callable[..., list[str]], ecgkit: Callable[..., Any]
) -> None:
    asked = serve({weights.name: weights.read_bytes()})
    out = tmp_path / "run"
    shown = ecgkit("import-weights", weights.name, "--from", "hf://org/name", "--method", "ecgfounder", "--out", out)
    assert shown.code == 0, shown.err
    text = " ".join((shown.out + shown.err).split())
    assert f"hf://org/name@{COMMIT}" in text
    assert "0 unmatched" in text
    assert "Harvard-Emory" in text
    assert "licence" in text
    assert {path.rpartition("/")[2] for path in asked if "/resolve/" in path} == {weights.name}
    facts = read_yaml(out / "config.yaml")["imported"]
    assert facts["source_licence"] == "cc-by-nc-4.0"
    assert facts["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert facts["weights"] == ["ecgfounder-12-lead", "ecgfounder-1-lead"]  # nothing tells them apart


def test_another_file_under_the_name_of_published_weights_is_refused(weights: Path, tmp_path: Path) -> None:
    renamed = weights.rename(tmp_path / "12_lead_ECGFounder.pth")
    with pytest.raises(RunError, match="ee199f37") as refused:
        import_published(host().get(MethodEntry, "ecgfounder"), renamed, tmp_path / "run")
    assert "ecgfounder-12-lead" in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_file_that_differs_or_is_not_there_is_refused(serve: Callable[..., list[str]]) -> None:
    serve({"x.pth": b"changed", "x.pth as stated": b"the file"})
    with pytest.raises(DownloadError, match="differs from the file"):
        hub.fetch_weights("hf://org/name", "x.pth")
    with pytest.raises(DownloadError, match="cannot be fetched"):
        hub.fetch_weights("hf://org/name", "other.pth")
    for address in ("org/name", "https://org/name", "hf://org", "hf://org/name/file"):
        with pytest.raises(ConfigError, match="address"):
            hub.fetch_weights(address, "x.pth")


def test_a_fetched_pickle_runs_no_code(tmp_path: Path, serve: Callable[..., list[str]]) -> None:
    serve({"x.pth": pickle.dumps({"state_dict": Bomb()})})
    fetched = hub.fetch_weights("hf://org/name", "x.pth")
    assert fetched.verified
    with pytest.raises(RunError, match="cannot be read safely"):
        import_published(host().get(MethodEntry, "ecgfounder"), fetched.file, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_card_can_be_read_and_names_known_archives() -> None:
    from ecgkit.archives.card import all_cards
    from ecgkit.methods import method_config

    cards, archives = weight_cards(), all_cards()
    assert {card.name for card in cards} == set(host().entries(WeightsEntry))
    for card in cards:
        method_config(host().get(MethodEntry, card.method), card.preset)
        assert set(card.archives) <= set(archives), card.name
        assert (card.commercial is True) == (not card.caution)
        assert re.fullmatch("([0-9a-f]{64})?", card.sha256), card.name
        # A checksum refuses every other file of its name, so the name must be that file's own.
        assert not card.sha256 or [card.file] == [other.file for other in cards if other.file == card.file], card.name
        assert not card.sha256 or card.file != "model.safetensors", card.name


def test_the_leak_guard_knows_what_imported_weights_saw(golden: Path, tmp_path: Path, cohort_store: Path) -> None:
    reference, jepa = Reference(golden / "xresnet1d_tiny.npz"), Reference(golden / "ecgjepa_tiny.npz")
    table = {"encoder.pos_embed": jepa.tensor("encoder_pos_embed")}
    for method, state, archive, warning in (
        ("xresnet1d101", reference.weights(), "ptb-xl", "pretraining and test both use ptb-xl"),
        ("ecgjepa", jepa.weights() | table, "cinc2021", "chapman-shaoxing-ningbo and the test uses cinc2021"),
    ):
        torch.save({"state_dict": state}, tmp_path / "w.pt")
        import_published(host().get(MethodEntry, method), tmp_path / "w.pt", tmp_path / method)
        encoder = pretrained_encoder(tmp_path / method)
        store = _of_archive(cohort_store, archive)
        leak = find_leak(encoder, store, np.arange(5))
        assert leak.stated
        [found] = [*leak_warnings(leak), *archive_warnings(encoder, store)]
        assert warning in found
    [unsure] = leak_warnings(replace(leak, archives_known=False))
    assert "Chapman-Shaoxing, Ningbo and CODE-15%: a leak cannot be excluded" in unsure


def _of_archive(path: Path, archive: str) -> Store:
    """A store as if its records came from an archive."""

    class Other(Store):
        @property
        def archives(self) -> tuple[str, ...]:
            return (archive,)

    return Other(path)


def test_imported_weights_may_see_more_of_a_record(weights: Path, tmp_path: Path, ecgkit: Callable[..., Any]) -> None:
    """Consecutive windows of a longer record are averaged, as ECGFounder's paper does."""
    more = ("--set", "signal.window=30", "--set", "signal.eval_starts=[0,10,20]", "--set", "signal.crop=start")
    runs = {"one": (), "three": more}
    for name, settings in runs.items():
        shown = ecgkit("import-weights", weights, "--method", "ecgfounder", "--out", tmp_path / name, *settings)
        assert shown.code == 0, shown.err
    one, three = (load(tmp_path / name) for name in runs)
    signal = synthetic_signal(15_000)
    parts = [one(signal[:, start : start + 5000], 500, "12", "mV").pooled for start in (0, 5000, 10_000)]
    found = three(signal, 500, "12", "mV").pooled
    # The filter sees each window on its own in both, so the features are the mean of theirs. But `one` rounds windows
    # to counts after the filter and `three` before it, which differs by half a step: 1 / 131,068 of a lead's range.
    half_a_step = 1 / 131_068
    np.testing.assert_allclose(found, np.mean(parts, axis=0), atol=4 * half_a_step)
    short = three(signal[:, :5000], 500, "12", "mV").pooled
    np.testing.assert_allclose(short, parts[0], atol=4 * half_a_step)
    shown = ecgkit("import-weights", weights, "--method", "ecgfounder", "--out", tmp_path / "x", "--set", "kernel=9")
    assert (shown.code, (tmp_path / "x").exists()) == (2, False)
    assert "shape" in shown.err or "fit" in shown.err
