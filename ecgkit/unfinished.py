"""Work that is not finished: one folder, one lock, one rename.

A long piece of work, such as a store, its R peaks or a training, is made in a folder beside its place::

    OUT.partial/.ecgkit      the kind of the work, such as "unfinished store"
    OUT.partial/lock         the lock of the process at work; it holds a line that names this process
    OUT.partial/plan.json    fingerprint of the settings under which the work was begun
    OUT.partial/parts/       the parts that are done
    OUT.partial/KIND/        the output while it is put together; it takes the place of OUT by one rename

What ecgkit keeps inside a store or a cache is made in a hidden folder, ``.OUT.partial``. A training is its own output:
its whole folder becomes OUT. Whatever stops a process, ``kill -9`` and power cuts included, the same command goes on
with the parts that are done. `ecgkit.parts` makes the parts.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from ecgkit.atomic import MARKER, atomic_file, check_output, kind_of, publish, sync, sync_tree
from ecgkit.errors import LockedError, OutputError
from ecgkit.lock import hold

SUFFIX = ".partial"
LOCK, PLAN, PARTS = "lock", "plan.json", "parts"


class Unfinished:
    """The unfinished folder of one output. `open` holds it for work.

    Args:
        out: Where the output is to appear.
        kind: Kind of the output, such as ``store``; see `ecgkit.atomic.atomic_folder`.
        overwrite: Whether an earlier output, and unfinished work with other settings, may be replaced.
        hidden: Whether the unfinished folder is hidden.
        in_place: Whether the unfinished folder itself becomes the output.
        keep: Takes the unfinished folder and tells whether something in it is worth keeping. None: any part is.
    """

    def __init__(
        self,
        out: Path,
        kind: str,
        *,
        overwrite: bool = False,
        hidden: bool = False,
        in_place: bool = False,
        keep: Callable[[Path], bool] | None = None,
    ) -> None:
        self.out = out.absolute()
        self.kind = kind
        self.overwrite = overwrite
        self.in_place = in_place
        self.folder = self.out.with_name(f"{'.' if hidden else ''}{self.out.name}{SUFFIX}")
        self.parts = self.folder / PARTS
        self.made = self.folder if in_place else self.folder / kind
        self._keep = keep or _has_parts
        self._aside = self.out.with_name(f".{self.out.name}.replaced")

    def is_done(self, part: str) -> bool:
        """Return whether a part is done, by the name of the file that is written last of it."""
        return (self.parts / part).exists()

    def check_free(self) -> None:
        """Refuse early where `open` would, and tidy up after a process that was killed when its output was in place.

        Raises:
            OutputError: The output exists and may not be replaced, or something else has the name of the folder.
        """
        self._check_name()
        self._settle()
        check_output(self.out, self.kind, overwrite=self.overwrite)

    @contextmanager
    def open(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the folder for this process. When the block ends, the folder goes if nothing in it is worth keeping.

        Args:
            wait: Whether to wait for another process that is at work, instead of raising an error.

        Raises:
            LockedError: Another process is at work.
            OutputError: As `check_free`; or the folder cannot be written.
        """
        self.check_free()
        with self._alone(wait):
            check_output(self.out, self.kind, overwrite=self.overwrite)
            (self.folder / MARKER).write_text(f"unfinished {self.kind}\n", encoding="utf-8")
            with _telling_of_a_full_disk(self.out):
                yield

    def begin(self, fingerprint: str) -> None:
        """Begin the work, or go on with it where it was begun with the same settings.

        Args:
            fingerprint: Hash of everything that decides the content of the output.

        Raises:
            OutputError: There is unfinished work with other settings, and it may not be replaced.
        """
        if self._begun() != fingerprint:
            if self._keep(self.folder) and not self.overwrite:
                raise OutputError(
                    f"{self.folder} is unfinished work with other settings or another source",
                    remedy="Finish it with the same command as before, or begin anew with --overwrite.",
                )
            self.clear()
        for folder in (self.made,) if self.in_place else (self.made, self.parts):
            folder.mkdir(exist_ok=True)
        write_plan(self.folder, fingerprint)

    def clear(self) -> None:
        """Remove everything that was made; the folder and its lock stay."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in (LOCK, MARKER):
                path.unlink()

    def finish(self) -> None:
        """Let the output take its place by one rename, and remove the folder."""
        if self.in_place:
            (self.folder / PLAN).unlink(missing_ok=True)
        sync_tree(self.made)
        publish(self.made, self.out, self.kind, replace=self.overwrite, aside=self._aside)
        sync(self.out.parent)
        if self.in_place:
            (self.out / LOCK).unlink(missing_ok=True)
        else:
            self._remove()

    @contextmanager
    def _alone(self, wait: bool = False) -> Iterator[None]:
        with hold(self.folder / LOCK, self.out, wait=wait):
            try:
                yield
            finally:
                if self.folder.exists() and not self._keep(self.folder):
                    self._remove()

    def _remove(self) -> None:
        self.clear()  # the marker goes last: without it nobody would know what is left of the folder
        shutil.rmtree(self.folder)

    def _settle(self) -> None:
        """Complete or undo the last step of a process that was killed in it."""
        whole = self.in_place and kind_of(self.folder) == self.kind
        left = self.folder.exists() and self.out.exists() and not self.made.exists()
        if not (whole or left or self._aside.exists()):
            return
        with suppress(LockedError), self._alone():
            if whole and not self.out.exists():
                os.replace(self.folder, self.out)
                (self.out / LOCK).unlink(missing_ok=True)
            if self._aside.exists() and self.out.exists():
                shutil.rmtree(self._aside)
            elif self._aside.exists():
                os.replace(self._aside, self.out)
            if self.folder.exists() and self.out.exists() and not self.made.exists():
                self.clear()

    def _check_name(self) -> None:
        kinds = [f"unfinished {self.kind}", *([self.kind] if self.in_place else [])]
        if not self.folder.exists() or kind_of(self.folder) in kinds:
            return
        if not self.folder.is_dir() or {path.name for path in self.folder.iterdir()} - {LOCK, MARKER}:
            raise OutputError(
                f"{self.folder} is in the way: unfinished work is kept under this name, and this is none",
                remedy="Move it away, or name another --out.",
            )

    def _begun(self) -> str:
        """Return the fingerprint under which the work was begun; empty if it was not, or if nobody can tell."""
        try:
            return str(json.loads((self.folder / PLAN).read_text(encoding="utf-8"))["fingerprint"])
        except (OSError, ValueError, LookupError, TypeError):
            return ""


def write_plan(folder: Path, fingerprint: str) -> None:
    """Note in an unfinished folder under which settings the work was begun."""
    with atomic_file(folder / PLAN) as path:
        path.write_text(json.dumps({"fingerprint": fingerprint}), encoding="utf-8")


@contextmanager
def _telling_of_a_full_disk(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OutputError(
            f"the disk is full and {out} is not finished",
            remedy="Make room and give the same command again: it goes on from there.",
        ) from None


def _has_parts(folder: Path) -> bool:
    parts = folder / PARTS
    return parts.is_dir() and any(not file.name.startswith(".") for file in parts.iterdir())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes a file of a part when the block ends without an error, whole and on the disk.

    Unlike `ecgkit.atomic.atomic_file` it makes no folder: work that ends late finds its folder gone and leaves nothing.
    """
    staging = path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")
    try:
        yield staging
        sync(staging)
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)
