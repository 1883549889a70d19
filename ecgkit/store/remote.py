"""Stores behind an address of fsspec, such as ``s3://bucket/ptbxl.zarr``, read through a copy on this machine.

The copy is an ordinary store of which some pieces are not there yet:

    FOLDER/stores/HASH/NAME/                a store; HASH is that of the address, the attributes and the layout
    FOLDER/stores/HASH/NAME/.remote.json    the address

When a store is opened, its tables and its products (R peaks, entities, signatures) are fetched, which are small. A
shard of its signals is fetched when a record in it is read first. The record table and every record are compared with
their hashes, as those of any store, so a piece that was damaged on its way is noticed, and is then fetched again. What
a command adds to the store, such as views or R peaks, stays in the copy. Nothing is ever written to the address.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ecgkit.addresses import PathLike, address_of, local_path, shown
from ecgkit.atomic import naming, telling_of_a_full_disk
from ecgkit.choices import choose
from ecgkit.config import fingerprint
from ecgkit.errors import StoreError
from ecgkit.store import format as fmt
from ecgkit.store.remote_files import CHECK, RemoteFiles
from ecgkit.unfinished import whole_file

NOTE = ".remote.json"
SIGNAL_META = "signal/zarr.json"
TABLES = (fmt.RECORDS, fmt.QUALITY, fmt.LEDGER)
OPTIONAL = (fmt.LOG, ".ecgkit")
PRODUCTS = ("beats", "knowledge", "signatures")
IN_THIS_PROCESS = "memory://"  # no other process can read it


def located(place: PathLike, scratch: Path | None = None) -> Path:
    """Return the folder of a store that a user named by a path or an address.

    Args:
        place: The path or the address.
        scratch: Folder for copies of remote stores; None for ``ECGKIT_CACHE`` (default ``~/.cache/ecgkit``).

    Raises:
        StoreError: There is no store at the address, it cannot be read, or a package that it needs is not installed.
        OutputError: The copy cannot be written.
    """
    address = address_of(place)
    if address is None:
        return local_path(place)
    if shown(address) != address:
        raise StoreError(
            f"{shown(address)} was given with a password or a query, which logs would show",
            remedy="Give credentials as its protocol takes them, such as in AWS_ACCESS_KEY_ID.",
        )
    files = RemoteFiles(address)
    meta = files.content(fmt.META)
    attributes, layout = _attributes(meta, address), files.content(SIGNAL_META)
    cache = scratch or Path(os.environ.get("ECGKIT_CACHE", "~/.cache/ecgkit")).expanduser()
    folder = (
        cache.absolute() / "stores" / fingerprint(address, meta.decode(), layout.decode(errors="replace")) / files.name
    )
    choose("copy", folder, f"what is read of {address} is kept there")
    if not (folder / fmt.META).exists():
        _begin(files, folder, {SIGNAL_META: layout, fmt.META: meta}, attributes)
    for product in PRODUCTS:
        _fetch_product(files, folder, files.below(product))
    if address.startswith(IN_THIS_PROCESS):
        Pieces(folder, files).fetch(files.below("signal"))
    return folder


def pieces_of(folder: Path) -> "Pieces | None":
    """Return what fetches the missing pieces of a copy; None for a store that is no copy.

    Raises:
        StoreError: The note of the address is damaged.
    """
    address = _noted_address(folder)
    return None if address is None else Pieces(folder, RemoteFiles(address))


def named_by_user(place: Path) -> str:
    """Return how a user names a store: the address of a copy, and otherwise the path.

    Raises:
        StoreError: The note of the address is damaged.
    """
    address = address_of(place) or _noted_address(place)
    return str(place) if address is None else shown(address)


def _noted_address(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / NOTE).read_text(encoding="utf-8"))["address"])
    except OSError:
        return None
    except (ValueError, LookupError, TypeError):
        raise StoreError(f"{folder / NOTE} is damaged", remedy=f"Remove {folder.parent}; it is a copy.") from None


class Pieces:
    """The pieces of a copy of a remote store.

    Args:
        folder: The copy.
        files: The files at the address.
    """

    def __init__(self, folder: Path, files: RemoteFiles) -> None:
        self.folder, self.files = folder, files

    def fetch(self, parts: Iterable[str], *, may_lack: bool = False) -> None:
        """Fetch files that the copy lacks.

        Args:
            parts: Paths of the files in the store.
            may_lack: Whether the store may lack them too.

        Raises:
            StoreError: A file cannot be read.
            OutputError: The copy cannot be written.
        """
        for part in parts:
            target = self.folder / part
            if target.exists():
                continue
            with naming(target), telling_of_a_full_disk(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    with whole_file(target) as staging:
                        self.files.get(part, staging)
                except FileNotFoundError:
                    if not may_lack:
                        raise self.files.lacks(part) from None

    def damaged(self, error: StoreError, parts: Iterable[str]) -> StoreError:
        """Remove pieces so that they are fetched again, and return the error for a user."""
        for part in parts:
            (self.folder / part).unlink(missing_ok=True)
        again = f"If this repeats, {self.files.address} is damaged."
        return StoreError(error.found, remedy=f"Run the same command again: the piece is fetched again. {again}")


def _begin(files: RemoteFiles, folder: Path, small: dict[str, bytes], attributes: dict[str, Any]) -> None:
    """Fetch the tables, and write the small files that are known already.

    The attributes are the last of these: a folder that has them is a store.
    """
    with naming(folder):  # other users of this machine are not to read the reports in its tables
        folder.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pieces = Pieces(folder, files)
    pieces.fetch(TABLES)
    pieces.fetch(OPTIONAL, may_lack=True)
    table = folder / fmt.RECORDS
    if attributes.get("records_sha256") not in (None, fmt.file_hash(table)):
        table.unlink()
        raise StoreError(
            f"{files.address}/{fmt.RECORDS} was damaged on its way, or was replaced meanwhile",
            remedy=f"Run the same command again. If this repeats, {files.address} is damaged.",
        )
    for name, content in {NOTE: json.dumps({"address": files.address}).encode(), **small}.items():
        with naming(folder / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with whole_file(folder / name) as staging:
                staging.write_bytes(content)


def _fetch_product(files: RemoteFiles, folder: Path, parts: Sequence[str]) -> None:
    """Fetch products, each whole or not at all, unless the copy has one of its own. Each extraction is a product."""
    depth = {part: 2 if part.startswith("knowledge/") else 1 for part in parts}
    for product in dict.fromkeys("/".join(part.split("/")[: depth[part]]) for part in parts):
        target = folder / product
        if target.exists():
            continue
        with naming(folder):
            staging = Path(tempfile.mkdtemp(prefix=".fetched-", dir=folder))
        try:
            Pieces(staging, files).fetch(part for part in parts if f"{part}/".startswith(f"{product}/"))
            target.parent.mkdir(exist_ok=True)
            with suppress(OSError):  # another process was faster
                os.replace(staging / product, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _attributes(meta: bytes, address: str) -> dict[str, Any]:
    try:
        attributes = dict(json.loads(meta)["attributes"])
    except (ValueError, LookupError, TypeError):
        attributes = {}
    if attributes.get("format") != fmt.FORMAT:
        raise StoreError(f"{address} is not a store", "a store made by 'ecgkit ingest'", CHECK)
    return attributes
