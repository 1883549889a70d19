"""Get one archive: look at what it holds, then save its files and verify them."""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from ecgkit.archives.card import ArchiveCard
from ecgkit.atomic import atomic_file, sync_tree
from ecgkit.download import WORK
from ecgkit.download.checksums import LIST, parse_checksums, sha256_of
from ecgkit.download.fetch import Client, Patience
from ecgkit.errors import DownloadError, OutputError
from ecgkit.lock import hold

BASE = "https://physionet.org"
PARALLEL = 4
LOOKED_AT = 24  # files whose size is asked for, to estimate the size of all
CORRUPT_TRIES = 2


@dataclass(frozen=True)
class Offer:
    """What would be downloaded.

    Args:
        card: The archive.
        files: SHA-256 of each chosen file by its path.
        listed: The same of all files of the archive.
        gigabytes: Size of all of them in GB, estimated from some; None if the server does not state sizes.
        estimated: Whether the size is estimated.
    """

    card: ArchiveCard
    files: Mapping[str, str]
    listed: Mapping[str, str]
    gigabytes: float | None
    estimated: bool


@dataclass(frozen=True)
class Outcome:
    """What a download did.

    Args:
        folder: Folder of the archive.
        files: Number of chosen files, all of which are there and verified.
        kept: Number of those that were there before.
        bytes: Bytes that were saved now.
        seconds: Time that it took.
    """

    folder: Path
    files: int
    kept: int
    bytes: int
    seconds: float


def client_of(card: ArchiveCard, base: str = BASE, patience: Patience | None = None) -> Client:
    """Return a client for the files of an archive.

    Raises:
        DownloadError: The archive is not on PhysioNet.
    """
    at = card.physionet
    if at is None:
        place = f"Get it from {card.url}." if card.url else ""
        raise DownloadError(f"{card.name} is not on PhysioNet, so it cannot be downloaded here", remedy=place)
    address = f"{base.rstrip('/')}/files/{at.slug}/{at.version}"
    return Client(address, patience or Patience())


def look(card: ArchiveCard, client: Client, only: Sequence[str] = ()) -> Offer:
    """List the files of an archive and estimate their size.

    Args:
        card: The archive.
        client: Its client.
        only: Patterns of paths, such as ``records100/*``; files that match any are chosen. Empty: all files.

    Raises:
        DownloadError: The list cannot be had, or no file matches.
        DatasetError: The list is malformed, or a path in it leads out of the folder.
    """
    listed = parse_checksums(client.text(LIST), f"{client.base}/{LIST}")
    folder = _folder(card)
    listed = {path: own for path, own in listed.items() if path.startswith(folder)}
    files = {path: own for path, own in listed.items() if _matches(path, only)}
    if not files:
        raise DownloadError(f"no file of {card.name} matches {', '.join(only) or folder}")
    paths = sorted(files)
    sample = paths[:: -(-len(paths) // LOOKED_AT)]
    with ThreadPoolExecutor(PARALLEL) as pool:
        sizes = [size for size in pool.map(client.size, sample) if size is not None]
    size = sum(sizes) / len(sizes) * len(files) / 1e9 if sizes else None
    return Offer(card, files, listed, size, estimated=len(sizes) < len(files))


def _folder(card: ArchiveCard) -> str:
    """Return the folder of the project that holds the archive, with a slash at its end; empty if it is all of it."""
    return f"{card.physionet.folder}/" if card.physionet and card.physionet.folder else ""


def _matches(path: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(path, pattern) for pattern in only)


def download_archive(
    offer: Offer, client: Client, out: Path, progress: Callable[[str, int, int], None] | None = None
) -> Outcome:
    """Save the files of an archive, and verify each. What is there and right is kept; the rest is got.

    Args:
        offer: What `look` found.
        client: Its client.
        out: Folder of the archive.
        progress: Called with the stage, files done and files in total.

    Raises:
        DownloadError: A file cannot be had, or its checksum is wrong each time.
        OutputError: The disk is full, or another process downloads into this folder.
        KeyboardInterrupt: Ctrl-C was pressed. What is done is kept.
    """
    began = time.perf_counter()
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    with hold(work / "lock", out):
        job = _Job(client, _folder(offer.card), out, work)
        paths = sorted(offer.files)
        try:
            saved = _in_parallel(job, [(n, path, offer.files[path]) for n, path in enumerate(paths)], progress)
            lines = (f"{own} {path.removeprefix(job.folder)}\n" for path, own in offer.listed.items())
            with atomic_file(out / LIST) as list_of_all:
                list_of_all.write_text("".join(lines), encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"{out} cannot be written ({error.strerror or error})",
                remedy="Free some space and run the same command again: it goes on with what is missing.",
            ) from None
        sync_tree(out)  # a file that a power cut empties would otherwise count as downloaded
        shutil.rmtree(work)
    kept = sum(size is None for size in saved)
    total = sum(size for size in saved if size is not None)
    return Outcome(out, len(paths), kept, total, time.perf_counter() - began)


@dataclass(frozen=True)
class _Job:
    client: Client
    folder: str
    out: Path
    work: Path

    def get(self, call: tuple[int, str, str]) -> int | None:
        """Get one file; return its size, or None if it was there and right."""
        number, path, expected = call
        file, part = self.out / path.removeprefix(self.folder), self.work / f"{number}.part"
        if file.is_file() and sha256_of(file) == expected:
            return None
        for _ in range(CORRUPT_TRIES):
            self.client.save(path, part)
            if part.exists() and sha256_of(part) == expected:
                file.parent.mkdir(parents=True, exist_ok=True)
                size = part.stat().st_size
                os.replace(part, file)
                return size
            part.unlink(missing_ok=True)
        raise DownloadError(
            f"{path} arrived with a wrong checksum {CORRUPT_TRIES} times",
            remedy="Run the same command again later, or tell the archive's publisher.",
        )


def _in_parallel(
    job: _Job, calls: Sequence[tuple[int, str, str]], progress: Callable[[str, int, int], None] | None
) -> list[int | None]:
    """Get the files with a few threads; after an error no further file is begun."""
    done: list[int | None] = []
    left = iter(calls)
    with ThreadPoolExecutor(PARALLEL) as pool:
        try:
            running: set[Future[int | None]] = {pool.submit(job.get, call) for call in islice(left, PARALLEL)}
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                done += [future.result() for future in ended]
                running |= {pool.submit(job.get, call) for call in islice(left, len(ended))}
                if progress:
                    progress("files", len(done), len(calls))
        except BaseException:
            job.client.stop()
            raise
    return done
