"""Serves the page on the loopback address until it is interrupted. Nothing is written or logged."""

import asyncio
import errno
import json
import secrets
import socket
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from ecgkit.browsing.catalogue import Catalogue
from ecgkit.browsing.explaining import Explainer
from ecgkit.browsing.guard import guard
from ecgkit.browsing.picture import picture
from ecgkit.browsing.record import details, entities, listed
from ecgkit.browsing.search import Search, Searcher
from ecgkit.errors import ConfigError, EcgkitError

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HOST = "127.0.0.1"
PORT = 8765
LONGEST_PAGE = 200  # records of a page of the table
THREADS = 4
CLOSING = 0.2  # s that open connections have when the server stops


class Server:
    """Answers the page about one store.

    Args:
        opened: Opens the store; it is called again when the page is reloaded after the store has changed.
    """

    explainer: Explainer

    def __init__(self, opened: Callable[[], Catalogue]) -> None:
        self._open = opened
        self.secret = secrets.token_urlsafe(12)
        self.version = 0
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="browse")
        self._begin()

    def _begin(self) -> None:
        catalogue = self._open()
        if self.version:
            self.explainer.close()
        self.catalogue = catalogue
        self.searcher = Searcher(self.catalogue)
        self.explainer = Explainer(self.catalogue)
        self.version += 1

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[guard])
        app.router.add_get(f"/{self.secret}/", self._page)
        app.router.add_get(f"/{self.secret}/static/{{name}}", self._static)
        answers: dict[str, Callable[[web.Request], Any]] = {
            "state": self._state,
            "choices": lambda request: self.catalogue.choices(),
            "records": self._records,
            "records/{row:[0-9]{1,12}}": self._details,
            "records/{row:[0-9]{1,12}}/entities": lambda request: entities(self.catalogue, _row(request)),
            "records/{row:[0-9]{1,12}}/picture": self._picture,
            "records/{row:[0-9]{1,12}}/explanation": self._explanation,
        }
        for path, answer in answers.items():
            app.router.add_get(f"/{self.secret}/api/{path}", self._answering(answer))
        return app

    async def _page(self, request: web.Request) -> web.Response:
        if self.catalogue.has_changed or self.catalogue.failure is not None:
            with suppress(EcgkitError):  # the page will say what is wrong
                await self._in_thread(self._begin)
        return _file("index.html")

    async def _static(self, request: web.Request) -> web.Response:
        return _file(request.match_info["name"])

    def _answering(self, answer: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        """Return a handler that computes an answer in a thread; any error becomes a sentence for the page."""

        async def handle(request: web.Request) -> web.Response:
            try:
                found = await self._in_thread(self._checked, answer, request)
            except EcgkitError as error:
                return _json({"error": str(error).removeprefix("--where ").removeprefix("--where: ")}, 422)
            except Exception as error:  # a bug must not end the page
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{Path(place.filename).name}:{place.lineno}"
                return _json({"error": f"{type(error).__name__} in {where}: a bug in ecgkit, please report it"}, 500)
            if isinstance(found, bytes):
                return web.Response(body=found, content_type="application/octet-stream")
            return _json(found)

        return handle

    def _checked(self, answer: Callable[[web.Request], Any], request: web.Request) -> Any:
        if answer != self._state:
            self.catalogue.check()
        return answer(request)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _state(self, request: web.Request) -> dict[str, Any]:
        about = self.catalogue.about() if "about" in request.query else {}
        return {"version": self.version, "changed": self.catalogue.has_changed, **about}

    def _records(self, request: web.Request) -> dict[str, Any]:
        found = self.searcher.find(Search.of(request.query))
        start = min(_number(request, "start"), found.records)
        stop = start + min(_number(request, "count", 50), LONGEST_PAGE)
        lines = listed(self.catalogue, found, start, stop)
        return {"total": found.records, "unknown": found.unknown, "start": start, "records": lines}

    def _details(self, request: web.Request) -> dict[str, Any]:
        return details(self.catalogue, _row(request), request.query.get("result", ""))

    def _picture(self, request: web.Request) -> bytes:
        try:
            start = float(request.query.get("start", "0"))
        except ValueError:
            raise ConfigError("start is no number of seconds") from None
        return picture(self.catalogue, _row(request), request.query.get("layout", "clinical"), start)

    def _explanation(self, request: web.Request) -> dict[str, Any]:
        result, target, by = (request.query.get(name, "") for name in ("result", "target", "by"))
        return self.explainer.answer(_row(request), result, target, by, "begin" in request.query)

    def run(self, port: int, ready: Callable[[str], None]) -> None:
        """Serve until the process is interrupted; the caller's thread only waits, so a notebook can call this too.

        Args:
            port: Port of the loopback address; 0 for any that is free.
            ready: Called with the address of the page when it can be opened.

        Raises:
            ConfigError: The port is in use or not allowed.
            KeyboardInterrupt: Ctrl-C.
        """
        listening = _listen(port)
        loop = asyncio.new_event_loop()
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=CLOSING)
        server = threading.Thread(target=_serve, args=[loop, runner, listening], name="browse", daemon=True)
        server.start()
        try:
            ready(f"http://{HOST}:{listening.getsockname()[1]}/{self.secret}/")
            threading.Event().wait()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            self._threads.shutdown(wait=False, cancel_futures=True)
            self.explainer.close()
            server.join(2 * CLOSING)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise ConfigError(f"port {port} {why}", "", "Choose another: --port N, or --port 0 for any.") from None


def _serve(loop: asyncio.AbstractEventLoop, runner: web.AppRunner, listening: socket.socket) -> None:
    """Run the server's loop in the thread that it has for itself, until the loop is stopped."""
    asyncio.set_event_loop(loop)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.SockSite(runner, listening).start())
    loop.run_forever()
    loop.run_until_complete(runner.cleanup())
    loop.close()


def _row(request: web.Request) -> int:
    return int(request.match_info["row"])


def _number(request: web.Request, name: str, default: int = 0) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or len(text) > 12:
        raise ConfigError(f"{name} {text!r:.20}", "a whole number from 0")
    return int(text)


def _file(name: str) -> web.Response:
    """Return a file of the page; only those that lie there by name."""
    known = {path.name: path for path in PAGE.iterdir() if path.suffix in TYPES}
    if name not in known:
        raise web.HTTPNotFound
    return web.Response(text=known[name].read_text(encoding="utf-8"), content_type=TYPES[known[name].suffix])


def _json(values: Any, status: int = 200) -> web.Response:
    return web.json_response(values, status=status, dumps=lambda value: json.dumps(value, allow_nan=False))
