"""A study: pretrainings and probes from one YAML file.

title       title in words
stores      corpora by name: a path of a store, or how one is made (`StudyStore`)
seeds       seeds of every training that names none; default: 0
trainings   the pretrainings, each a grid of its own (`StudyTraining`)
probes      what the encoders are asked: each is a suite (`ecgkit.evaluation.suites.file`) with a few more keys
            (`StudyProbe`)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ecgkit.config import build, read_yaml
from ecgkit.errors import ConfigError, did_you_mean
from ecgkit.evaluation.suites.file import Suite, suite_of


@dataclass(frozen=True)
class StudyStore:
    """A corpus of a study: a store that exists, or one that the study makes.

    Args:
        path: Path of a store that exists.
        source: Folder or address of a dataset to ingest.
        ingest: Arguments of ``ecgkit.ingest``, such as ``{fs: 500}``.
        without: Pattern of file names in a local `source` that are left out, such as ``HR*``.
        join: Names of stores that are joined into one.
        simulate: Number of records of a simulated cohort.
        seed: Seed of the simulated cohort.
        keep_children: With entities read by the lexicon, keep subtypes beside their parents.
        records: Number of records that the corpus is known to have, for an estimate before the store is there.
    """

    path: str = ""
    source: str = ""
    ingest: dict[str, Any] = field(default_factory=dict)
    without: str = ""
    join: tuple[str, ...] = ()
    simulate: int = 0
    seed: int = 0
    keep_children: bool = False
    records: int = 0

    @property
    def is_made(self) -> bool:
        """Whether the study makes the store."""
        return bool(self.source or self.join or self.simulate)


@dataclass(frozen=True)
class StudyTraining:
    """Pretrainings of one kind: one for each combination of `grid` and each seed.

    Args:
        name: Name of the runs; grid values and seed are added to it.
        method: Method family.
        data: Name of the store.
        cell: Name in tables, such as ``without L_CQ``; ``{KEY}`` stands for a value of `grid`.
        published: Name under which the publication lists it; see `ecgkit.reporting.tables.published_numbers`.
        published_untrained: Name under which it lists the same encoder with random weights.
        preset: Preset of the family.
        settings: Changes of its settings.
        task: For a supervised method, the task that gives the labels.
        task_settings: Changes of that task.
        epochs: Number of epochs; None for those of the recipe.
        subset: Largest number of training records.
        all_folds: Also train on fold 10.
        seeds: Seeds; None for those of the study.
        grid: Lists of values by key. A key is a field of this class, such as ``subset``, or a setting of the method.
        tiny: Settings that take the place of `settings` in a study at scale ``tiny``.
    """

    name: str
    method: str
    data: str
    cell: str = ""
    published: str = ""
    published_untrained: str = ""
    preset: str = ""
    settings: tuple[str, ...] = ()
    task: str = ""
    task_settings: tuple[str, ...] = ()
    epochs: int | None = None
    subset: int | None = None
    all_folds: bool = False
    seeds: tuple[int, ...] | None = None
    grid: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    tiny: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Printed:
    """A number of the publication that stands beside a cell.

    Args:
        value: The number as printed.
        source: Where it stands.
        certainty: ``A``, ``B`` or ``C``; see ``published_numbers.yaml``.
        of: Name in tables of the training.
        task: Name of the task; ``mean`` for the mean over the tasks of the probe.
        leads: Lead set; empty for all.
        amount: Amount of labels, such as ``1 %``; empty for all.
        head: Name of the head; empty if the number holds for each.
    """

    value: str
    source: str
    certainty: str
    of: str = ""
    task: str = "mean"
    leads: str = ""
    amount: str = ""
    head: str = ""


@dataclass(frozen=True)
class StudyProbe:
    """Probes of one kind: a suite, and on which encoders it is done.

    Args:
        name: Name of the folder of its results.
        cell: Name of its table, such as ``Table 2a``.
        data: Name of the store of tasks that name none.
        trainings: Names of the trainings whose runs are probed; None for all, empty for none.
        trained: Whether the runs themselves are probed.
        untrained: Whether the same encoders with random weights are probed too.
        scratch: Whether the same encoders are also trained from scratch on each task.
        encoder_settings: Changes of a trained run's settings that need no other weights, such as ``readout=enc_mean``.
        called: Name of the encoders with `encoder_settings` in the publication, and in tables.
        layers: Layers to probe, such as ``all``: the cells are analyses of layers.
        perturb: Perturbations of the test records: the cells are analyses of perturbations.
        printed: Numbers of the publication.
        suite: The suite, without encoders.
    """

    name: str
    cell: str = ""
    data: str = ""
    trainings: tuple[str, ...] | None = None
    trained: bool = True
    untrained: bool = False
    scratch: bool = False
    encoder_settings: tuple[str, ...] = ()
    called: str = ""
    layers: str = ""
    perturb: tuple[str, ...] = ()
    printed: tuple[Printed, ...] = ()
    suite: Suite = field(default_factory=Suite)


@dataclass(frozen=True)
class Study:
    """A grid of pretrainings and probes; see the module.

    Args:
        title: Title in words.
        stores: Corpora by name.
        seeds: Seeds of every training that names none.
        trainings: The pretrainings.
        probes: The probes.
    """

    title: str = ""
    stores: dict[str, StudyStore] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    trainings: tuple[StudyTraining, ...] = ()
    probes: tuple[StudyProbe, ...] = ()

    def check(self) -> None:
        """Raise if a name stands twice, or names nothing.

        Raises:
            ConfigError: A training or probe has the name of another, or names a store or training that is not there.
        """
        for kind, named in (("trainings", self.trainings), ("probes", self.probes)):
            names = [each.name for each in named]
            twice = next((name for name in names if names.count(name) > 1), "")
            if twice:
                raise ConfigError(f"{kind}: {twice!r} stands twice", "a name of its own for each")
        for asked in (name for store in self.stores.values() for name in store.join):
            self._known(asked, self.stores, "stores: join")
        for training in self.trainings:
            for data in training.grid.get("data", (training.data,)):
                self._known(str(data), self.stores, f"trainings: {training.name}: data")
        names = [training.name for training in self.trainings]
        for probe in self.probes:
            for name in probe.trainings or ():
                self._known(name, names, f"probes: {probe.name}: trainings")
            for store in (probe.data, probe.suite.eval_data, *(task.store for task in probe.suite.tasks)):
                if store and not Path(store).exists():
                    self._known(store, self.stores, f"probes: {probe.name}: store")

    @staticmethod
    def _known(name: str, known: Any, where: str) -> None:
        if name not in known:
            raise ConfigError(f"{where} names {name!r}", f"one of {', '.join(known)}", did_you_mean(name, list(known)))


def read_study(path: Path) -> Study:
    """Read a study from a YAML file.

    Raises:
        ConfigError: The file cannot be read, or has an unknown key, name or value.
    """
    values = read_yaml(path)
    own = {key: value for key, value in values.items() if key not in ("stores", "probes")}
    study = build(Study, own, source=str(path))
    stores = values.get("stores") or {}
    if not isinstance(stores, Mapping):
        raise ConfigError(f"{path}: stores holds {str(stores)[:80]!r}", "a mapping from names to stores")
    probes = values.get("probes") or []
    if not isinstance(probes, list):
        raise ConfigError(f"{path}: probes holds {str(probes)[:80]!r}", "a list")
    read = replace(
        study,
        stores={str(name): _store(str(name), store, path) for name, store in stores.items()},
        probes=tuple(_probes(probes, path)),
    )
    read.check()
    return read


def _store(name: str, given: Any, path: Path) -> StudyStore:
    source = f"{path}: stores: {name}"
    store = build(StudyStore, {"path": given} if isinstance(given, str) else given, source=source)
    ways = [way for way in ("path", "source", "join", "simulate") if getattr(store, way)]
    if len(ways) > 1:
        raise ConfigError(f"{source} has {' and '.join(ways)}", "one of path, source, join and simulate")
    return store


def _probes(given: list[Any], path: Path) -> Iterator[StudyProbe]:
    """Yield the probes. The keys that `StudyProbe` does not have are those of a suite."""
    own = {field.name for field in fields(StudyProbe)} - {"suite"}
    for number, values in enumerate(given, 1):
        name = values.get("name", number) if isinstance(values, Mapping) else number
        source = f"{path}: probes: {name}"
        if not isinstance(values, Mapping):
            raise ConfigError(f"{source} holds {str(values)[:80]!r}", "a mapping")
        refused = [key for key in ("runs", "stores") if key in values]
        if refused:
            raise ConfigError(f"{source} has {refused[0]}", "trainings and stores of the study")
        probe = build(StudyProbe, {key: value for key, value in values.items() if key in own}, source=source)
        suite = suite_of({key: value for key, value in values.items() if key not in own}, source=source)
        tasks = tuple(replace(task, store=task.store or probe.data) for task in suite.tasks)
        yield replace(probe, suite=replace(suite, tasks=tasks))
