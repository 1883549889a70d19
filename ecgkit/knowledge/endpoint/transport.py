"""HTTP to one checked address: pinned, bounded in time and size, without redirects.

Nothing of a request or reply goes into an error or a log. A proxy of the environment is used for a remote address only,
since it could carry the text of a local one elsewhere.
"""

import json
import os
import socket
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ecgkit.errors import ConfigError, EndpointError
from ecgkit.knowledge.endpoint.address import Address

LONGEST_REPLY = 8 * 2**20  # bytes, unpacked; an answer of 64,000 tokens has about 0.3 MB
KEY_VARIABLES = ("ECGKIT_API_KEY", "OPENAI_API_KEY")
CERTIFICATES = "SSL_CERT_FILE"


class LostError(Exception):
    """The connection failed or took too long. The message says how, in words of our own."""


class UnusableError(Exception):
    """A reply came that cannot be used. The message says why, in words of our own."""


@dataclass(frozen=True)
class Reply:
    """A reply of a server.

    Args:
        status: HTTP status.
        headers: Headers, with names in lower case.
        content: Body, unpacked.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass
class Transport:
    """Connections to one server; open it as an asynchronous context.

    Args:
        address: Checked address.
        timeout: Limit of one request, from first to last byte, in s.
        headers: Headers that the user adds. They may be secret.
    """

    address: Address
    timeout: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def proxy(self) -> str | None:
        """Proxy of the environment; None for an address of the private network."""
        bypassed = self.address.private or proxy_bypass(self.address.host)
        return None if bypassed else getproxies().get(self.address.scheme)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that no message may show."""
        words = (word for value in self._sent_headers().values() for word in (value, value.partition(" ")[2]))
        return tuple(sorted((word for word in words if len(word) > 3), key=len, reverse=True))

    async def __aenter__(self) -> Self:
        proxy = self.proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                ssl=_certificates() if self.address.scheme == "https" else True,
                use_dns_cache=False,
                resolver=aiohttp.ThreadedResolver() if proxy else _Pinned(self.address),
            ),
            headers=self._sent_headers(),
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            proxy=proxy,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    def _sent_headers(self) -> dict[str, str]:
        key = next((os.environ[name].strip() for name in KEY_VARIABLES if os.environ.get(name)), "")
        login = self.address.login
        authorization = f"Bearer {key}" if key else aiohttp.BasicAuth(*login).encode() if login else ""
        own = {"accept": "application/json", "accept-encoding": "identity", "content-type": "application/json"}
        if authorization:
            own["authorization"] = authorization
        return own | {name.lower(): value for name, value in self.headers.items()}

    async def post(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Send one request.

        Args:
            path: Path below the base URL, such as ``/chat/completions``.
            body: Sent as JSON.

        Raises:
            LostError: The connection failed, or the time is over.
            UnusableError: The reply is too long, or is no HTTP.
            EndpointError: The server's certificate is not trusted.
        """
        place = self.address
        url = URL.build(scheme=place.scheme, host=place.host, port=place.port, path=place.path + path)
        try:
            async with self._session.post(url, data=json.dumps(body).encode(), allow_redirects=False) as response:
                content = await _bounded(response)
                return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, content)
        except aiohttp.ClientConnectorCertificateError as error:
            raise _untrusted(place, error.certificate_error) from None
        except aiohttp.ClientConnectorSSLError:
            raise LostError("no encrypted connection; is it an http server?") from None
        except aiohttp.ClientConnectorError:
            raise LostError("no connection") from None
        except TimeoutError:
            raise LostError(f"no answer within {self.timeout:g} s") from None
        except (aiohttp.ClientPayloadError, aiohttp.ServerConnectionError, aiohttp.ClientOSError):
            raise LostError("connection lost") from None
        except (aiohttp.ClientError, ValueError) as error:  # a reply that breaks the protocol, such as its headers
            raise UnusableError(f"a reply that is no HTTP ({type(error).__name__})") from None


class _Pinned(AbstractResolver):
    """Answers every look-up with the IP addresses that were checked."""

    def __init__(self, address: Address) -> None:
        self._numbers = address.numbers

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=number,
                port=port,
                family=socket.AF_INET6 if ":" in number else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for number in self._numbers
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """Read and unpack a body, and stop at `LONGEST_REPLY`."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    unpackers = {"gzip": 31, "x-gzip": 31, "deflate": 15}
    if packed not in ("identity", "", *unpackers):
        raise UnusableError("a reply in a compression that was not asked for")
    unpack = zlib.decompressobj(unpackers[packed]) if packed in unpackers else None
    content = bytearray()
    try:
        async for chunk in response.content.iter_any():
            content += unpack.decompress(chunk, LONGEST_REPLY + 1 - len(content)) if unpack else chunk
            if len(content) > LONGEST_REPLY:
                raise UnusableError(f"a reply of more than {LONGEST_REPLY // 2**20} MiB")
    except zlib.error:
        raise UnusableError("a reply that cannot be unpacked") from None
    return bytes(content)


def _certificates() -> ssl.SSLContext:
    """Return a context that trusts the system's certificates, or those of ``SSL_CERT_FILE``."""
    named = os.environ.get(CERTIFICATES)
    if not named:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=named)
    except (OSError, ssl.SSLError):
        what = "holds no certificate" if Path(named).is_file() else "does not exist"
        raise ConfigError(f"{CERTIFICATES} names {named}, which {what}", "a file of certificates in PEM form") from None


def _untrusted(address: Address, error: Exception) -> EndpointError:
    said = getattr(error, "verify_message", "") or type(error).__name__
    return EndpointError(
        f"the certificate of {address.shown} is not trusted ({said})",
        "",
        f"If your network has a certificate authority of its own, name its file: {CERTIFICATES}=FILE.",
    )
