"""Get files over HTTP with patience: retries with back-off, resumption by range, and no other host.

A server that is busy (429, 5xx), drops a connection, stalls or sends too little is asked again, at most `TRIES` times
in a row without progress. ``Retry-After`` is heeded up to `LONGEST_WAIT`. Redirects are followed within the host
only.
"""

import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from ecgkit.errors import DownloadError

TRIES = 6
LONGEST_WAIT = 60.0  # s
STALL = 30.0  # s without a byte
REDIRECTS = 5
USER, PASSWORD = "PHYSIONET_USERNAME", "PHYSIONET_PASSWORD"
_STEP = 2**18
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Args:
        tries: Requests in a row without progress.
        longest_wait: Longest wait between two requests, in s.
        stall: Longest time without a byte, in s.
    """

    tries: int = TRIES
    longest_wait: float = LONGEST_WAIT
    stall: float = STALL


@dataclass
class Client:
    """Requests to one host.

    Credentials come from the environment (`USER`, `PASSWORD`) or from the ``.netrc`` file. They are sent to this host
    alone, only over HTTPS or to this machine, and are never written anywhere.

    Args:
        base: Address that all files lie under.
        patience: How long the server is waited for.
    """

    base: str
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = True
        self._session.headers["User-Agent"] = "ecgkit"
        self._session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=32))
        self._session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=32))
        self._auth = _credentials(self.base)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let every request that waits or reads end soon."""
        self._stopped.set()

    def text(self, path: str) -> str:
        """Return a text file.

        Raises:
            DownloadError: The file cannot be had.
        """
        return self._patiently(path, lambda: self._whole(path))

    def size(self, path: str) -> int | None:
        """Return the size of a file in bytes, as the server states it; None if it does not."""
        try:
            with self._request("HEAD", path) as answer:
                length = answer.headers.get("Content-Length", "")
                return int(length) if answer.status_code == 200 and length.isdecimal() else None
        except requests.RequestException:
            return None

    def save(self, path: str, part: Path) -> None:
        """Save a file. What `part` holds already is not asked for again.

        Args:
            path: Path of the file under the base address.
            part: File to append to.

        Raises:
            DownloadError: The file cannot be had.
        """
        self._patiently(path, lambda: self._append(path, part), lambda: part.stat().st_size if part.exists() else 0)

    def _patiently(self, path: str, ask: Callable[[], Any], progress: Callable[[], int] = int) -> Any:
        """Call `ask` until it succeeds; tries are counted anew after progress."""
        tries, reached = 0, progress()
        while True:
            try:
                return ask()
            except _Busy as busy:
                wait, reason = busy.wait, str(busy)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                wait, reason = None, type(error).__name__
            tries = 1 if progress() > reached else tries + 1
            reached = progress()
            if tries >= self.patience.tries:
                raise DownloadError(
                    f"{self._address(path)} could not be had in {tries} tries ({reason})",
                    remedy="Run the same command again later: it goes on with what is missing.",
                )
            backoff = 2.0**tries * random.uniform(0.5, 1.0)
            if self._stopped.wait(min(backoff if wait is None else wait, self.patience.longest_wait)):
                raise DownloadError(f"{self._address(path)} was given up")

    def _whole(self, path: str) -> str:
        with self._request("GET", path) as answer:
            self._check(answer, path)
            return answer.content.decode("utf-8", "replace")

    def _append(self, path: str, part: Path) -> None:
        have = part.stat().st_size if part.exists() else 0
        with self._request("GET", path, {"Range": f"bytes={have}-"} if have else {}) as answer:
            if have and answer.status_code == 416:  # nothing is left, or the part is longer than the file
                return
            self._check(answer, path)
            with part.open("ab" if have and answer.status_code == 206 else "wb") as file:
                while piece := answer.raw.read1(_STEP):  # what has come, so that a drop loses nothing of it
                    file.write(piece)
                    if self._stopped.is_set():
                        raise DownloadError(f"{self._address(path)} was given up")

    def _check(self, answer: requests.Response, path: str) -> None:
        """Raise unless a file was sent."""
        status = answer.status_code
        if status in (200, 206):
            return
        if status in _BUSY:
            raise _Busy(f"status {status}", _wait_of(answer.headers.get("Retry-After", "")))
        if status in (401, 403):
            raise DownloadError(
                f"{self._address(path)} needs a signed-in user who may use it (status {status})",
                remedy=f"Sign its agreement on its page, and set {USER} and {PASSWORD}, or use a .netrc file.",
            )
        raise DownloadError(f"{self._address(path)} cannot be had (status {status})")

    def _request(self, method: str, path: str, headers: dict[str, str] | None = None) -> requests.Response:
        address = self._address(path)
        for _ in range(REDIRECTS):
            answer = self._session.request(
                method,
                address,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                auth=self._auth,
                stream=True,
                allow_redirects=False,
                timeout=self.patience.stall,
            )
            if not answer.is_redirect:
                return answer
            answer.close()
            target = urljoin(address, answer.headers["Location"])
            if _origin(target) != _origin(self.base):
                raise DownloadError(f"{address} leads to another host, {urlsplit(target).hostname}, which is not asked")
            address = target
        raise DownloadError(f"{address} was redirected more than {REDIRECTS} times")

    def _address(self, path: str) -> str:
        return f"{self.base}/{requests.utils.quote(path)}"  # type: ignore[attr-defined]


class _Busy(Exception):  # noqa: N818  the server asks for patience; it has not failed
    """The server is busy.

    Args:
        reason: What it answered.
        wait: How long it asks to wait, in s; None if it does not say.
    """

    def __init__(self, reason: str, wait: float | None) -> None:
        super().__init__(reason)
        self.wait = wait


def _wait_of(header: str) -> float | None:
    return float(header) if header.strip().isdecimal() else None


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port


def _credentials(base: str) -> Any:
    """Return the credentials for a host; none over an open connection to another machine."""
    parts = urlsplit(base)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return _Nobody()
    if os.environ.get(USER):
        return os.environ[USER], os.environ.get(PASSWORD, "")
    return None  # requests looks into .netrc


class _Nobody(requests.auth.AuthBase):
    """Sends no credentials, and keeps requests from looking for any."""

    def __call__(self, request: Any) -> Any:
        return request
