"""Unfinished work: one folder, one lock, one rename.

Long work, such as making a store, finding its R peaks or a training, is done in a folder beside its destination::

    OUT.partial/.ecgkit      the kind of the work, such as "unfinished store"
    OUT.partial/lock         the lock; it holds one line that names the process at work
    OUT.partial/plan.json    fingerprint of the settings with which the work was begun, and the command that was typed
    OUT.partial/parts/       finished parts
    OUT.partial/KIND/        the output while it is assembled; one rename moves it to OUT

Outputs inside a store or a cache are made in a hidden folder, ``.OUT.partial``. A training is its own output: its whole
folder becomes OUT. Whatever stops a process, including ``kill -9`` and power cuts, the same command continues with the
finished parts. `ecgkit.parts` makes the parts.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from ecgkit.addresses import check_local_output
from ecgkit.atomic import (
    MARKER,
    NEW_MARKER,
    atomic_file,
    check_file,
    check_output,
    kind_of,
    mark,
    publish,
    sync,
    sync_tree,
    telling_of_a_full_disk,
)
from ecgkit.choices import typed_command
from ecgkit.errors import EcgkitError, LockedError, OutputError
from ecgkit.interrupt import NOTHING, Left, keeps
from ecgkit.lock import hold, holder_of

SUFFIX = ".partial"
LOCK, PLAN, PARTS = "lock", "plan.json", "parts"
_OURS = {LOCK, MARKER, NEW_MARKER}  # what a process may leave that was killed before it marked the folder
CONTINUES = "Free some space and run the same command again: it continues from there."


class Unfinished:
    """The unfinished folder of one output. `open` holds it for work.

    Args:
        out: Path of the output.
        kind: Kind of the output, such as ``store``; see `ecgkit.atomic.atomic_folder`.
        overwrite: Whether an earlier output, and unfinished work with other settings, may be replaced.
        hidden: Whether the unfinished folder is hidden.
        in_place: Whether the unfinished folder itself becomes the output.
        keep: Function of the unfinished folder that returns whether anything in it is worth keeping. None: any part is.
        spare: Names of files and folders in the unfinished folder that only unfinished work needs. With `in_place`
            they are removed when the work is complete.
        rescue: Called with an earlier output that is replaced, before it is removed, to save what it alone holds. It
            may be called again after it was killed.
        left: Says what the work leaves behind if Ctrl-C stops it; None for the parts that are done.
        option: Option that names the output, for errors; empty if none does.
        is_file: Whether the output is one file, made as a file of the same name in `made`.
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
        spare: tuple[str, ...] = (),
        rescue: Callable[[Path], object] = lambda _: None,
        left: Callable[[], Left] | None = None,
        option: str = "--out",
        is_file: bool = False,
    ) -> None:
        check_local_output(out)
        self.is_file = is_file
        self.out = out.absolute()
        self.kind = kind
        self.overwrite = overwrite
        self.in_place = in_place
        self.option = option
        self.folder = self.out.with_name(f"{'.' if hidden else ''}{self.out.name}{SUFFIX}")
        self.parts = self.folder / PARTS
        self.made = self.folder if in_place else self.folder / kind
        self._keep = keep or _has_parts
        self._spare = (*spare, PLAN)
        self._rescue = rescue
        self._left = left or self._parts_left
        self._aside = self.out.with_name(f".{self.out.name}.replaced")

    def is_done(self, part: str) -> bool:
        """Return whether a part is done, given the name of its last file."""
        return (self.parts / part).exists()

    def holder(self) -> str:
        """Return the process that is at work in the folder; empty if none is."""
        return holder_of(self.folder / LOCK)

    def check_free(self) -> None:
        """Check early whether `open` would fail, and tidy up after a process that was killed after its final rename.

        Raises:
            OutputError: The output exists and may not be replaced, or the folder's name is already in use.
        """
        self.settle()
        self._check_out()

    @contextmanager
    def open(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the folder for this process. At the end of the block it is removed if nothing in it is worth keeping.

        Args:
            wait: Whether to wait for another process at work, instead of raising an error.

        Raises:
            LockedError: Another process is at work.
            OutputError: See `check_free`; or the folder cannot be written.
        """
        self.check_free()
        with keeps(self._left), self._alone(wait):
            self._check_out()
            with telling_of_a_full_disk(self.out, CONTINUES):
                mark(self.folder, f"unfinished {self.kind}")
                yield

    def begin(self, fingerprint: str, source: str = "", *, anew: bool | None = None) -> bool:
        """Begin the work, or continue work that was begun with the same settings.

        Args:
            fingerprint: Hash of the settings, and of everything else that decides the content of the output.
            source: Hash of the source. If it has changed since the work was begun, the work begins anew.
            anew: Whether unfinished work with other settings may be replaced; None for `overwrite`.

        Returns:
            Whether finished parts were thrown away because the source has changed.

        Raises:
            OutputError: There is unfinished work with other settings, and it may not be replaced.
        """
        begun, begun_source = self._begun()
        is_changed = begun == fingerprint and begun_source != source and self._keep(self.folder)
        if begun != fingerprint or begun_source != source:
            may_replace = self.overwrite if anew is None else anew
            if self._keep(self.folder) and not may_replace and not is_changed:
                raise OutputError(
                    f"{self.folder} is unfinished work with other settings or another source",
                    remedy="Finish it with the same command as before, or start again with --overwrite.",
                )
            self.clear()
        for folder in (self.made,) if self.in_place else (self.made, self.parts):
            folder.mkdir(exist_ok=True)
        write_plan(self.folder, fingerprint, source)
        return is_changed

    def clear(self) -> None:
        """Remove all finished work. The folder and its lock stay."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in (LOCK, MARKER):
                path.unlink()

    def finish(self) -> None:
        """Move the output to its destination by one rename, and remove the folder.

        Raises:
            OutputError: The destination was made by another process in the meantime; the finished output is kept.
        """
        for path in self.made.glob(".*.partial*"):
            # Of `ecgkit.atomic`, in a process that was killed.
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        sync_tree(self.made)
        if self.is_file:
            mark(self.made, self.kind)  # from here on the work is complete: `settle` takes the last steps
            self._place_file()
            self._remove()
            return
        if not self.in_place:
            mark(self.made, self.kind)
            publish(self.made, self.out, replace=self.overwrite, aside=self._aside, rescue=self._rescue)
            self._remove()
            return
        if self.out.exists() and not self.overwrite:
            raise OutputError(
                f"{self.out} was made by another process in the meantime",
                remedy=f"Move it away and run the same command again. The finished output is kept in {self.folder}.",
            )
        if self.out.exists():
            os.replace(self.out, self._aside)
        mark(self.folder, self.kind)  # from here on the work is complete: `settle` takes the last steps
        self._take_place()

    def _take_place(self) -> None:
        """Let the marked folder become the output."""
        for name in self._spare:
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        publish(self.folder, self.out, replace=False)
        (self.out / LOCK).unlink(missing_ok=True)
        self._remove_replaced()

    def _place_file(self) -> None:
        """Let the one file in `made` become the output, if it has not yet."""
        if (made := self.made / self.out.name).exists():
            os.replace(made, self.out)
            sync(self.out.parent)

    def _remove_replaced(self) -> None:
        if self._aside.exists():
            self._rescue(self._aside)
            shutil.rmtree(self._aside)

    @contextmanager
    def _alone(self, wait: bool = False) -> Iterator[None]:
        with hold(self.folder / LOCK, self.out, wait=wait):
            try:
                yield
            finally:
                complete = self.in_place and kind_of(self.folder) == self.kind
                if self.folder.exists() and not complete and not self._keep(self.folder):
                    self._remove()

    def _parts_left(self) -> Left:
        return Left(f"what is done is kept in {self.folder}") if _has_parts(self.folder) else NOTHING

    def _remove(self) -> None:
        self.clear()  # the marker is removed last: without it nobody could tell what the folder is
        shutil.rmtree(self.folder)

    def tidy(self) -> None:
        """Remove what a process left that was killed after its last step. That it cannot be removed is no error."""
        if self.folder.exists() or self._aside.exists():
            with suppress(OSError, EcgkitError):
                self.settle()

    def settle(self) -> None:
        """Complete or undo the last step of a process that was killed during it.

        Raises:
            OutputError: The folder's name is already in use.
        """
        self._check_name()
        if self.in_place and not self.folder.exists() and kind_of(self.out) == self.kind:
            with suppress(OSError):
                (self.out / LOCK).unlink(missing_ok=True)  # the last thing that a process does
        whole = self.in_place and kind_of(self.folder) == self.kind
        is_file_whole = self.is_file and kind_of(self.made) == self.kind
        left = self.folder.exists() and self.out.exists() and not self.made.exists()
        if not (whole or is_file_whole or left or self._aside.exists()):
            return
        with suppress(LockedError), self._alone():
            if is_file_whole:
                self._place_file()
                self.clear()
            if whole and not self.out.exists():
                self._take_place()
            if self.out.exists():
                self._remove_replaced()
            elif self._aside.exists():
                os.replace(self._aside, self.out)
            if self.folder.exists() and self.out.exists() and not self.made.exists():
                self.clear()

    def _check_out(self) -> None:
        if self.is_file:
            check_file(self.out, overwrite=self.overwrite, option=self.option)
        else:
            check_output(self.out, self.kind, overwrite=self.overwrite, option=self.option)

    def _check_name(self) -> None:
        kinds = [f"unfinished {self.kind}", *([self.kind] if self.in_place else [])]
        if not self.folder.exists() or kind_of(self.folder) in kinds:
            return
        if not self.folder.is_dir() or {path.name for path in self.folder.iterdir()} - _OURS:
            raise OutputError(
                f"{self.folder} already exists, but it is not unfinished work, which is kept under this name",
                remedy=f"Move it away{f', or give another {self.option}' if self.option else ''}.",
            )

    def _begun(self) -> tuple[str, str]:
        """Return the hashes of settings and source with which the work was begun; empty if they are unknown."""
        try:
            plan = json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
            return str(plan["fingerprint"]), str(plan.get("source", ""))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return "", ""


def write_plan(folder: Path, fingerprint: str, source: str = "") -> None:
    """Write the hashes of settings and source, and the command, into an unfinished folder."""
    plan = {"fingerprint": fingerprint, "source": source, "command": typed_command()}
    plan = {name: value for name, value in plan.items() if value}
    with atomic_file(folder / PLAN) as path:
        path.write_text(json.dumps(plan), encoding="utf-8")


def command_of(folder: Path) -> str:
    """Return the command with which unfinished work was begun; empty if it is unknown."""
    try:
        return str(json.loads((folder / PLAN).read_text(encoding="utf-8"))["command"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _has_parts(folder: Path) -> bool:
    parts = folder / PARTS
    return parts.is_dir() and any(not file.name.startswith(".") for file in parts.iterdir())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes a part's file when the block ends without an error, complete and on disk.

    Unlike `ecgkit.atomic.atomic_file` it makes no folder, so work that ends late finds no folder and leaves nothing.
    """
    staging = path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")
    try:
        yield staging
        sync(staging)
        os.replace(staging, path)
        sync(path.parent)  # a later file never outlives an earlier one
    finally:
        staging.unlink(missing_ok=True)
