"""``ecgkit.probe``: evaluate an encoder on tasks, for one result or a grid of tasks, lead sets and label amounts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ecgkit.api.arguments import PathLike, Settings, assignments
from ecgkit.api.grid import Amounts, grid_of
from ecgkit.atomic import atomic_file
from ecgkit.choices import notes_choices
from ecgkit.config import fingerprint
from ecgkit.entries import HeadEntry
from ecgkit.errors import ConfigError, EcgkitError, TaskError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.results.row import ROW, ResultRow
from ecgkit.evaluation.suites.file import SuiteHead, learns_nothing, requests_of
from ecgkit.evaluation.suites.places import Places
from ecgkit.evaluation.suites.run import SuiteResult, run_requests
from ecgkit.plugins import host
from ecgkit.progress import Progress, silent
from ecgkit.reporting.pictures.heat_map import draw_heat_map
from ecgkit.reporting.tables.formats import to_csv
from ecgkit.reporting.tables.lead_matrix import lead_map
from ecgkit.training.workers import Workers
from ecgkit.workspace.fitting import probe_inputs

Numbers = str | float | Sequence[float]
Names = str | Sequence[str]
OF_ENCODER = "encoder."  # before a setting of the run itself
LONGEST_NAME = 80  # characters of the lead sets in the name of a file


@dataclass(frozen=True)
class ProbeResults:
    """The results of `probe`.

    Args:
        rows: Folder and row of each result, ordered by task, lead set, amount of labels and seed.
        skipped: Number of results that existed already.
        failed: Title of each failed probe, with the reason.
        by_amount: Whether the results differ in the amount of labels.
        details: CSV file with the scores of every class of every result; None for a single result.
        heat_map: PNG file of the results by lead set; None if no lead sets were asked for.
    """

    rows: list[tuple[Path, ResultRow]]
    skipped: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    by_amount: bool = False
    details: Path | None = None
    heat_map: Path | None = None


@notes_choices
def probe(
    run: PathLike | None = None,
    *,
    data: PathLike | None = None,
    task: Names | Path = "",
    eval_data: PathLike | None = None,
    method: str = "",
    random_init: bool = False,
    scratch: bool = False,
    preset: str = "",
    config: PathLike | None = None,
    settings: Settings = (),
    head: str = "linear",
    leads: Names = "",
    prompts: PathLike | None = None,
    independent_queries: bool = False,
    epochs: int | None = None,
    fraction: Numbers = "",
    label_counts: Numbers = "",
    seeds: int | None = None,
    protocol: str = "default",
    splits: PathLike | None = None,
    label_set: str = "",
    task_settings: Settings = (),
    allow_overlap: bool = False,
    keep_head: bool = True,
    seed: int = 0,
    device: str = "auto",
    workers: int = 1,
    gpus: int = 0,
    dask: str = "",
    out: PathLike | None = None,
    jobs: int = 1,
    cache: PathLike | None = None,
    no_cache: bool = False,
    progress: Progress = silent,
) -> ProbeResults:
    """Evaluate an encoder on one task or several, and write one row per result.

    Several tasks, lead sets and amounts of training records form a grid of results. If a grid is stopped, the same call
    continues where it stopped. A single result is always computed again.

    Args:
        run: Run folder of a pretrained model, or its address on a hub, such as ``hf://ORG/NAME``. By default the run of
            the current folder that finished last; none if `method` is given.
        data: Store with the task's labels. By default the store of the run; without a run, the only store of the
            current folder.
        task: Name or YAML file of a task. Give several as a list, or joined by commas. By default the only task that
            fits the store.
        eval_data: Other store to test on. Only classes that both stores have are tested.
        method: Method family to evaluate without a run. Needs `random_init` or `scratch`.
        random_init: Probe the untrained encoder of `method`.
        scratch: Train the encoder of `method` from scratch on the task's labels.
        preset: Preset of `method`.
        config: YAML file with settings of `method`.
        settings: Settings of the head, such as ``{"gate": "frozen"}``. With ``encoder.`` before their names, settings
            of the run that need no other weights, such as ``{"encoder.readout": "enc_mean"}``. Without a run: settings
            of the model, and those of the head with ``head.`` before their names.
        head: Head to fit on the encoder's features.
        leads: Lead sets to test, such as ``["12", "limb", "I,II"]``. Each gives one result; a comma joins the leads
            of one set. By default all leads.
        prompts: For head ``zero-shot``: JSON file that holds a prompt for each class.
        independent_queries: For head ``zero-shot``: predict each class independently of the others.
        epochs: With `scratch`, number of epochs.
        fraction: Percentages of the training records to use, such as ``[1, 10, 100]``.
        label_counts: Numbers of labelled training records to use, such as ``[50, 100]``.
        seeds: Number of random draws per amount of labels. By default set by the protocol.
        protocol: Evaluation protocol to follow.
        splits: Published split tables to follow: their folder, or the part that their file names share.
        label_set: With `splits`, source of the labels: ``exact`` (the store's codes) or ``shipped`` (the tables).
        task_settings: Settings of the task, such as ``{"icd10.count_on": "train"}``.
        allow_overlap: Probe even if pretraining, or another part of the task, holds test records or their patients.
            The result states the overlap.
        keep_head: Keep the fitted head with each result, for `predict`. A fine-tuned result then holds a whole encoder.
        seed: First seed.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        workers: Number of processes that encode records.
        gpus: Number of GPUs to encode records on, each with a process of its own, instead of `device`.
        dask: Address of a Dask scheduler whose workers encode records, instead of `workers`.
        out: Folder of the result, or the folder above several results. By default below the run.
        jobs: Number of processes for a grid.
        cache: Folder of the feature cache. By default below the run.
        no_cache: Neither read nor write the feature cache.
        progress: Called with the stage, units done and units in all.

    Returns:
        The result rows with their folders.

    Raises:
        ConfigError: Options contradict each other.
        TaskError: The store lacks the task's labels.
        LeadError: The store lacks the encoder's leads.
        LeakError: Pretraining saw test records or patients.
        RunError: The run is not finished, or the head does not fit the encoder or the task.
        OutputError: A result's folder holds something else.
    """
    untrained = bool(method or random_init or scratch)
    run, data, task = probe_inputs(run, data, joined(task), untrained=untrained)
    encoder, head_settings = chosen_encoder(run, method, random_init, scratch, preset, config, settings)
    head_settings += zero_shot_settings(head, prompts, independent_queries)
    amounts = Amounts(percentages(fraction), numbers_of_records(label_counts), seeds)
    check_training(encoder, head, head_settings, epochs, draws=bool(amounts.fractions or amounts.counts or seeds))
    check_overlap(encoder, eval_data, allow_overlap)
    check_cache(encoder, head, cache)
    tasks = [name.strip() for name in task.split(",")]
    suite = grid_of(
        data,
        tasks,
        SuiteHead(head, tuple(head_settings)),
        runs=(encoder,),
        leads=leads,
        amounts=amounts,
        splits=splits,
        task_settings=task_settings,
        eval_data=eval_data,
        seed=seed,
        protocol=protocol,
        label_set=label_set,
        epochs=epochs,
        allow_overlap=allow_overlap,
        keep_head=keep_head,
    )
    at = where_to_encode(device, workers, gpus, dask, no_cache)
    wanted = requests_of(suite, **at, cache=cache_choice(cache, no_cache))
    found = _run(wanted, None if out is None else Path(out), jobs, progress)
    beside = Path(out) if out else wanted[0].below / "probes"
    shares = {"fraction": () if amounts.alone else amounts.percentages, "labels": amounts.counts}
    name = _grid_name(tasks, head, leads, shares, seed)
    kinds = ("results", "leads") if amounts.alone else ("results-curve", "leads-curve")
    return replace(
        found,
        by_amount=not amounts.alone,
        details=_write_details(found, beside / f"{kinds[0]}-{name}.csv") if len(wanted) > 1 else None,
        heat_map=_draw_lead_sets(found, beside / f"{kinds[1]}-{name}.png") if leads else None,
    )


def _grid_name(tasks: Sequence[str], head: str, leads: Names, amounts: Mapping[str, Sequence[float]], seed: int) -> str:
    """Return the name of the files of a grid, so that another grid of the run does not replace them."""
    sets = [leads] if isinstance(leads, str) else leads
    named = "_".join(re.sub(r"[^\w+]+", "-", name.strip().replace(",", "+")) for name in sets)
    if len(named) > LONGEST_NAME:
        named = f"{len(sets)}-sets-{fingerprint(list(sets))[:8]}"
    shares = [f"{kind}-{'-'.join(f'{value:g}' for value in values)}" for kind, values in amounts.items() if values]
    return "-".join([*(Path(name).stem for name in tasks), head, *filter(None, [named, *shares]), f"seed{seed}"])


def joined(names: Names | Path) -> str:
    """Return names joined by commas."""
    return str(names) if isinstance(names, str | Path) else ",".join(map(str, names))


def _write_details(found: ProbeResults, file: Path) -> Path:
    """Write every class of every result as CSV."""
    with atomic_file(file) as staging:
        staging.write_text(to_csv([(folder / ROW, row) for folder, row in found.rows]), encoding="utf-8")
    return file


def _draw_lead_sets(found: ProbeResults, picture: Path) -> Path | None:
    """Draw the heat map of lead sets by task and percentage; return None if all results are regressions."""
    scored = [row for _, row in found.rows if not row.targets]
    if not scored:
        return None
    below = "95 % confidence interval, or standard deviation over different draws"
    title = f"{scored[0].run}: {scored[0].head}\nAUROC × 100, and below it the {below}"
    draw_heat_map(lead_map(scored), picture, title=title)
    return picture


def _run(requests: Sequence[ProbeRequest], out: Path | None, jobs: int, progress: Progress) -> ProbeResults:
    """Run a single request, or the requests of a grid that have no row yet."""
    places = Places()
    parent = out or requests[0].below / "probes"
    if len(requests) == 1:
        folder = out or parent / places.name(requests[0])
        return ProbeResults([(folder, Probe(requests[0], progress=progress).run(folder))])
    placed = [(request, parent / places.name(request)) for request in requests]
    found: SuiteResult = run_requests(placed, jobs=jobs, progress=progress)
    if found.failed and not found.rows:
        raise EcgkitError(next(iter(found.failed.values())))
    return ProbeResults(found.rows, found.skipped, found.failed)


def chosen_encoder(
    run: PathLike | None,
    method: str,
    random_init: bool,
    scratch: bool,
    preset: str,
    config: PathLike | None,
    settings: Settings,
) -> tuple[EncoderChoice, list[str]]:
    """Return the chosen encoder, and the settings of the head.

    With a run, all settings belong to the head, except those that begin with ``encoder.``, which change the run's own
    settings. Without a run, those that begin with ``head.`` belong to the head, and the others to the model.

    Raises:
        ConfigError: No encoder is chosen, or two are.
    """
    if random_init and scratch:
        raise ConfigError("--random-init together with --scratch", remedy="Give only one of them.")
    given = assignments(settings)
    of_run = [setting for setting in given if run and setting.startswith(OF_ENCODER)]
    others = [setting for setting in given if setting not in of_run]
    of_head = [setting.removeprefix("head.") for setting in others if run or setting.startswith("head.")]
    of_model = [setting for setting in others if not run and not setting.startswith("head.")]
    encoder = EncoderChoice(
        str(run or ""),
        method,
        "random-init" if random_init else "scratch" if scratch else "",
        preset,
        str(config or ""),
        tuple(of_model or [setting.removeprefix(OF_ENCODER) for setting in of_run]),
    )
    encoder.check()
    return encoder, of_head


def zero_shot_settings(head: str, prompts: PathLike | None, independent: bool) -> list[str]:
    """Return the settings of head ``zero-shot`` that have their own options.

    Raises:
        ConfigError: The options are given with another head.
    """
    if (prompts or independent) and head != "zero-shot":
        raise ConfigError(
            f"--prompts or --independent-queries with --head {head}", remedy="They belong to --head zero-shot."
        )
    return [f"prompts={prompts}"] * bool(prompts) + ["independent=true"] * independent


def check_training(
    encoder: EncoderChoice, head: str, head_settings: Sequence[str], epochs: int | None, *, draws: bool
) -> None:
    """Refuse options that would have no effect on the training of head or encoder.

    Raises:
        ConfigError: Such an option is given.
    """
    scratch = encoder.weights == "scratch"
    if epochs is not None and not scratch:
        raise ConfigError("--epochs without --scratch", remedy="Add --scratch, or leave --epochs out.")
    if scratch and (head != "linear" or head_settings):
        asked = f"--head {head}" if head != "linear" else f"--set head.{head_settings[0]}"
        raise ConfigError(
            f"{asked} with --scratch", remedy=f"Leave {asked} out: training from scratch has its own linear layer."
        )
    if draws and learns_nothing(head) and not scratch:
        raise ConfigError(
            f"--fraction, --label-counts or --seeds with --head {head}",
            remedy="Leave them out: this head does not learn from training records.",
        )


def check_overlap(encoder: EncoderChoice, eval_data: PathLike | None, allowed: bool) -> None:
    """Refuse ``--allow-overlap`` for a test on another store with an encoder without pretraining.

    Records of the other store that training saw are left out there, so no overlap can be found.

    Raises:
        ConfigError: An overlap is allowed where none can be.
    """
    if allowed and eval_data and not encoder.run:
        raise ConfigError(
            "--allow-overlap with --eval-data and an encoder that was not pretrained",
            remedy="Leave --allow-overlap out.",
        )


def check_cache(encoder: EncoderChoice, head: str, cache: PathLike | None) -> None:
    """Refuse a feature cache for a probe that caches no features.

    Raises:
        ConfigError: The encoder itself is trained, or the head reads a whole method.
    """
    needs = getattr(host().entries(HeadEntry).get(head), "needs", ())
    if cache is not None and (encoder.weights == "scratch" or {"encoder", "method"} & set(needs)):
        how = "--scratch" if encoder.weights == "scratch" else f"--head {head}"
        raise ConfigError(f"--cache {cache} with {how}, which caches no features", remedy="Leave --cache out.")


def percentages(text: Numbers) -> tuple[float, ...]:
    """Return percentages of the training records in ascending order, without duplicates.

    Raises:
        ConfigError: One is not a number above 0 and up to 100.
    """
    try:
        found = sorted({float(part) for part in _parts(text)})
        return tuple(Amount(percent).percent for percent in found)
    except (ValueError, TaskError):
        expected = "percentages above 0 and up to 100, joined by commas, such as 1,10,100"
        raise ConfigError(f"--fraction {text!r}", expected) from None


def numbers_of_records(text: Numbers) -> tuple[int, ...]:
    """Return numbers of training records in ascending order, without duplicates.

    Raises:
        ConfigError: One is not a whole number above 0.
    """
    parts = _parts(text)
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"--label-counts {text!r}", "whole numbers above 0 joined by commas, such as 50,100,500")
    return tuple(sorted({int(part) for part in parts}))


def _parts(text: Numbers) -> list[str]:
    parts = text.split(",") if isinstance(text, str) else [text] if isinstance(text, int | float) else text
    return [str(part).strip() for part in parts if str(part).strip()]


def cache_choice(cache: PathLike | None, no_cache: bool) -> str | None:
    """Return the folder of the feature cache, as in `ProbeRequest`.

    Raises:
        ConfigError: A folder is named, and the cache is switched off.
    """
    if cache is not None and no_cache:
        raise ConfigError(f"--cache {cache} with --no-cache", remedy="Give only one of them.")
    return None if no_cache else str(cache or "")


def where_to_encode(device: str, workers: int, gpus: int, dask: str, no_cache: bool) -> dict[str, Any]:
    """Return where records are encoded, as arguments of `requests_of`.

    Raises:
        RunError: A device does not exist.
        ConfigError: The values contradict each other.
    """
    at = Workers(workers, device, gpus, dask)
    at.check()
    if at.several and no_cache:
        raise ConfigError(
            "several processes cannot encode with --no-cache",
            remedy="Leave --no-cache out: they hand over the features through the cache.",
        )
    return {"device": device, "workers": workers, "gpus": gpus, "dask": dask}
