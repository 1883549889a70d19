"""``python -m tests.fuzz NAME --minutes 10``: try many inputs on one reader.

Coverage guides the run if atheris is installed. Each input has a limit of memory and of time. Inputs that make a
reader fail are kept in ``--out``.
"""

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.mutations import mutated

MEGABYTES = 4096
SECONDS = 30  # of one input


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="a target, or 'list'")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--inputs", type=int, default=0, help="stop after so many inputs; default: when the time is over"
    )
    parser.add_argument("--out", type=Path, help="folder for the corpus and for faults; default fuzz-NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="mutate without coverage")
    given = parser.parse_args()
    guided = None if given.plain else _atheris()
    with _instrumented(guided):
        from tests.fuzz.targets import TARGETS, in_memory

        if given.name == "list":
            print("\n".join(TARGETS))
            return
        tempfile.tempdir = in_memory()
        out = given.out or Path(f"fuzz-{given.name}")
        target = TARGETS[given.name]
        corpus = out / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed{number}").write_bytes(seed)
            target(seed)  # a seed that cannot be read would test nothing, and loads what reading needs
    resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES << 20, MEGABYTES << 20))
    if guided is None:
        _plain(target, corpus, out, given.minutes * 60, given.inputs, given.seed)
        return
    options = [f"-max_total_time={round(given.minutes * 60)}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}"]
    options += [f"-artifact_prefix={out}/", "-print_final_stats=1", "-max_len=65536", f"-seed={given.seed + 1}"]
    options += [f"-runs={given.inputs}"] if given.inputs else []
    guided.Setup([sys.argv[0], *options, str(corpus)], target)
    guided.Fuzz()


def _instrumented(guided: "Any | None") -> AbstractContextManager[object]:
    """Count the branches of what is imported in the block; layouts are imported when the first seed is read."""
    if guided is None:
        return nullcontext()
    return guided.instrument_imports(include=["ecgkit"], enable_loader_override=False)  # type: ignore[no-any-return]


def _atheris() -> "Any | None":
    try:
        import atheris
    except ImportError:
        print("atheris is not installed (pip install atheris): inputs are mutated without coverage")
        return None
    return atheris


def _plain(target: object, corpus: Path, out: Path, seconds: float, inputs: int, seed: int) -> None:
    """Mutate the corpus until the time is over, or enough inputs were given."""
    rng, end, count, faults = random.Random(seed), time.monotonic() + seconds, 0, set[str]()
    seeds = [file.read_bytes() for file in sorted(corpus.iterdir())]

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"an input took more than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    while time.monotonic() < end and (not inputs or count < inputs):
        data, count = mutated(rng.choice(seeds), rng), count + 1
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            target(data)  # type: ignore[operator]
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            trace, place = error.__traceback__, ""
            while trace:
                place, trace = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}", trace.tb_next
            fault = f"{type(error).__name__} at {place}: {error}"[:300]
            if (key := f"{type(error).__name__} {place}") not in faults:
                faults.add(key)
                (out / f"fault{len(faults)}").write_bytes(data)
                print(fault, flush=True)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    print(f"{count} inputs, {len(faults)} kinds of faults")


if __name__ == "__main__":
    main()
