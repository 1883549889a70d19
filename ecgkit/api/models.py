"""The encoders that ``ecgkit probe --models`` and a suite's ``models`` name: runs, patterns of runs, and words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ecgkit.download.hub import local_folder
from ecgkit.errors import ConfigError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.training.run import CONFIG, config_file, open_run
from ecgkit.workspace.runs import read_run, runs_of

ALL, RANDOM = "all", "random"
SIGNS = ("*", "?", "[")  # of a pattern


def encoders_of(models: Sequence[str], folder: Path = Path()) -> tuple[EncoderChoice, ...]:
    """Return the encoders, each once, in the order of the models.

    Args:
        models: Each is a run folder; a pattern of run folders, such as ``runs/*``; ``all``, every finished run of the
            folder; or ``random``, the same encoders as those of the runs with random weights, each config once.
        folder: Folder in which ``all`` looks for runs.

    Raises:
        ConfigError: A model names no finished run.
    """
    runs = {path.resolve(): path for name in models if name != RANDOM for path in _runs(name, folder)}
    chosen = [EncoderChoice(run=str(path)) for path in runs.values()]
    if RANDOM in models:
        if not chosen:
            raise ConfigError(
                "--models random without a run",
                "the runs whose encoders are built again",
                "Such as: --models all,random",
            )
        chosen += _untrained(list(runs.values()))
    return tuple(chosen)


def with_local_runs(encoders: Iterable[EncoderChoice]) -> tuple[EncoderChoice, ...]:
    """Return encoders whose runs are folders: those that are named by an address of a hub are downloaded.

    Raises:
        DownloadError: A model cannot be downloaded.
    """
    return tuple(replace(one, run=str(local_folder(one.run))) if one.run else one for one in encoders)


def _runs(name: str, folder: Path) -> list[Path]:
    """Return the finished runs that a model names."""
    if name == ALL:
        found = [run.path for run in runs_of(folder) if run.finished]
    elif any(sign in name for sign in SIGNS):
        parts = Path(name)
        root = Path(parts.anchor) if parts.is_absolute() else Path()
        pattern = str(parts.relative_to(root)) if parts.is_absolute() else name
        found = sorted(path for path in root.glob(pattern) if (path / CONFIG).is_file() and read_run(path).finished)
    else:
        return [local_folder(name)]  # its probe reports what is wrong with it
    if not found:
        where = "this folder holds" if name == ALL else f"{name} matches"
        raise ConfigError(f"--models {name}: {where} no finished run", remedy="List runs with: ecgkit runs")
    return found


def _untrained(runs: Sequence[Path]) -> Iterator[EncoderChoice]:
    """Yield the encoders of runs with random weights; runs with equal configs share one."""
    made = []
    for path in runs:
        run = open_run(path)
        name, file = run.entry.name, str(config_file(path))
        choice = EncoderChoice(method=name, weights="random-init", preset=run.preset, config=file)
        _, _, config = choice.resolve()
        if (name, config) not in made:
            made.append((name, config))
            yield choice
