"""Where report text may go: to this machine or its private network, and elsewhere only if the user says so."""

import ipaddress
import socket
from urllib.parse import urlsplit

from ecgkit.errors import ConfigError

ALLOW = "Report text can be patient data; if it may leave your network, say --allow-remote."


def check_address(base_url: str, *, allow_remote: bool = False) -> str:
    """Refuse an address outside this machine and its private network.

    Args:
        base_url: Such as ``http://localhost:8000/v1``.
        allow_remote: Whether text may leave; a remote address must still be ``https``.

    Returns:
        Host and port, without any user name or password: what may be shown and stored.

    Raises:
        ConfigError: The address is none, is remote without leave, or would send text unencrypted.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError("--base-url is no address of a server", "one such as http://localhost:8000/v1")
    shown = f"{host}:{port}" if port else host
    if is_private(host):
        return shown
    if not allow_remote:
        raise ConfigError(f"--base-url leads to {host}, which is not a private address", "a local server", ALLOW)
    if parts.scheme != "https":
        raise ConfigError(f"--base-url sends text to {host} unencrypted", "https for a remote address")
    return shown


def is_private(host: str) -> bool:
    """Return whether every address of a host is a loopback or private one; a name that nobody knows is not."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    addresses = [ipaddress.ip_address(address.partition("%")[0]) for address in found]
    return bool(addresses) and all(address.is_private or address.is_loopback for address in addresses)
