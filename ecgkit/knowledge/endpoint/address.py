"""Where report text may go: to this machine or its private network, and elsewhere only if the user says so.

A name is resolved once. What is checked here is what the transport connects to, so a name server that later gives
another answer changes nothing.
"""

import ipaddress
import socket
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ecgkit.errors import ConfigError

ALLOW = "Report text can be patient data. If it may leave your network, give --allow-remote."
# This machine and its private network. `ipaddress.is_private` is wider: it holds mapped and tunnelled public addresses.
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "0.0.0.0/32"),
        *("::1/128", "fc00::/7", "fe80::/10", "::/128"),
    )
)


@dataclass(frozen=True)
class Address:
    """The address of a server, checked and resolved.

    Args:
        scheme: ``http`` or ``https``.
        host: Name or number, as the user gave it. TLS verifies this name.
        port: Port; None for the default of the scheme.
        path: Path of the base URL, without a slash at its end.
        numbers: IP addresses that were checked, which are the only ones to connect to.
        private: Whether all of them belong to this machine or its private network.
        login: User name and password of the URL; empty if it has none.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    numbers: tuple[str, ...]
    private: bool
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """Host and port, without user name and password: what may be shown and stored."""
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def url(self) -> str:
        """The base URL without user name and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{f':{self.port}' if self.port else ''}{self.path}"


def check_address(base_url: str, *, allow_remote: bool = False) -> Address:
    """Resolve the address of a server once, and refuse one outside this machine and its private network.

    Args:
        base_url: Such as ``http://localhost:8000/v1``.
        allow_remote: Whether text may leave. A remote address must still be ``https``.

    Raises:
        ConfigError: The URL is no address, leads to a public address without leave, or would send text unencrypted.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError("--base-url is no address of a server", "one such as http://localhost:8000/v1")
    numbers = _resolve(host)
    private = bool(numbers) and all(map(is_private, numbers))
    if not private and not allow_remote:
        what = "is not a private address" if numbers else "cannot be resolved"
        raise ConfigError(f"--base-url leads to {host}, which {what}", "a local server", ALLOW)
    if not private and parts.scheme != "https":
        raise ConfigError(f"--base-url sends text to {host} unencrypted", "https for a remote address")
    login = (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else None
    return Address(parts.scheme, host, port, parts.path.rstrip("/"), numbers, private, login)


def _resolve(host: str) -> tuple[str, ...]:
    """Return the IP addresses of a host; none if nobody knows it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(info[4][0]) for info in found))


def is_private(number: str) -> bool:
    """Return whether an IP address belongs to this machine or its private network.

    An IPv4 address that is written as an IPv6 address (``::ffff:8.8.8.8``) is judged as the IPv4 address.
    """
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in _PRIVATE if network.version == address.version)
