"""A study at scale ``tiny``: the same grid with small models on simulated ECGs, to try it in minutes.

Stores become simulated cohorts, tasks the task ``simulated``, presets their tiny counterparts, epochs 1 and seeds the
first. Subsets and amounts of labels keep their order and become small. Of random lead sets the first of each size
stays. Of the settings, those of texts, entities, signals and recipes are left out. What remains is whether the grid
runs; its numbers mean nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from ecgkit.entries import HeadEntry, MethodEntry, load_target
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.heads.settings import head_config
from ecgkit.evaluation.suites.file import SuiteHead, SuiteTask
from ecgkit.plugins import host
from ecgkit.studies.file import Study, StudyProbe, StudyStore, StudyTraining

TINY = "tiny"
RECORDS = 160  # of a simulated cohort
TASK = "simulated"
ONE_EPOCH = ("recipe.epochs=1", "recipe.warmup_epochs=0.1")
LEFT_OUT = ("text.", "entities.", "recipe.", "signal.")  # settings of what a tiny preset has of its own
SUBSET, LABELS, PERCENT = 40, 20, 50.0  # the smallest


def tiny(study: Study) -> Study:
    """Return a study at scale ``tiny``; see the module."""
    trained_on = dict.fromkeys(
        str(data) for training in study.trainings for data in training.grid.get("data", (training.data,))
    )
    tested_on = dict.fromkeys(probe.suite.eval_data for probe in study.probes if probe.suite.eval_data)
    first = next(iter(trained_on), "cohort")
    cohorts = [*(trained_on or {first: None}), *(f"{name}-elsewhere" for name in tested_on)]
    stores = {name: StudyStore(simulate=RECORDS, seed=seed) for seed, name in enumerate(cohorts)}
    subsets = _ranks(
        (size for each in study.trainings for size in each.grid.get("subset", (each.subset,)) if size),
        lambda rank: SUBSET * (rank + 1),
    )
    return replace(
        study,
        stores=stores,
        seeds=study.seeds[:1],
        trainings=tuple(_training(training, subsets) for training in study.trainings),
        probes=tuple(_probe(probe, first) for probe in study.probes),
    )


def tiny_preset(method: str, preset: str) -> str:
    """Return the tiny counterpart of a preset; the preset itself if its family has none."""
    entry = host().get(MethodEntry, method)
    presets = load_target(entry.presets, f"the presets of {method}")
    kind = preset.rpartition("-")[0]  # such as ipastmem of ipastmem-paper
    own = preset if TINY in preset.split("-") else ""
    names = (own, f"{preset}-{TINY}", f"{TINY}-{preset}", f"{kind}-{TINY}", TINY)
    known = [name for name in names if name in presets]
    # A size may be called tiny in a paper and be too large here: the family's own tiny preset is smaller.
    return known[-1] if known and known[0].startswith("vit") else next(iter(known), preset)


def _training(training: StudyTraining, subsets: dict[Any, Any]) -> StudyTraining:
    grid = {key: _small(key, values, training.method, subsets) for key, values in training.grid.items()}
    settings = training.settings if training.tiny is None else training.tiny
    return replace(
        training,
        published="",
        published_untrained="",
        preset=tiny_preset(training.method, training.preset),
        settings=(*_kept(settings), *ONE_EPOCH),
        task=TASK if training.task else "",
        task_settings=(),
        epochs=None,
        subset=subsets.get(training.subset),
        all_folds=False,
        seeds=training.seeds[:1] if training.seeds else None,
        grid={key: values for key, values in grid.items() if values},
    )


def _small(key: str, values: Sequence[Any], method: str, subsets: dict[Any, Any]) -> tuple[Any, ...]:
    """Return the small values of a key of a grid, each once; none if the key is left out."""
    if key == "epochs" or key.startswith("task") or key.startswith(LEFT_OUT):
        return ()
    if key == "subset":
        return tuple(subsets[value] for value in values)
    if key == "preset":
        return tuple(dict.fromkeys(tiny_preset(method, str(value)) for value in values))
    return tuple(values)


def _kept(settings: Iterable[str]) -> tuple[str, ...]:
    return tuple(setting for setting in settings if not setting.strip().startswith(LEFT_OUT))


def _probe(probe: StudyProbe, store: str) -> StudyProbe:
    suite = probe.suite
    return replace(
        probe,
        data=store,
        called="",
        printed=(),
        suite=replace(
            suite,
            runs=tuple(_encoder(encoder) for encoder in suite.runs if not encoder.run),
            models=(),
            tasks=(SuiteTask(TASK, store),),
            heads=tuple(_head(head) for head in suite.heads),
            leads=tuple(name for name in suite.leads if "#" not in name or name.endswith("#1")),
            fractions=_ranks(suite.fractions, lambda rank: PERCENT + 10 * rank, whole=100.0),
            label_counts=_ranks(suite.label_counts, lambda rank: LABELS + 10 * rank, draws=True),
            label_set="",
            eval_data=f"{suite.eval_data}-elsewhere" if suite.eval_data else "",
            epochs=1,
        ),
    )


def _encoder(encoder: EncoderChoice) -> EncoderChoice:
    small = tiny_preset(encoder.method, encoder.preset)
    return replace(encoder, preset=small, config="", settings=_kept(encoder.settings))


def _head(head: SuiteHead) -> SuiteHead:
    """Return a head that is trained for one epoch, if it is trained in epochs."""
    config = head_config(host().get(HeadEntry, head.head))
    kept = tuple(setting for setting in head.settings if not setting.startswith(("recipe.", "prompts")))
    return replace(head, settings=(*kept, *(ONE_EPOCH if hasattr(config, "recipe") else ())))


def _ranks(
    values: Iterable[Any], small: Callable[[int], Any], *, whole: float | None = None, draws: bool = False
) -> dict[Any, Any]:
    """Return a small number for each number, in the same order; with `whole` or `draws`, each with one draw."""
    ordered = sorted(set(values))
    if whole is not None:
        return {value if value == whole else min(small(rank), 95.0): 1 for rank, value in enumerate(ordered)}
    return {small(rank): 1 for rank in range(len(ordered))} if draws else {v: small(r) for r, v in enumerate(ordered)}
