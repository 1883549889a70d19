"""A store in the making: what is done of it survives the process that did it.

    OUT.partial/lock         held by the process at work; the kernel lets go of it when that process ends
    OUT.partial/plan.json    what is being made, so that nobody goes on with something else
    OUT.partial/parts/       finished shards with their rows, and what was half-written when a process was killed
    OUT.partial/store/       the store while it is put together

The store takes its place by one rename, and the folder goes.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecgkit.atomic import MARKER, atomic_file, check_output, locked
from ecgkit.errors import OutputError
from ecgkit.store.assembly import KIND
from ecgkit.store.writer import ROWS, part_file

STAGING_KIND = "unfinished store"
LOCK = "lock"


class Staging:
    """What is done of a store.

    Args:
        out: Where the store is to be.
    """

    def __init__(self, out: Path) -> None:
        self.out = out.absolute()
        self.folder = self.out.with_name(f"{self.out.name}.partial")
        self.parts = self.folder / "parts"
        self.store = self.folder / "store"
        self._plan = self.folder / "plan.json"

    def begin(self, fingerprint: str, *, overwrite: bool) -> None:
        """Begin, or go on with, the store of this fingerprint.

        Raises:
            OutputError: Another one was begun here, and `overwrite` does not say to drop it.
        """
        if self._plan.exists() and self._begun() != fingerprint:
            if not overwrite:
                raise OutputError(
                    f"{self.folder} was begun with other options, or its source has changed",
                    "the same command as before",
                    "Go on with that one, or begin anew with --overwrite.",
                )
            self.clear()
        self.parts.mkdir(exist_ok=True)
        self.store.mkdir(exist_ok=True)
        with atomic_file(self._plan) as path:
            path.write_text(json.dumps({"fingerprint": fingerprint}), encoding="utf-8")

    def is_done(self, part: int) -> bool:
        """Return whether a part is whole."""
        return part_file(self.parts, part, ROWS).exists()

    def finish(self) -> None:
        """Put the store in its place."""
        if self.out.exists():
            os.replace(self.out, self.folder / "replaced")
        os.replace(self.store, self.out)
        shutil.rmtree(self.folder)

    def clear(self) -> None:
        """Forget all that is done."""
        self._plan.unlink(missing_ok=True)
        for folder in (self.parts, self.store):
            shutil.rmtree(folder, ignore_errors=True)

    def _begun(self) -> str:
        try:
            return str(json.loads(self._plan.read_text(encoding="utf-8"))["fingerprint"])
        except (OSError, ValueError, LookupError, TypeError):
            return ""


@contextmanager
def open_staging(out: Path, *, overwrite: bool) -> Iterator[Staging]:
    """Yield the staging folder of a store, for this process alone; it goes again if nothing was done.

    Raises:
        OutputError: The store exists, another process is making it, or the folder's name is taken.
    """
    staging = Staging(out)
    marker = staging.folder / MARKER
    if staging.folder.exists() and not marker.exists() and {p.name for p in staging.folder.iterdir()} - {LOCK}:
        raise OutputError(f"{staging.folder} is in the way", "a name that is free for unfinished work", "Move it away.")
    with locked(staging.folder / LOCK) as held:
        if not held:
            raise OutputError(
                f"{out} is being made by another process", "one at a time", "Wait, or name another --out."
            )
        marker.write_text(f"{STAGING_KIND}\n", encoding="utf-8")
        try:
            check_output(out, KIND, overwrite=overwrite)
            yield staging
        finally:
            if staging.folder.exists() and not any(staging.parts.glob(f"*.{ROWS}")):
                shutil.rmtree(staging.folder)


def sweep(out: Path) -> None:
    """Remove what a process left that was killed after its store was in place."""
    staging = Staging(out)
    if out.exists() and (staging.folder / MARKER).exists() and not staging.store.exists():
        with locked(staging.folder / LOCK) as held:
            if held and not staging.store.exists():
                shutil.rmtree(staging.folder)
