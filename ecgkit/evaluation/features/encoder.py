"""The encoder that is probed: from a finished run, or with random weights as a baseline."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch

from ecgkit.config import fingerprint, override, to_dict
from ecgkit.download.hub import run_name
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError, RunError
from ecgkit.methods import Encoder, Method, chosen_config
from ecgkit.plugins import host
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.identity import qualified
from ecgkit.training.run import WEIGHTS, open_run, read_metrics, seen_records
from ecgkit.training.weights import file_sha256


@dataclass(frozen=True)
class ProbedEncoder:
    """The encoder that is probed, with the facts that its result states.

    Args:
        name: Its name in the report.
        entry: Its method family.
        preset: The preset that its config started from.
        config: Its config.
        weights: ``pretrained``, ``random-init``, ``scratch``, or ``none`` for a baseline without weights; ``in
            training`` for a probe during pretraining.
        encoder: The encoder; None until pretraining passes it on (`Probe.with_encoder`).
        checkpoint: SHA-256 of the weights file, or the text ``random weights, seed N``.
        seed: Seed of random weights; None for pretrained ones.
        training: Metrics of its pretraining, by epoch.
        seen: Hashes of the waveforms that its pretraining trained or validated on.
        seen_patients: Patients of those records, as ``DATASET:ID``.
        archives: Published archives that its pretraining used.
        store: Content hash of the store of its pretraining.
        settings: Fingerprint of its pretraining's settings and data, without the seed; empty without a pretraining.
        training_seed: Seed of its pretraining.
        built_on: Names of the runs that its pretraining was built on; `seen` holds their records too.
        silent: Names of the runs in `built_on` that do not state what they were trained on.
        origins: Where the further inputs of its pretraining came from, such as entities, in words by input.
        stated: What the card of imported weights says that they were trained on; empty without a card.
        archives_known: Whether `archives` then holds all archives of the training data.
        method: Function that loads the whole method, for a head that needs more than the encoder; None without a run.
        run: Its run folder; None without a run.
    """

    name: str
    entry: MethodEntry
    preset: str
    config: Any
    weights: str
    encoder: Encoder | None
    checkpoint: str
    seed: int | None = None
    training: tuple[dict[str, Any], ...] = ()
    seen: frozenset[str] = frozenset()
    seen_patients: frozenset[str] = frozenset()
    archives: tuple[str, ...] = ()
    store: str = ""
    settings: str = ""
    training_seed: int | None = None
    built_on: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    stated: str = ""
    archives_known: bool = False
    method: Callable[[], Method] | None = None
    run: Path | None = None

    @property
    def spec(self) -> SignalSpec:
        """The encoder's signal contract."""
        spec: SignalSpec = self.config.signal
        return spec

    def loaded(self) -> Encoder:
        """Return the encoder.

        Raises:
            RunError: The encoder is not there yet.
        """
        if self.encoder is None:
            raise RunError(f"{self.name} has no encoder yet")
        return self.encoder

    @property
    def from_scratch(self) -> bool:
        """Whether the encoder is trained on the task's labels from random weights."""
        return self.weights == "scratch"

    def load_method(self) -> Method:
        """Return the whole method, for a head that needs more than the encoder.

        Raises:
            RunError: The run holds only an encoder.
        """
        if self.method is None:
            raise RunError(
                f"{self.name} is an encoder alone",
                "a pretrained run, for this head needs the whole method",
                "Name a run folder: ecgkit probe RUN --data STORE --task TASK",
            )
        return self.method()


@dataclass(frozen=True)
class EncoderChoice:
    """Which encoder to probe, in plain values: the encoder of a run, or one without pretraining.

    Args:
        run: Run folder of a pretrained model.
        method: Method family, instead of a run.
        weights: With `method`: ``random-init`` to probe the encoder as it is, ``scratch`` to train it on the task's
            labels, ``none`` for a baseline that has no weights.
        preset: Preset of the family.
        config: YAML file of its settings.
        settings: Changes of its settings, such as ``depth=4``. For a run, changes that need no other weights, such as
            ``readout=enc_mean``.
    """

    run: str = ""
    method: str = ""
    weights: Literal["", "random-init", "scratch", "none"] = ""
    preset: str = ""
    config: str = ""
    settings: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise if the choice names no encoder, or two.

        Raises:
            ConfigError: It names none, or two.
        """
        others: list[Any] = [self.method, self.weights, self.preset, self.config]
        if self.run and any(others):
            raise ConfigError(f"run {self.run} together with options that build another model", "one or the other")
        if not self.run and not (self.method and self.weights):
            raise ConfigError("no model to probe", "a run folder, or --method with one of --random-init and --scratch")

    @property
    def named(self) -> bool:
        """Whether the choice names an encoder."""
        return bool(self.run or self.method)

    @property
    def name(self) -> str:
        """A short name for messages and folders."""
        if self.run:
            return ", ".join([run_name(Path(self.run)), *self.settings])
        return self.method if self.weights == "none" else f"{self.method} {self.weights}"

    def resolve(self) -> tuple[MethodEntry, str, Any]:
        """Return the family, preset and config of an encoder without a run.

        Raises:
            ConfigError: There is no such family, preset or setting.
        """
        entry = host().get(MethodEntry, self.method)
        file = Path(self.config) if self.config else None
        preset, config = chosen_config(entry, self.preset, file, self.settings)
        return entry, preset, config

    def open(self, seed: int) -> ProbedEncoder:
        """Return the encoder. Without a run, `seed` draws its weights.

        Raises:
            RunError: The run is not a finished one.
            ConfigError: There is no such family, preset or setting.
        """
        self.check()
        if self.run:
            return pretrained_encoder(Path(self.run), self.settings)
        entry, preset, config = self.resolve()
        return untrained_encoder(entry, preset, config, weights=self.weights, seed=seed)


def pretrained_encoder(path: Path, settings: Sequence[str] = ()) -> ProbedEncoder:
    """Return the encoder of a run folder.

    Args:
        path: The run folder.
        settings: Changes of its settings that need no other weights, such as ``readout=enc_mean``.

    Raises:
        RunError: The folder is not a finished run, or its weights do not fit the changed settings.
        ConfigError: A setting does not exist.
    """
    run = open_run(path)
    run = replace(run, config=override(run.config, settings))
    checkpoint = file_sha256(path / WEIGHTS)
    seen = seen_records(path)
    patients = [
        qualified(str(dataset), rows["patient_id"].dropna()) for dataset, rows in seen.groupby("dataset", sort=False)
    ]
    parents = list(_ancestors(run.details.get("built_on") or []))
    imported = run.details.get("imported") or {}
    return ProbedEncoder(
        name=", ".join([run_name(path), *settings]),
        entry=run.entry,
        preset=run.preset,
        config=run.config,
        weights="pretrained",
        encoder=run.encoder(),
        checkpoint=checkpoint,
        training=tuple(read_metrics(path)),
        seen=frozenset(seen["sha256"]),
        seen_patients=frozenset(chain.from_iterable(patients)),
        archives=_archives(run.details),
        store=str(run.details.get("store", {}).get("sha256", "")),
        settings="" if imported else settings_of({**run.details, "config": to_dict(run.config)}),
        training_seed=run.details.get("seed"),
        built_on=tuple(dict.fromkeys(name for name, _ in parents)),
        silent=tuple(dict.fromkeys(name for name, records in parents if not records)),
        origins={str(need): str(origin) for need, origin in (run.details.get("origins") or {}).items()},
        stated=str(imported.get("trained_on", "")),
        archives_known=bool(imported.get("all_archives_known", False)),
        method=run.method,
        run=path,
    )


def settings_of(details: Mapping[str, Any]) -> str:
    """Return the fingerprint of a pretraining's settings and data, which runs of other seeds share; empty if none."""
    if "seed" not in details:
        return ""
    names = ("method", "config", "all_folds", "subset", "task", "task_settings", "precision", "records", "built_on")
    data = details.get("store", {}).get("sha256", "")
    return fingerprint(data, {name: details[name] for name in names if name in details})


def _archives(details: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the archives that a run and the runs it is built on were trained on; of an older run, its dataset."""
    store, imported = details.get("store", {}), details.get("imported") or {}
    own = store.get("archives", imported.get("archives", [store["dataset"]] if "dataset" in store else []))
    theirs = (
        _archives({"store": {"archives": run.get("archives", [])}, **run}) for run in details.get("built_on") or []
    )
    return tuple(dict.fromkeys(map(str, (*own, *chain.from_iterable(theirs)))))


def _ancestors(parents: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    """Yield the name of each run that a run is built on, and its number of records; see `ecgkit.training.parents`."""
    for parent in parents:
        yield Path(str(parent.get("run", ""))).name, int(parent.get("records", 0))
        yield from _ancestors(parent.get("built_on") or [])


def untrained_encoder(entry: MethodEntry, preset: str, config: Any, *, weights: str, seed: int) -> ProbedEncoder:
    """Return an encoder with random weights (``random-init`` to probe it frozen, ``scratch`` to train it) or with none.

    Raises:
        ConfigError: An encoder with weights is asked for without any.
    """
    if weights == "none" and not entry.baseline:
        raise ConfigError(f"{entry.name} has weights", "--random-init or --scratch", "Or name a run of it.")
    torch.manual_seed(seed)
    method: Method = entry.load()(config)
    if weights == "none":
        return ProbedEncoder(entry.name, entry, preset, config, weights, method.encoder, "no weights", seed=seed)
    name = f"{entry.name}-{preset}-{weights}"
    return ProbedEncoder(
        name, entry, preset, config, weights, method.encoder, f"random weights, seed {seed}", seed=seed
    )
