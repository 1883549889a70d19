"""HTTP sources of a dataset: a server that is busy or does not answer in time is asked again before it is an error."""

import asyncio
import random
from typing import Any

import aiohttp

TRIES = 4
CONNECT, STALL = 10.0, 20.0  # s to connect, and s without a byte
LONGEST_WAIT = 20.0  # s
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


async def patient_client(**options: Any) -> aiohttp.ClientSession:
    """Return a session for fsspec: its ``get_client``."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=STALL)
    return aiohttp.ClientSession(**{"timeout": timeout, "middlewares": (_ask_again,), **options})


async def _ask_again(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    for tried in range(1, TRIES + 1):
        wait = min(2.0**tried * random.uniform(0.5, 1.0), LONGEST_WAIT)
        try:
            response = await handler(request)
        except (aiohttp.ClientConnectionError, TimeoutError):
            if tried == TRIES:
                raise
        else:
            if response.status not in _BUSY or tried == TRIES:
                return response
            asked = response.headers.get("Retry-After", "").strip()
            wait = min(float(asked), LONGEST_WAIT) if asked.isdecimal() else wait
            response.release()
        await asyncio.sleep(wait)
    raise AssertionError("the last try returns or raises")
