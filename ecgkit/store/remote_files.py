"""The files of a store behind an address of fsspec, and one line for each of the many errors of the protocols.

``s3://``, ``gs://`` and ``az://`` are read by the package that fsspec names for them, such as s3fs, if it is installed;
otherwise by obstore, which the extra `remote` brings.
"""

import os
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from ecgkit.addresses import opening
from ecgkit.errors import StoreError

CHECK = "Check the address and the network."
_REFUSED = ("Forbidden", "Unauthorized", "AccessDenied", "SignatureDoesNotMatch", "lacked the necessary")
# The package of each protocol that obstore can read too.
_OBSTORE = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_RETRIES = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
_PATIENCE = {"connect_timeout": "10s", "timeout": "10m"}


class RemoteFiles:
    """See the module.

    Args:
        address: Address of the store, without credentials.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._opened: tuple[int, Any, str] | None = None

    @property
    def name(self) -> str:
        """Name of the store."""
        return self.address.rpartition("/")[2] or "store"

    def content(self, part: str) -> bytes:
        """Return the content of a small file.

        Raises:
            StoreError: It cannot be read.
        """
        files, root = self._connect()
        try:
            return bytes(files.cat_file(f"{root}/{part}"))
        except Exception as error:  # each protocol raises its own errors
            raise self._unreadable(part, error) from None

    def below(self, folder: str) -> list[str]:
        """Return the files below a folder of the store; none if there is no such folder, or a web server has no list.

        Raises:
            StoreError: They cannot be listed.
        """
        files, root = self._connect()
        try:
            found = [str(path) for path in files.find(f"{root}/{folder}")]
        except FileNotFoundError:
            return []
        except Exception as error:  # each protocol raises its own errors
            if self.address.startswith(("http://", "https://")):
                return []
            raise self._unreadable(folder, error) from None
        paths = (PurePosixPath(folder, path.partition(f"{root}/{folder}/")[2]) for path in found)
        # Only what lies in the folder, and nothing hidden.
        return sorted(str(path) for path in paths if path.name and not any(p.startswith(".") for p in path.parts))

    def get(self, part: str, target: Path) -> None:
        """Copy a file to this machine.

        Raises:
            FileNotFoundError: The store has no such file.
            OSError: The target cannot be written.
            StoreError: The file cannot be read.
        """
        files, root = self._connect()
        with target.open("wb"):  # so that all other errors are those of the address
            pass
        try:
            files.get_file(f"{root}/{part}", str(target))
        except FileNotFoundError:
            raise
        except Exception as error:  # each protocol raises its own errors
            if isinstance(error, OSError) and error.filename == str(target):
                raise
            raise self._unreadable(part, error) from None

    def lacks(self, part: str) -> StoreError:
        """Return the error for a file that the store lacks."""
        return self._unreadable(part, FileNotFoundError())

    def _connect(self) -> tuple[Any, str]:
        """Return the file system and the path in it, opened in this process: a connection does not survive a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), *_connected(self.address)
        return self._opened[1], self._opened[2]

    def _unreadable(self, part: str, error: Exception) -> StoreError:
        line, text = (str(error).strip().splitlines() or [type(error).__name__])[0], str(error)
        if "NoSuchBucket" in text:
            bucket = self.address.partition("://")[2].partition("/")[0]
            return StoreError(f"{self.address} cannot be read: there is no bucket {bucket}", remedy=CHECK)
        if isinstance(error, FileNotFoundError) and part == "zarr.json":
            return StoreError(f"{self.address} is not a store: it has no {part}", remedy=CHECK)
        if isinstance(error, FileNotFoundError):
            return StoreError(f"{self.address} lacks {part}", remedy="Copy the whole store there again.")
        if isinstance(error, PermissionError) or any(words in text for words in _REFUSED):
            return StoreError(
                f"{self.address} cannot be read: the server refuses access",
                remedy="Check the credentials, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            )
        return StoreError(f"{self.address}/{part} cannot be read ({line[:200]})", remedy=CHECK)


def _connected(address: str) -> tuple[Any, str]:
    """Return the file system of an address and the path in it."""
    with opening(address, StoreError, "a path, or an address such as s3://bucket/store.zarr"):
        import fsspec

        files, root = fsspec.core.url_to_fs(address, **options_of(address))
    return files, str(root).rstrip("/")


def options_of(address: str) -> dict[str, Any]:
    """Return the options of fsspec for an address, and let obstore read it if the usual package is not installed."""
    protocol = address.partition("://")[0].lower()
    usual = _OBSTORE.get(protocol)
    if usual is None or find_spec(usual) is not None or find_spec("obstore") is None:
        return {}
    from obstore.fsspec import register

    register(protocol)
    plain = any(os.environ.get(name, "").startswith("http://") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    return {"retry_config": _RETRIES, "client_options": {**_PATIENCE, "allow_http": plain}}
