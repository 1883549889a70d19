"""``ecgkit.analyse_layers`` and ``ecgkit.analyse_perturbations``: probe each layer, or perturbed test records."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ecgkit.api.arguments import PathLike, Settings, assignments
from ecgkit.api.probe import cache_choice, check_cache, chosen_encoder, zero_shot_settings
from ecgkit.atomic import check_output
from ecgkit.choices import notes_choices
from ecgkit.config import build, to_dict
from ecgkit.errors import ConfigError
from ecgkit.evaluation.analyses.layers import LayerAnalysis
from ecgkit.evaluation.analyses.layers import analyse_layers as layers_of
from ecgkit.evaluation.analyses.perturbations import Disturbances, parse_disturbances
from ecgkit.evaluation.analyses.query import Query, parse_query
from ecgkit.evaluation.analyses.robustness import analyse_perturbation
from ecgkit.evaluation.probe.facts import facts_of
from ecgkit.evaluation.probe.leaks import leak_warnings
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.lead_sets import lead_set
from ecgkit.evaluation.suites.places import Places
from ecgkit.progress import Progress, silent
from ecgkit.reporting.tables.analysis_folder import LAYERS, LEVELS, write_layer_analysis, write_perturbation_analysis
from ecgkit.workspace.fitting import probe_inputs


@dataclass(frozen=True)
class AnalysisResults:
    """The results of an analysis.

    Args:
        folder: Folder of the table and the figure.
        title: Title of the analysis.
        table: One row per layer, or per perturbation and level.
        warnings: Limits of the numbers, such as an overlap with pretraining.
        layers: For an analysis of layers, its full results.
        disturbances: For an analysis of perturbations, the perturbations of the test records.
    """

    folder: Path
    title: str
    table: pd.DataFrame
    warnings: tuple[str, ...] = ()
    layers: LayerAnalysis | None = None
    disturbances: Disturbances | None = None


@notes_choices
def analyse_layers(
    run: PathLike | None = None,
    *,
    data: PathLike | None = None,
    task: PathLike = "",
    layers: str | Sequence[int] = "all",
    query: str = "",
    method: str = "",
    random_init: bool = False,
    preset: str = "",
    config: PathLike | None = None,
    settings: Settings = (),
    head: str = "linear",
    leads: str | Sequence[str] = "",
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
) -> AnalysisResults:
    """Fit a head on each layer of an encoder, and measure the similarity and the attention entropy of its tokens.

    The arguments from `method` on are those of `ecgkit.probe`.

    Args:
        run: Run folder of a pretrained model. Run, store and task have the defaults of `ecgkit.probe`.
        data: Store with the task's labels.
        task: Name of a task, or path of a task's YAML file.
        layers: ``all``, or numbers of layers from 1.
        query: The patch whose similarity to all other patches of its record is drawn, as ``LEAD:SECONDS`` or
            ``RECORD:LEAD:SECONDS``, such as ``V1:2.5``. By default the middle of lead II of the first test record.
        method: Method family to analyse without a run.
        random_init: Analyse the untrained encoder of `method`.
        preset: Preset of `method`.
        config: YAML file with settings of `method`.
        settings: Settings of the head or the model.
        head: Head to fit on each layer. It must read pooled features.
        leads: Lead set that the encoder is given.
        protocol: Evaluation protocol to follow.
        splits: Published split tables to follow.
        label_set: ``exact`` or ``shipped``.
        task_settings: Settings of the task.
        allow_overlap: Analyse even if pretraining saw test records or their patients.
        seed: Seed of the heads.
        device: Device to compute on.
        out: Folder of the analysis. By default below the run.
        cache: Folder of the feature cache.
        no_cache: Neither read nor write the feature cache.
        progress: Called with the stage, units done and units in all.

    Returns:
        The analysis, which is also written to its folder.

    Raises:
        RunError: The encoder does not return its layers, or the head cannot be fitted on a layer, or there is a query
            and the encoder's tokens belong to no lead.
        EcgkitError: As for `ecgkit.probe`.
    """
    asked = parse_query(query)
    request = _request(locals())
    which = layers if isinstance(layers, str) else ",".join(map(str, layers))
    return run_layers(request, which, folder_of_layers(request, which, out, query=query), progress, asked)


@notes_choices
def analyse_perturbations(
    run: PathLike | None = None,
    *,
    data: PathLike | None = None,
    task: PathLike = "",
    perturb: str,
    method: str = "",
    random_init: bool = False,
    preset: str = "",
    config: PathLike | None = None,
    settings: Settings = (),
    head: str = "linear",
    leads: str | Sequence[str] = "",
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
) -> AnalysisResults:
    """Probe an encoder on perturbed test records; the head is fitted on clean training records.

    The arguments from `method` on are those of `ecgkit.probe`.

    Args:
        run: Run folder of a pretrained model. Its pretraining loss is measured too. Run, store and task have the
            defaults of `ecgkit.probe`.
        data: Store with the task's labels.
        task: Name of a task, or path of a task's YAML file.
        perturb: Perturbation with its levels, such as ``lead-shift=0,10,50ms`` or ``noise=em,bw,ma:24,12,0dB``.
        method: Method family to analyse without a run.
        random_init: Analyse the untrained encoder of `method`.
        preset: Preset of `method`.
        config: YAML file with settings of `method`.
        settings: Settings of the head or the model.
        head: Head to fit on the frozen encoder's features.
        leads: Lead set that the encoder is given.
        prompts: For head ``zero-shot``: JSON file that holds a prompt for each class.
        independent_queries: For head ``zero-shot``: predict each class independently of the others.
        protocol: Evaluation protocol to follow.
        splits: Published split tables to follow.
        label_set: ``exact`` or ``shipped``.
        task_settings: Settings of the task.
        allow_overlap: Analyse even if pretraining saw test records or their patients.
        seed: Seed of the head, the masks and the random perturbations.
        device: Device to compute on.
        out: Folder of the analysis. By default below the run.
        cache: Folder of the feature cache.
        no_cache: Neither read nor write the feature cache.
        progress: Called with the stage, units done and units in all.

    Returns:
        The analysis, which is also written to its folder.

    Raises:
        RunError: The encoder itself is trained.
        EcgkitError: As for `ecgkit.probe`.
    """
    parse_disturbances(perturb)
    request = _request(locals())
    return run_perturbation(request, perturb, folder_of_perturbation(request, perturb, out), progress)


def run_layers(
    request: ProbeRequest, layers: str, folder: Path, progress: Progress, query: Query | None = None
) -> AnalysisResults:
    """Analyse the layers of a requested encoder into a folder; see `analyse_layers`."""
    check_output(folder, LAYERS, overwrite=True)
    probe = Probe(request, progress=progress)
    found = layers_of(probe, layers, query)
    write_layer_analysis(folder, found, _about(probe), title=_title(probe))
    return AnalysisResults(folder, _title(probe), found.table, leak_warnings(probe.leak), layers=found)


def run_perturbation(request: ProbeRequest, perturb: str, folder: Path, progress: Progress) -> AnalysisResults:
    """Probe a requested encoder on perturbed test records into a folder; see `analyse_perturbations`."""
    disturbances = parse_disturbances(perturb)
    check_output(folder, LEVELS, overwrite=True)
    probe = Probe(request, progress=progress)
    table, title = analyse_perturbation(probe, disturbances), _title(probe, head=True)
    write_perturbation_analysis(folder, table, disturbances, _about(probe), title=title)
    return AnalysisResults(folder, title, table, leak_warnings(probe.leak), disturbances=disturbances)


def folder_of_layers(
    request: ProbeRequest, layers: str, out: PathLike | None = None, *, below: Path | None = None, query: str = ""
) -> Path:
    """Return the folder of an analysis of layers; see `_folder`."""
    return _folder(request, f"layers-{layers}" + f"-query-{query}" * bool(query), out, below)


def folder_of_perturbation(
    request: ProbeRequest, perturb: str, out: PathLike | None = None, *, below: Path | None = None
) -> Path:
    """Return the folder of an analysis of a perturbation; see `_folder`."""
    disturbances = parse_disturbances(perturb)
    levels = ",".join(f"{level:g}" for level in disturbances.levels)
    return _folder(request, f"{disturbances.name}-{levels}", out, below)


def _request(options: Mapping[str, Any]) -> ProbeRequest:
    """Return what the probe of an analysis is asked to do.

    Args:
        options: The arguments of `analyse_layers` or `analyse_perturbations` by name.

    Raises:
        ConfigError: Options contradict each other.
    """
    untrained = bool(options["method"] or options["random_init"])
    run, data, task = probe_inputs(options["run"], options["data"], str(options["task"]), untrained=untrained)
    head, cache = options["head"], options["cache"]
    model = (options[name] for name in ("preset", "config", "settings"))
    encoder, head_settings = chosen_encoder(run, options["method"], options["random_init"], False, *model)
    check_cache(encoder, head, cache)
    head_settings += zero_shot_settings(head, options.get("prompts"), options.get("independent_queries", False))
    as_given = ("head", "protocol", "label_set", "allow_overlap", "seed", "device")
    values = {
        **{name: options[name] for name in as_given},
        "data": str(data),
        "task": task,
        "encoder": encoder,
        "head_settings": tuple(head_settings),
        "leads": _one_lead_set(options["leads"]),
        "splits": str(options["splits"] or ""),
        "task_settings": tuple(assignments(options["task_settings"])),
        "cache": cache_choice(cache, options["no_cache"]),
    }
    return build(ProbeRequest, values, source="analysis")


def _one_lead_set(leads: str | Sequence[str]) -> str:
    """Return the name of the lead set of an analysis; empty for all leads.

    Raises:
        ConfigError: Several sets are given.
    """
    given = [leads] if isinstance(leads, str) else list(leads)
    if len(given) > 1:
        raise ConfigError(f"an analysis with {len(given)} lead sets: {', '.join(given)}", remedy="Give --leads once.")
    return lead_set(given[0]).name if given and given[0] else ""


def _folder(request: ProbeRequest, kind: str, out: PathLike | None, below: Path | None) -> Path:
    """Return the folder of an analysis; its name holds everything that distinguishes two analyses.

    Args:
        request: What is analysed.
        kind: The analysis.
        out: The folder itself, if it was named.
        below: Folder of analyses of several encoders; None for a folder below the run.
    """
    if out:
        return Path(out)
    kind = re.sub(r"[^A-Za-z0-9-]+", "-", kind)
    parent = below or request.below / "analyses"
    return parent / Places().name(request, with_encoder=below is not None, kind=kind)


def _about(probe: Probe) -> dict[str, Any]:
    """Return the inputs and settings of an analysis, for its folder."""
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
