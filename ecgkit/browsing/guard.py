"""Keeps strangers out of the page: other machines, other users, other sites.

The server listens on the loopback address alone. Every path begins with a secret of this start, since other users of
this machine can reach its ports too. The name in the Host header must be a loopback name, so a site that points its
own name at this machine (DNS rebinding) gets nothing. Only reading methods are answered, and the headers forbid other
sites to frame or embed an answer and forbid the page to load anything from elsewhere.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer only requests from this machine's own browser to the page itself."""
    response = _refusal(request) or await _answered(request, handler)
    response.headers.update(HEADERS)
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:  # no page, or no such method
        return web.Response(status=error.status, text=error.reason)


def _refusal(request: web.Request) -> web.Response | None:
    if not is_loopback(request.headers.get("Host", "")):
        return web.Response(status=403, text="This page is only for the browser on this machine.")
    if request.method not in ("GET", "HEAD"):
        return web.Response(status=405, text="This page only reads.")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return web.Response(status=403, text="Other sites may not read this page. Open its address yourself.")
    return None


def is_loopback(host: str) -> bool:
    """Return whether a Host header names this machine by a loopback name."""
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK
    except ValueError:
        return False
