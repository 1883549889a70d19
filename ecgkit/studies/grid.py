"""From a study to its runs: every combination of a training's grid and seeds is one run."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ecgkit.config import build, fingerprint, to_dict
from ecgkit.entries import MethodEntry
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.suites.file import Suite, requests_of
from ecgkit.methods import chosen_config
from ecgkit.plugins import host
from ecgkit.studies.file import Study, StudyProbe, StudyTraining

OF_TRAINING = {field.name for field in fields(StudyTraining)} - {"name", "cell", "seeds", "grid", "settings", "tiny"}


@dataclass(frozen=True)
class Run:
    """One pretraining of a study.

    Args:
        name: Name of the run folder.
        cell: Its name in tables, without the seed.
        training: The training, without grid.
        seed: Its seed.
    """

    name: str
    cell: str
    training: StudyTraining
    seed: int

    def resolve(self) -> tuple[MethodEntry, str, Any]:
        """Return family, preset and config.

        Raises:
            ConfigError: There is no such family, preset or setting.
        """
        asked = self.training
        entry = host().get(MethodEntry, asked.method)
        epochs = [] if asked.epochs is None else [f"recipe.epochs={asked.epochs}"]
        preset, config = chosen_config(entry, asked.preset, None, [*asked.settings, *epochs])
        return entry, preset, config

    @property
    def fingerprint(self) -> str:
        """A hash of everything that the run depends on, but for the content of its store."""
        entry, _, config = self.resolve()
        asked = self.training
        rest = [asked.data, asked.task, list(asked.task_settings), asked.subset, asked.all_folds, self.seed]
        return fingerprint(entry.name, to_dict(config), rest)

    def untrained(self, weights: str) -> EncoderChoice:
        """Return the same encoder without pretraining."""
        asked = self.training
        return build(
            EncoderChoice,
            {"method": asked.method, "weights": weights, "preset": asked.preset, "settings": asked.settings},
            source="study",
        )


def runs_of(study: Study) -> list[Run]:
    """Return all runs of a study, seed by seed, so that a stopped study has all trainings once."""
    several = [(training, seed) for training in study.trainings for seed in training.seeds or study.seeds]
    order = sorted(range(len(several)), key=lambda i: several[i][1])
    return [run for i in order for run in _runs(*several[i])]


def _runs(training: StudyTraining, seed: int) -> Iterator[Run]:
    keys = list(training.grid)
    for values in itertools.product(*training.grid.values()):
        chosen = dict(zip(keys, values, strict=True))
        name = "-".join([training.name, *(_plain(value) for value in values), f"s{seed}"])
        yield Run(name, _cell(training, chosen), _one(training, chosen), seed)


def _one(training: StudyTraining, chosen: Mapping[str, Any]) -> StudyTraining:
    """Return the training of one combination."""
    own = {key: value for key, value in chosen.items() if key in OF_TRAINING}
    settings = tuple(f"{key}={json.dumps(value)}" for key, value in chosen.items() if key not in OF_TRAINING)
    values = {**to_dict(training), **own, "grid": {}}
    return build(StudyTraining, {**values, "settings": (*training.settings, *settings)}, source=training.name)


def _cell(training: StudyTraining, chosen: Mapping[str, Any]) -> str:
    name = training.cell or training.name
    unnamed = [key for key in chosen if f"{{{key}}}" not in name]
    for key, value in chosen.items():
        name = name.replace(f"{{{key}}}", f"{value:,}" if isinstance(value, int) else str(value))
    return ", ".join([name, *(f"{key} {chosen[key]}" for key in unnamed)])


def _plain(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", str(value)).strip("-")


@dataclass(frozen=True)
class Asked:
    """The probes of one encoder on one task, lead set and head: what is opened once for all draws.

    Args:
        probe: The probe of the study.
        of: Name of the encoder in tables.
        published: Name under which the publication lists the encoder; empty if it does not.
        requests: The requests; their stores and runs have paths. For an analysis there is one.
        run: Name of the run that must be there first; empty for an encoder without one.
        stores: Names of the stores that must be there first.
        seed: Seed of the run; None without one.
    """

    probe: StudyProbe
    of: str
    published: str
    requests: tuple[ProbeRequest, ...]
    run: str
    stores: tuple[str, ...]
    seed: int | None = None

    @property
    def title(self) -> str:
        """Name of the cell: table, encoder, task, head and its settings, leads and amounts of labels."""
        first = self.requests[0]
        amounts = dict.fromkeys(amount_of(request) for request in self.requests)
        parts = [first.task, " ".join([first.head_name, *first.head_settings])]
        parts += [f"leads {first.leads}"] if first.leads else []
        parts += [] if list(amounts) == [""] else [" / ".join(amount or "all labels" for amount in amounts)]
        parts += [f"layers {self.probe.layers}"] * bool(self.probe.layers) + list(self.probe.perturb)
        seed = f"seed {self.seed}" if self.seed is not None else ""
        table = ", ".join(filter(None, [self.probe.cell or self.probe.name, self.of, seed]))
        return f"{table}: {', '.join(parts)}"


def amount_of(request: ProbeRequest) -> str:
    """Return the amount of labels in words; empty for all."""
    amount = request.amount
    if amount.count:
        return f"{amount.count:,} labels"
    return "" if amount.percent == 100 else f"{amount.percent:g} %"


@dataclass(frozen=True)
class Places:
    """Where a study's stores and runs lie.

    Args:
        stores: Path of each store by name; stores that are neither given nor made are absent.
        runs: Folder of the runs.
    """

    stores: Mapping[str, Path]
    runs: Path

    def run(self, run: Run) -> Path:
        """Return the folder of a run."""
        return self.runs / run.name


def asked_of(study: Study, places: Places, *, device: str = "auto", cache: str | None = "") -> list[Asked]:
    """Return the probes of a study in the order of the file; tasks whose store is absent are left out."""
    runs = runs_of(study)
    found: list[Asked] = []
    for probe in study.probes:
        chosen = [run for run in runs if probe.trainings is None or run.training.name in probe.trainings]
        for encoder in _encoders(probe, chosen, places):
            found += _of_encoder(probe, encoder, places, device, cache)
    return found


@dataclass(frozen=True)
class _Encoder:
    """An encoder of a probe; see `Asked`. Without a choice, the baselines."""

    choice: EncoderChoice | None
    of: str
    published: str = ""
    run: str = ""
    seed: int | None = None


def _encoders(probe: StudyProbe, runs: Sequence[Run], places: Places) -> Iterator[_Encoder]:
    """Yield the encoders of a probe: runs, the same without pretraining, those of the suite, and baselines."""
    for run in runs if probe.trained else ():
        published = probe.called if probe.encoder_settings else run.training.published
        choice = EncoderChoice(run=str(places.run(run)), settings=probe.encoder_settings)
        of = ", ".join([run.cell, *probe.encoder_settings])
        yield _Encoder(choice, probe.called or of, published, run.name, run.seed)
    wanted = {"random-init": probe.untrained, "scratch": probe.scratch}
    words = {"random-init": "random weights", "scratch": "from scratch"}
    for weights in (name for name, is_wanted in wanted.items() if is_wanted):
        choices: dict[EncoderChoice, Run] = {}
        for run in runs:
            choices.setdefault(run.untrained(weights), run)
        for choice, run in choices.items():
            published = run.training.published_untrained if weights == "random-init" else ""
            yield _Encoder(choice, f"{run.cell}, {words[weights]}", published)
    yield from (_Encoder(choice, choice.name) for choice in probe.suite.runs)
    if probe.suite.baselines:
        yield _Encoder(None, "")


def _of_encoder(
    probe: StudyProbe, encoder: _Encoder, places: Places, device: str, cache: str | None
) -> Iterator[Asked]:
    suite = _with_paths(probe.suite, places)
    if not any(suite.store(task) is not None for task in suite.tasks):
        return
    if probe.layers or probe.perturb:
        suite = replace(suite, fractions={100.0: 1}, label_counts={})
    chosen = () if encoder.choice is None else (encoder.choice,)
    suite = replace(suite, runs=chosen, baselines=not chosen)
    groups: dict[ProbeRequest, list[ProbeRequest]] = {}
    for request in requests_of(suite, device=device, cache=cache):
        groups.setdefault(replace(request.without_draw(), seed=0), []).append(request)
    names = {str(path): name for name, path in places.stores.items()}
    for first, requests in groups.items():
        stores = tuple(names[path] for path in (first.data, first.eval_data) if path in names)
        of = encoder.of or first.encoder.name
        for perturb in probe.perturb or ("",):
            one = replace(probe, perturb=(perturb,) if perturb else ())
            yield Asked(one, of, encoder.published, tuple(requests), encoder.run, stores, encoder.seed)


def _with_paths(suite: Suite, places: Places) -> Suite:
    """Return a suite whose stores are those of the study; a store to test on that is absent leaves no task."""
    paths = {name: str(path) for name, path in places.stores.items()}
    elsewhere = suite.eval_data
    absent = bool(elsewhere) and elsewhere not in paths and not Path(elsewhere).exists()
    return replace(
        suite,
        stores={} if absent else paths,
        tasks=() if absent else suite.tasks,
        eval_data=paths.get(elsewhere, elsewhere),
        runs=(),
    )
