"""A probe in plain values: which encoder, on which store, by which task, how. What a command line or a YAML file says.

For example ``open_case(ProbeCase("ptbxl.zarr", "ptbxl-super", ModelChoice(run="runs/stmem"))).probe()``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ecgkit.entries import HeadEntry, MethodEntry, TaskEntry
from ecgkit.errors import ConfigError
from ecgkit.evaluation.features.cache import cache_folder
from ecgkit.evaluation.features.encoder import Subject, pretrained_subject, untrained_subject
from ecgkit.evaluation.probe.options import ProbeOptions, result_folder
from ecgkit.evaluation.probe.prepare import probe
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.methods import chosen_config
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.loading import find_task

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ModelChoice:
    """Which encoder: that of a run, or one without pretraining.

    Args:
        run: Run folder of a pretrained model.
        method: Instead of a run: a family.
        weights: With `method`: ``random-init`` to probe it as it is, ``scratch`` to train it on the task's labels.
        preset: Of the family.
        config: YAML file of its settings.
        settings: Changes of its settings, such as ``depth=4``.
    """

    run: str = ""
    method: str = ""
    weights: Literal["", "random-init", "scratch"] = ""
    preset: str = ""
    config: str = ""
    settings: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what names no model, or two.

        Raises:
            ConfigError: It does.
        """
        others: list[Any] = [self.method, self.weights, self.preset, self.config, self.settings]
        if self.run and any(others):
            raise ConfigError(f"run {self.run} together with options that build another model", "one or the other")
        if not self.run and not (self.method and self.weights):
            raise ConfigError("no model to probe", "a run folder, or --method with one of --random-init and --scratch")

    def open(self, seed: int) -> Subject:
        """Return the encoder; `seed` draws its weights where there is no run.

        Raises:
            RunError: The run is not a finished one.
            ConfigError: There is no such family, preset or setting.
        """
        self.check()
        if self.run:
            return pretrained_subject(Path(self.run))
        entry = host().get(MethodEntry, self.method)
        file = Path(self.config) if self.config else None
        preset, config = chosen_config(entry, self.preset, file, self.settings)
        return untrained_subject(entry, preset, config, weights=self.weights, seed=seed)


@dataclass(frozen=True)
class ProbeCase:
    """All that one probe depends on.

    Args:
        data: Path of the store.
        task: Name of the task, or path of its YAML file.
        model: The encoder.
        options: How to probe.
        out: Folder of the result; empty for one below the run, named by all that may differ.
        cache: Folder in which features are kept; empty for one below the run, None for none.
    """

    data: str
    task: str
    model: ModelChoice
    options: ProbeOptions = field(default_factory=ProbeOptions)
    out: str = ""
    cache: str | None = ""


@dataclass(frozen=True)
class OpenedCase:
    """A case whose encoder, data, task and head are at hand.

    Args:
        case: The case.
        subject: The encoder; a training from scratch changes it, so every case opens its own.
        store: The data.
        task: The task.
        head: The head.
    """

    case: ProbeCase
    subject: Subject
    store: Store
    task: TaskEntry
    head: HeadEntry

    @property
    def below(self) -> Path:
        """The folder that default results lie below: the run, or one in ``runs`` for an encoder without."""
        return Path(self.case.model.run or Path("runs") / self.subject.name)

    @property
    def folder(self) -> Path:
        """Where the result is written."""
        if self.case.out:
            return Path(self.case.out)
        return result_folder(self.below, self.task.name, self.subject, self.store, self.case.options)

    def probe(self, progress: Watch | None = None) -> ResultRow:
        """Judge the encoder and write the row; see `ecgkit.evaluation.probe.prepare.probe`."""
        return probe(self.subject, self.store, self.task, self.head, self.folder, self.case.options, progress)


def open_case(case: ProbeCase) -> OpenedCase:
    """Look up and open what a case names.

    Raises:
        EcgkitError: Something is not there, or does not fit.
    """
    case.model.check()
    store = Store(Path(case.data))
    task, head = find_task(case.task), host().get(HeadEntry, case.options.head)
    opened = OpenedCase(case, case.model.open(case.options.seed), store, task, head)
    if case.cache is None:
        return opened
    folder = cache_folder(opened.below, Path(case.cache) if case.cache else None)
    return replace(opened, case=replace(case, options=replace(case.options, cache=folder)))
