"""A busy or stalled HTTP server: asked again, and then one clear line."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import ecgkit
from ecgkit.errors import DatasetError
from tests.conftest import synthetic_signal, write_wfdb

pytest.importorskip("aiohttp")
pytest.importorskip("upath")


WAITS = 30.0  # s, of a server that stalls


@contextmanager
def serving(folder: Path, fault: int | str, times: int) -> Iterator[str]:
    """Serve a folder. The first requests for each path meet a status, or a stall."""
    met: Counter[str] = Counter()
    over = threading.Event()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def send_head(self):  # type: ignore[no-untyped-def]
            met[self.path] += 1
            if met[self.path] <= times:
                if fault == "stall":
                    over.wait(WAITS)
                    return None
                self.send_response(int(fault))
                self.send_header("Retry-After", "3600")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            return super().send_head()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/src"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.datasets.http.LONGEST_WAIT", 0.02)
    monkeypatch.setattr("ecgkit.datasets.http.STALL", 0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        write_wfdb(tmp_path / "www" / "src", name, synthetic_signal(200))
    return tmp_path / "www"


@pytest.mark.parametrize("fault", [500, 429, 503])
def test_a_server_that_is_busy_once_is_asked_again(folder: Path, tmp_path: Path, fault: int) -> None:
    with serving(folder, fault, 1) as address:
        report = ecgkit.ingest(address, out=tmp_path / "x.zarr")
    assert (report.taken, report.rejected) == (2, [])


@pytest.mark.parametrize(("fault", "message"), [(500, "cannot be listed.*500"), ("stall", "cannot be listed.*imeout")])
def test_a_server_that_stays_so_is_one_clear_line(folder: Path, tmp_path: Path, fault, message: str) -> None:
    began = time.perf_counter()
    with serving(folder, fault, 1000) as address, pytest.raises(DatasetError, match=message):
        ecgkit.ingest(address, out=tmp_path / "x.zarr")
    assert time.perf_counter() - began < 30


def test_a_server_that_stalls_once_is_asked_again(folder: Path, tmp_path: Path) -> None:
    began = time.perf_counter()
    with serving(folder, "stall", 1) as address:
        report = ecgkit.ingest(address, out=tmp_path / "x.zarr")
    assert (report.taken, report.rejected) == (2, [])
    assert time.perf_counter() - began < WAITS, "it waited for as long as the server did"


def test_a_folder_that_is_not_there_does_not_exist(folder: Path, tmp_path: Path) -> None:
    with serving(folder, 500, 0) as address, pytest.raises(DatasetError, match="does not exist"):
        ecgkit.ingest(f"{address}/none", out=tmp_path / "x.zarr")
