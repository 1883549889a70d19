"""Runs commands in forked processes, with a fault or without, and judges what came of it."""

import gc
import os
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np

from tests.faults.cases import CASES, MODEL, RECORDS, SUITE, Case, content, state
from tests.faults.interposer import KILLS, install

LIMIT = 60.0  # seconds of a command, which takes one on a free core
TOLD = re.compile(r"^error: .+", re.MULTILINE)
BUGS = ("Traceback", "a bug in ecgkit", "Bus error")


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code, or the negative number of a signal; what it printed; the points it came to."""

    code: int
    text: str
    points: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """One fault at one point of a command; `problem` is empty if what was promised holds."""

    case: str
    fault: str
    point: int
    where: str
    outcome: str
    problem: str


def warm_up() -> None:
    """Import what the commands need, so that a forked process starts at once. Nothing here starts a thread."""
    import torch
    from numba.core.registry import cpu_target

    import ecgkit.cli
    from ecgkit import cells
    from ecgkit.api import beats, ingest, knowledge, prepare, pretrain, probe, report, suite  # noqa: F401
    from ecgkit.entries import MethodEntry
    from ecgkit.evaluation.heads import knn, linear  # noqa: F401
    from ecgkit.methods import method_config
    from ecgkit.plugins import host
    from ecgkit.signal.filters import Butterworth
    from ecgkit.store import format as fmt
    from ecgkit.store import views

    torch.set_num_threads(1)
    cpu_target.typing_context.refresh()  # what numba does at its first function, for a second
    cpu_target.target_context.refresh()
    ecgkit.cli._program = cache(ecgkit.cli._program)
    ecgkit.cli._program()
    method_config(host().get(MethodEntry, "stmem"), "tiny")  # pydantic builds its schemas
    Butterworth()(np.zeros((1, 500)), 250.0)  # numba loads the loop
    fmt._CHUNK_RECORDS, fmt._SHARD_CHUNKS, views.CHUNKS_PER_PART = 8, 2, 2
    # After a power cut nobody can tell whether a worker that shared the work lives: a test does not wait for minutes.
    cells.LOOK_EVERY, cells.Claims.__init__.__defaults__ = 0.1, (cells.BEAT, 1.0)
    gc.freeze()  # a collection in a forked process would copy all pages


def forked(work: Callable[[], object], root: Path, fault: str = "", at: int = -1) -> Ended:
    """Do some work in a forked process in a folder, with a fault or without."""
    out_r, out_w = os.pipe()
    seen_r, seen_w = os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.setsid()
            os.chdir(root)
            os.dup2(out_w, 1)
            os.dup2(out_w, 2)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            install(root, fault, at, lambda line: os.write(seen_w, f"{line}\n".encode()))
            work()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(out_w)
    os.close(seen_w)
    texts = _drained({out_r: b"", seen_r: b""}, child)
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # workers that outlived it
    points = tuple(texts[seen_r].decode(errors="replace").splitlines())
    return Ended(os.waitstatus_to_exitcode(status), texts[out_r].decode(errors="replace"), points)


def _drained(texts: dict[int, bytes], child: int) -> dict[int, bytes]:
    opened, end = set(texts), time.monotonic() + LIMIT
    while opened:
        ready, _, _ = select.select(list(opened), [], [], max(0.0, end - time.monotonic()))
        if not ready:
            os.killpg(child, signal.SIGKILL)
            texts[min(texts)] += b"\nhangs"
            break
        for descriptor in ready:
            part = os.read(descriptor, 1 << 16)
            texts[descriptor] += part
            if not part:
                opened.discard(descriptor)
    for descriptor in texts:
        os.close(descriptor)
    return texts


def noting(work: Callable[[], object], file: Path) -> Callable[[], object]:
    """Return some work that also writes down which modules it has loaded."""

    def call() -> None:
        try:
            work()
        finally:
            file.write_text("\n".join(sys.modules))

    return call


def load(names: list[str]) -> None:
    """Import modules that a forked process would otherwise import each time."""
    for name in names:
        if name not in sys.modules:
            with suppress(Exception):
                import_module(name)


def command(arguments: tuple[str, ...]) -> Callable[[], object]:
    """Return a call of the program."""

    def call() -> None:
        from ecgkit.cli import main

        sys.argv = ["ecgkit", *arguments]
        main()

    return call


class Bench:
    """Working folders for trials.

    Args:
        folder: Folder for them; emptied at the end by its owner.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ready: dict[str, Path] = {}
        self._truth: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {}
        self._judgements: dict[str, tuple[str, str]] = {}  # of what a fault left on the disk

    def ready(self, case: Case) -> Path:
        """Return a folder in which the command of a case can run; it is not to be changed."""
        key = "+".join(case.before)
        if key not in self._ready:
            *earlier, last = case.before or ("",)
            source = self.ready(Case("", (), "", tuple(earlier))) if last else None
            root = self.folder / f"ready-{len(self._ready)}"
            if source is None:
                root.mkdir(parents=True)
                self._done(forked(lambda: _simulate(root), root))
                settings = ", ".join(f'"{text}"' for text in (*MODEL[:4], "signal.eval_starts=[0.5]"))
                (root / "grid.yaml").write_text(SUITE.replace("SETTINGS", settings))
            else:
                shutil.copytree(source, root)
                self._done(forked(command(CASES[last].command), root))
            self._ready[key] = root
        return self._ready[key]

    def truth(self, case: Case) -> tuple[dict[str, str], str, tuple[str, ...]]:
        """Return the undisturbed content of a case's output, what is read from it, and the points."""
        if case.name not in self._truth:
            with self.copy(case) as root:
                loaded = self.folder / "modules"
                done = forked(noting(command(case.command), loaded), root)
                self._done(done)
                load(loaded.read_text().splitlines())
                self._truth[case.name] = (content(root / case.makes), self._read(case, root), done.points)
        return self._truth[case.name]

    def forgetful(self) -> "Bench":
        """Return the same working folders without what earlier trials have shown."""
        bench = Bench(self.folder)
        bench._ready, bench._truth = self._ready, self._truth
        return bench

    def copy(self, case: Case) -> "Copy":
        """Return a copy of the ready folder."""
        return Copy(self.ready(case), self.folder / "trial")

    def trial(self, case: Case, fault: str, at: int) -> Trial:
        """Run a command with one fault at one point, then undisturbed, and judge the outcome."""
        whole, read, _ = self.truth(case)
        with self.copy(case) as root:
            ended = forked(command(case.command), root, fault, at)
            if at >= len(ended.points):
                return Trial(case.name, fault, at, "", "missed", f"the command ends before: {_last(ended.text)}")
            where = ended.points[at]
            outcome, problem = self._judged(case, fault, ended, root, whole, read)
        return Trial(case.name, fault, at, where, outcome, problem)

    def _judged(
        self, case: Case, fault: str, ended: Ended, root: Path, whole: dict[str, str], read: str
    ) -> tuple[str, str]:
        if "hangs" in ended.text[-6:]:
            return "hangs", "the command hangs"
        if ended.code < 0 and fault not in KILLS:
            return "dies", f"the command dies by signal {-ended.code}"
        if any(word in ended.text for word in BUGS):
            return "bug", _last(ended.text)
        if ended.code not in (0, 2, 3) and fault not in KILLS:
            return "odd", f"exit code {ended.code}: {_last(ended.text)}"
        if ended.code == 2 and not TOLD.search(ended.text):
            return "silent", f"no error is told: {_last(ended.text)}"
        if fault == "flip":
            return self._after_a_flip(case, ended, root, read)
        if ended.code == 0 and content(root / case.makes) == whole:
            return "done", ""
        if ended.code == 0:
            return "differs", "the command ends well, and its output is not that of an undisturbed run"
        left = f"{case.name} {state(root)}"
        if left not in self._judgements:
            self._judgements[left] = self._afterwards(case, root, whole)
        return self._judgements[left]

    def _afterwards(self, case: Case, root: Path, whole: dict[str, str]) -> tuple[str, str]:
        """Judge the same command, undisturbed, on what a fault has left."""
        again = forked(command(self._next(case, root)), root)
        finished = again.code == 2 and ("already exists" in again.text or "is finished" in again.text)
        if again.code != 0 and not finished:
            return "stuck", f"the same command fails afterwards: {_last(again.text)}"
        now = content(root / case.makes)
        if now != whole:
            different = sorted(name for name in {*now, *whole} if now.get(name) != whole.get(name))
            return "differs", f"afterwards the output differs in {', '.join(different[:4])}"
        return "mended", ""

    def _after_a_flip(self, case: Case, ended: Ended, root: Path, read: str) -> tuple[str, str]:
        if ended.code == 2:
            return "told", ""
        if case.read is None:
            return "unread", ""
        found = self._read(case, root)
        if found == read:
            return "unharmed", ""
        return ("told", "") if found.startswith("error") else ("silent", "a flipped bit is read without a word")

    def _read(self, case: Case, root: Path) -> str:
        if case.read is None:
            return ""
        reader = case.read

        def call() -> None:
            from ecgkit.errors import EcgkitError

            try:
                print(reader(root / case.makes))
            except EcgkitError as error:
                print(f"error: {error}")

        return forked(call, root).text.strip().splitlines()[-1]

    @staticmethod
    def _next(case: Case, root: Path) -> tuple[str, ...]:
        has_checkpoint = any(root.glob(f"{case.makes}.partial/checkpoints/step-*"))
        return case.resume if case.resume and has_checkpoint else case.command

    @staticmethod
    def _done(ended: Ended) -> None:
        if ended.code:
            raise RuntimeError(f"an undisturbed command ended with exit code {ended.code}: {ended.text}")


class Copy:
    """A copy of a folder, at a path that stays the same, for the time of a block."""

    def __init__(self, source: Path, to: Path) -> None:
        self.source, self.to = source, to

    def __enter__(self) -> Path:
        shutil.rmtree(self.to, ignore_errors=True)
        shutil.copytree(self.source, self.to)
        return self.to

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.to, ignore_errors=True)


def trials(bench: Bench, names: tuple[str, ...], faults: tuple[str, ...], sample: int, seed: int) -> Iterator[Trial]:
    """Yield the trials of some commands: all points, or a sample of them."""
    import random

    draw = random.Random(seed)
    for name in names:
        case = CASES[name]
        found = bench.truth(case)[2]
        for fault in faults:
            points = [n for n, point in enumerate(found) if _matters(fault, point)]
            chosen = points if not sample or sample >= len(points) else sorted(draw.sample(points, sample))
            for at in chosen:
                yield bench.trial(case, fault, at)


def _matters(fault: str, point: str) -> bool:
    """Return whether a fault at a point can differ from the same fault at the point before it."""
    if fault == "flip":  # a finished file is renamed; before that, a flipped bit is the same as another content
        return point.startswith("os.rename")
    return True


def _simulate(root: Path) -> None:
    from ecgkit.simulate import simulate_cohort

    simulate_cohort(root / "src", records=RECORDS, seed=3)


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else "(nothing printed)"
