"""Addresses of remote places, such as ``s3://bucket/ptbxl.zarr``.

Commands take stores as paths, and a `Path` writes two slashes as one. So ``s3:/bucket/ptbxl.zarr`` is the same address.
Nothing here opens a connection.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecgkit.distribution import install_extra
from ecgkit.errors import EcgkitError, OutputError

PathLike = str | os.PathLike[str]
# Two letters at least: one letter is a disk of Windows.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/+(.*)", re.DOTALL)
LOCAL = ("file", "local")


def address_of(place: PathLike) -> str | None:
    """Return the address that a user typed; None if it is a path of this machine."""
    found = _ADDRESS.fullmatch(os.fspath(place))
    if found is None or found[1].lower() in LOCAL:
        return None
    return f"{found[1].lower()}://{found[2].rstrip('/')}"


def local_path(place: PathLike) -> Path:
    """Return a path of this machine that may be typed as ``file:///path``."""
    found = _ADDRESS.fullmatch(os.fspath(place))
    if found is None or found[1].lower() not in LOCAL:
        return Path(place)
    return Path("/" + found[2])


def shown(address: str) -> str:
    """Return an address without what may be secret: a name and a password, and the signature after a ``?``."""
    protocol, _, rest = address.partition("://")
    place = rest.partition("?")[0].partition("#")[0]
    host, slash, path = place.partition("/")
    return f"{protocol}://{host.rpartition('@')[2]}{slash}{path}"


@contextmanager
def opening(address: str, kind: type[EcgkitError], expected: str) -> Iterator[None]:
    """Turn the errors with which fsspec refuses an address into one line.

    Args:
        address: The address, as it is shown.
        kind: Error to raise.
        expected: What may stand in its place.

    Raises:
        EcgkitError: Of this kind. A package that the address needs is not installed, or its protocol is unknown.
    """
    try:
        yield
    except ImportError as error:
        raise kind(
            f"{address} needs a package that is not installed ({error})", remedy=install_extra("remote")
        ) from None
    except ValueError as error:
        raise kind(f"{address} cannot be opened ({error})", expected) from None


def check_local_output(path: Path) -> None:
    """Refuse to write to a remote address, also to one that was joined to the current folder.

    Raises:
        OutputError: The path is one.
    """
    for n, part in enumerate(path.parts):
        address = address_of(Path(*path.parts[n:])) if part.endswith(":") else None
        if address is not None and not Path(*path.parts[: n + 1]).exists():
            name = shown(address).rpartition("/")[2]
            raise OutputError(
                f"{shown(address)} is a remote address, and ecgkit writes only to disks of this machine",
                remedy=f"Write to a local path, such as {name}, and copy it when it is finished, with "
                "'aws s3 sync' or 'rclone copy'.",
            )
