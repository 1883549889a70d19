"""``ecgkit.explain`` and ``ecgkit.explain_cohort``: why a classifier gives records their scores."""

from pathlib import Path

import numpy as np

from ecgkit.api.arguments import PathLike, path_or_none
from ecgkit.atomic import check_suffix
from ecgkit.choices import notes_choices
from ecgkit.cohort.find import find_cohort
from ecgkit.errors import ConfigError, StoreError
from ecgkit.evaluation.analyses.attribution import WAYS, Way
from ecgkit.evaluation.analyses.explanation import Explanation, ExplanationSummary, explain_rows, summarise
from ecgkit.evaluation.probe.classifier import Classifier, open_classifier
from ecgkit.progress import Progress, silent
from ecgkit.reporting.elements.section import HeatMap
from ecgkit.reporting.pictures.explanation import plot_explanation
from ecgkit.reporting.pictures.heat_map import draw_heat_map
from ecgkit.store.reader import Store
from ecgkit.tasks.folds import TEST_FOLD
from ecgkit.workspace.defaults import the_store

LEAST = 2  # records of a summary


@notes_choices
def explain(
    result: PathLike,
    *,
    record: str,
    label: str = "",
    data: PathLike | None = None,
    run: PathLike | None = None,
    by: Way = "gradients",
    seed: int = 0,
    device: str = "cpu",
    out: PathLike | None = None,
    progress: Progress = silent,
) -> Explanation:
    """Explain the score that a result's classifier gives to one record; draw it on the ECG if `out` is given.

    The map says what each moment of each lead adds to the log-odds of the class. Two checks say whether it means
    anything: deleting its top parts must lower the score more than deleting random parts, and a model with shuffled
    weights must give another map.

    Args:
        result: Result folder of a probe, which keeps its fitted head.
        record: Id of the record.
        label: Class or number to explain, such as ``AF``. By default the most probable class of the record.
        data: Store of the record. By default the only store of the current folder.
        run: Run folder of the encoder, if it was moved.
        by: How the map is made: ``gradients`` (integrated gradients), ``occlusion`` of 0.2 s of one lead at a time,
            which also works for heads without a gradient, or where a transformer looks: ``attention`` through all its
            layers (rollout), ``last-attention`` of the last one.
        seed: Seed of the checks.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        out: PNG file to draw.
        progress: Called with the stage, records done and records in total.

    Raises:
        ConfigError: The class is unknown, the head has no gradient, or captum is not installed.
        ResultsError: The result keeps no fitted head.
        RunError: Its encoder is gone or has changed, or has no attention that `by` asks for.
        StoreError: There is no such record, or the model cannot read it.
        OutputError: `out` does not end in ``.png``, or cannot be written.
    """
    picture = path_or_none(out)
    if picture is not None:
        check_suffix(picture, ".png")
    classifier = _opened(result, run, by, device)
    store = Store(the_store(data, f"ecgkit explain {result}", "--data"))
    row = store.row(record)
    (found,) = explain_rows(classifier, store, [row], label, way=by, seed=seed, progress=progress)
    if picture is not None:
        chance = "" if found.probability is None else f", probability {found.probability:.3f}"
        plot_explanation(
            found,
            store.recording(row),
            picture,
            title=f"{store.name}  record {record}",
            subtitle=f"{found.output}{chance}: {classifier.kept.encoder.name}, {classifier.kept.title}",
        )
    return found


@notes_choices
def explain_cohort(
    result: PathLike,
    *,
    label: str,
    records: int = 20,
    where: str = "",
    entities: str = "",
    data: PathLike | None = None,
    run: PathLike | None = None,
    by: Way = "gradients",
    seed: int = 0,
    device: str = "cpu",
    out: PathLike | None = None,
    progress: Progress = silent,
) -> ExplanationSummary:
    """Explain one class over many records: which leads and which parts of the beat count.

    Args:
        result: Result folder of a probe, which keeps its fitted head.
        label: Class or number to explain.
        records: Largest number of records, drawn at random.
        where: Statement that the records fulfil, such as ``AF and age > 60``; see `ecgkit.find_records`. By default the
            records are drawn from fold 10, on which no probe is trained.
        entities: Extraction whose entities the statement means.
        data: Store of the records. By default the only store of the current folder.
        run: Run folder of the encoder, if it was moved.
        by: How the maps are made; see `explain`.
        seed: Seed of the draw and of the checks.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        out: PNG file with a table of leads and parts of the beat.
        progress: Called with the stage, records done and records in total.

    Raises:
        ConfigError: The class or a name of the statement is unknown, the head has no gradient, or captum is missing.
        ResultsError: The result keeps no fitted head.
        RunError: Its encoder is gone or has changed, or has no attention that `by` asks for.
        StoreError: Fewer than two records are found.
        OutputError: `out` does not end in ``.png``, or cannot be written.
    """
    picture = path_or_none(out)
    if picture is not None:
        check_suffix(picture, ".png")
    classifier = _opened(result, run, by, device)
    store = Store(the_store(data, f"ecgkit explain {result}", "--data"))
    fold = np.flatnonzero(store.table["fold"].to_numpy() == TEST_FOLD)
    rows = find_cohort(store, where, entities).rows if where else fold
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:records])
    if len(drawn) < LEAST:
        found = f"{store.path} has {len(rows)} records " + (f"of {where!r}" if where else "in fold 10")
        raise StoreError(found, f"{LEAST} or more", "Choose others with --where.")
    every = explain_rows(classifier, store, drawn.tolist(), label, way=by, seed=seed, progress=progress)
    summary = summarise(list(every))
    if picture is not None:
        title = f"{summary.output} over {len(summary.records)} records of {store.name}\nshare of the map in per cent"
        draw_heat_map(_heat_map(summary), picture, title=title)
    return summary


def _opened(result: PathLike, run: PathLike | None, by: str, device: str) -> Classifier:
    if by not in WAYS:
        raise ConfigError(f"--by {by}", " or ".join(WAYS))
    return open_classifier(Path(result), run=path_or_none(run), device=device)


def _heat_map(summary: ExplanationSummary) -> HeatMap:
    percent = 100 * summary.shares
    texts = tuple(tuple(f"{value:.1f}" for value in line) for line in percent)
    values = tuple(tuple(float(value) for value in line) for line in percent)
    return HeatMap("lead", summary.leads, summary.parts, values, texts, 0.0, float(percent.max()))
