"""``ecgkit.study_layers`` and ``ecgkit.study_perturbations``: what an encoder's layers hold, and what it can bear."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ecgkit.api.arguments import PathLike, Settings, assignments
from ecgkit.api.probe import cache_choice, check_cache, check_overlap, chosen_encoder, zero_shot_settings
from ecgkit.atomic import check_output
from ecgkit.config import build, to_dict
from ecgkit.evaluation.probe.facts import facts_of
from ecgkit.evaluation.probe.leaks import leak_warnings
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.lead_sets import lead_set
from ecgkit.evaluation.studies.layers import LayerStudy
from ecgkit.evaluation.studies.layers import study_layers as layers_of
from ecgkit.evaluation.studies.perturbations import Disturbances, parse_disturbances
from ecgkit.evaluation.studies.robustness import study_perturbation
from ecgkit.evaluation.suites.places import Places
from ecgkit.progress import Progress, silent
from ecgkit.reporting.tables.study_folder import LAYERS, LEVELS, write_layer_study, write_perturbation_study


@dataclass(frozen=True)
class StudyResults:
    """What a study returns.

    Args:
        folder: Where table and figure are written.
        title: What was studied.
        table: A row per layer, or per perturbation and level.
        warnings: What a reader must know before believing the numbers.
        layers: For a study of layers: all of it.
        disturbances: For a study of perturbations: what the test records went through.
    """

    folder: Path
    title: str
    table: pd.DataFrame
    warnings: tuple[str, ...] = ()
    layers: LayerStudy | None = None
    disturbances: Disturbances | None = None


def study_layers(
    run: PathLike | None = None,
    *,
    data: PathLike,
    task: PathLike,
    layers: str | Sequence[int] = "all",
    method: str = "",
    random_init: bool = False,
    preset: str = "",
    config: PathLike | None = None,
    settings: Settings = (),
    head: str = "linear",
    leads: str = "",
    protocol: str = "default",
    splits: PathLike | None = None,
    label_set: str = "",
    task_settings: Settings = (),
    allow_overlap: bool = False,
    seed: int = 0,
    device: str = "auto",
    out: PathLike | None = None,
    cache: PathLike | None = None,
    no_cache: bool = False,
    progress: Progress = silent,
) -> StudyResults:
    """Fit a head on each layer of an encoder, and measure how alike its tokens are and how widely they attend.

    Args:
        run: Run folder of a pretrained model.
        data: Store with labels.
        task: Name of a task, or path of a task's YAML file.
        layers: ``all``, or numbers of layers from 1.
        method: As for `ecgkit.probe`, and so are the options that follow.
        random_init: Study the untrained encoder of `method`.
        preset: Preset of `method`.
        config: YAML file with settings of `method`.
        settings: Settings of the head or the model.
        head: Head to fit on each layer: one that reads pooled features.
        leads: Lead set that the encoder is given.
        protocol: Evaluation protocol to follow.
        splits: Published split tables.
        label_set: ``exact`` or ``shipped``.
        task_settings: Changes of the task.
        allow_overlap: Go on where pretraining saw test records.
        seed: Seed of the heads.
        device: Device to compute on.
        out: Folder of the study. By default below the run.
        cache: Folder in which features are kept.
        no_cache: Keep no features, and use no kept ones.
        progress: Called with the stage, units done and units in all.

    Returns:
        The study, which is also written to its folder.

    Raises:
        RunError: The encoder does not give its layers, or the head cannot be fitted on one.
        EcgkitError: As for `ecgkit.probe`.
    """
    encoder, head_settings = chosen_encoder(run, method, random_init, False, preset, config, settings)
    check_overlap(encoder, allow_overlap)
    check_cache(encoder, head, cache)
    request = _request(
        data=str(data), task=str(task), encoder=encoder, head=head, head_settings=tuple(head_settings), leads=leads,
        protocol=protocol, splits=str(splits or ""), label_set=label_set, allow_overlap=allow_overlap, seed=seed,
        task_settings=tuple(assignments(task_settings)), device=device, cache=cache_choice(cache, no_cache),
    )  # fmt: skip
    which = layers if isinstance(layers, str) else ",".join(map(str, layers))
    folder = _folder(request, f"layers-{which}", out, LAYERS)
    probe = Probe(request, progress=progress)
    found = layers_of(probe, which)
    write_layer_study(folder, found, _about(probe), title=_title(probe))
    return StudyResults(folder, _title(probe), found.table, leak_warnings(probe.leak), layers=found)


def study_perturbations(
    run: PathLike | None = None,
    *,
    data: PathLike,
    task: PathLike,
    perturb: str,
    method: str = "",
    random_init: bool = False,
    preset: str = "",
    config: PathLike | None = None,
    settings: Settings = (),
    head: str = "linear",
    leads: str = "",
    prompts: PathLike | None = None,
    independent_queries: bool = False,
    protocol: str = "default",
    splits: PathLike | None = None,
    label_set: str = "",
    task_settings: Settings = (),
    allow_overlap: bool = False,
    seed: int = 0,
    device: str = "auto",
    out: PathLike | None = None,
    cache: PathLike | None = None,
    no_cache: bool = False,
    progress: Progress = silent,
) -> StudyResults:
    """Probe an encoder on disturbed test records; the head is fitted on clean ones.

    Args:
        run: Run folder of a pretrained model. Its pretraining loss is measured too.
        data: Store with labels.
        task: Name of a task, or path of a task's YAML file.
        perturb: Perturbation with its levels, such as ``lead-shift=0,10,50ms`` or ``noise=em,bw,ma:24,12,0dB``.
        method: As for `ecgkit.probe`, and so are the options that follow.
        random_init: Study the untrained encoder of `method`.
        preset: Preset of `method`.
        config: YAML file with settings of `method`.
        settings: Settings of the head or the model.
        head: Head on frozen features.
        leads: Lead set that the encoder is given.
        prompts: For head ``zero-shot``: JSON file from class to prompt.
        independent_queries: For head ``zero-shot``: no class sees the others.
        protocol: Evaluation protocol to follow.
        splits: Published split tables.
        label_set: ``exact`` or ``shipped``.
        task_settings: Changes of the task.
        allow_overlap: Go on where pretraining saw test records.
        seed: Seed of the head, of masks, and of what is random in a perturbation.
        device: Device to compute on.
        out: Folder of the study. By default below the run.
        cache: Folder in which features are kept.
        no_cache: Keep no features, and use no kept ones.
        progress: Called with the stage, units done and units in all.

    Returns:
        The study, which is also written to its folder.

    Raises:
        RunError: The encoder itself is trained.
        EcgkitError: As for `ecgkit.probe`.
    """
    disturbances = parse_disturbances(perturb)
    encoder, head_settings = chosen_encoder(run, method, random_init, False, preset, config, settings)
    check_overlap(encoder, allow_overlap)
    check_cache(encoder, head, cache)
    head_settings += zero_shot_settings(head, prompts, independent_queries)
    request = _request(
        data=str(data), task=str(task), encoder=encoder, head=head, head_settings=tuple(head_settings), leads=leads,
        protocol=protocol, splits=str(splits or ""), label_set=label_set, allow_overlap=allow_overlap, seed=seed,
        task_settings=tuple(assignments(task_settings)), device=device, cache=cache_choice(cache, no_cache),
    )  # fmt: skip
    levels = ",".join(f"{level:g}" for level in disturbances.levels)
    folder = _folder(request, f"{disturbances.name}-{levels}", out, LEVELS)
    probe = Probe(request, progress=progress)
    table = study_perturbation(probe, disturbances)
    write_perturbation_study(folder, table, disturbances, _about(probe), title=_title(probe, head=True))
    return StudyResults(folder, _title(probe, head=True), table, leak_warnings(probe.leak), disturbances=disturbances)


def _request(*, leads: str, **values: Any) -> ProbeRequest:
    return build(ProbeRequest, {**values, "leads": lead_set(leads).name if leads else ""}, source="study")


def _folder(request: ProbeRequest, kind: str, out: PathLike | None, folder_kind: str) -> Path:
    """Return where a study is written: all that differs between two studies is in the name."""
    named = request.below / "studies" / Places().name(request, kind=re.sub(r"[^A-Za-z0-9-]+", "-", kind))
    folder = Path(out) if out else named
    check_output(folder, folder_kind, overwrite=True)
    return folder


def _about(probe: Probe) -> dict[str, Any]:
    """Return what the numbers of a study depend on, for its folder."""
    encoder, request = probe.encoder, probe.request
    return {
        "run": encoder.name,
        "method": encoder.entry.name,
        "preset": encoder.preset,
        "weights": encoder.weights,
        "checkpoint": encoder.checkpoint,
        "config": to_dict(encoder.config),
        "task": probe.opened.name,
        "head": probe.title,
        "seed": request.seed,
        "facts": asdict(facts_of(probe, probe.data, amount=request.amount, seed=request.seed)),
    }


def _title(probe: Probe, *, head: bool = False) -> str:
    given = f", leads {probe.lead_set}" if probe.lead_set else ""
    on = f"{probe.encoder.name}, {probe.title}" if head or probe.title != "linear" else probe.encoder.name
    return f"{on} on {probe.opened.name} ({probe.opened.store.name}{given})"
