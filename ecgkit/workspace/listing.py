"""What can be named for a probe or a training, with what fits a store or a run: tasks, heads and encoders."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecgkit.entries import HeadEntry, MethodEntry, SupplyEntry, TaskEntry, load_target
from ecgkit.errors import EcgkitError, RunError, StoreError
from ecgkit.methods.habits import habits_of
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.loading import load_task
from ecgkit.training.weight_cards import WeightCard, weight_cards
from ecgkit.workspace.fitting import FittingTask, fitting_tasks


@dataclass(frozen=True)
class TaskDetails:
    """A registered task.

    Args:
        name: Its name, as ``probe --task`` takes it.
        summary: What it is, in one line.
        predicts: ``classes`` or ``numbers``.
        distribution: The installed package that it comes from.
        fits: Whether the store holds its labels; None if no store was given.
        records: Number of records of the store that take part; None if it does not fit, or no store was given.
        labels: Number of its labels that occur in the store, or of the numbers to predict; None as `records`.
    """

    name: str
    summary: str
    predicts: str
    distribution: str
    fits: bool | None = None
    records: int | None = None
    labels: int | None = None


@dataclass(frozen=True)
class HeadDetails:
    """A registered head.

    Args:
        name: Its name, as ``probe --head`` takes it.
        summary: What it is, in one line.
        reads: The features that it reads; ``method`` for the whole method, ``encoder`` if it trains the encoder.
        predicts: ``classes``, or ``classes, numbers``.
        distribution: The installed package that it comes from.
        fits: Whether the run gives what the head reads; None if no run was given.
        lacks: What the run lacks; empty if it fits.
    """

    name: str
    summary: str
    reads: tuple[str, ...]
    predicts: str
    distribution: str
    fits: bool | None = None
    lacks: str = ""


@dataclass(frozen=True)
class EncoderDetails:
    """An encoder that can be trained or probed: a preset of a method.

    Args:
        method: The method family, as ``--method`` takes it.
        preset: The preset, as ``--preset`` takes it; empty if the presets cannot be loaded.
        contract: The signal contract in one line: leads, samples, rate, filter and scaling.
        encoder_parameters: Number of parameters of the encoder; None if it cannot be counted without data.
        parameters: Number of parameters of the whole method; None as `encoder_parameters`.
        width: Width of its pooled features; None as `encoder_parameters`.
        epochs: Number of epochs of its recipe.
        needs: What its training needs besides the signal.
        error: Why the presets cannot be loaded; empty if they can.
        fits: Whether the store has the leads and what training needs; None if no store was given.
        lacks: What the store lacks, with the command that adds it if there is one; empty if it fits.
        weights: Cards of published weights with these sizes and this input.
        pretrains: Whether the method has a pretraining; False for one that only encodes.
        habits: What the encoder makes of fewer leads, and of shorter and longer records, in words by case.
    """

    method: str
    preset: str
    contract: str = ""
    encoder_parameters: int | None = None
    parameters: int | None = None
    width: int | None = None
    epochs: int | None = None
    needs: tuple[str, ...] = ()
    error: str = ""
    fits: bool | None = None
    lacks: str = ""
    weights: tuple[WeightCard, ...] = ()
    pretrains: bool = True
    habits: Mapping[str, str] = field(default_factory=dict)


def tasks(store: Path | None) -> list[TaskDetails]:
    """Return the registered tasks; with a store, those that fit it come first.

    Raises:
        StoreError: The path is not a store.
    """
    fitting = {} if store is None else {task.name: task for task in fitting_tasks(store)}
    found = [_task(entry, fitting, store is not None) for entry in host().entries(TaskEntry).values()]
    return sorted(found, key=lambda task: not task.fits)


def _task(entry: TaskEntry, fitting: Mapping[str, FittingTask], asked: bool) -> TaskDetails:
    found, distribution = fitting.get(entry.name), host().owner(entry).distribution
    try:
        predicts = "classes" if load_task(entry).regression is None else "numbers"
    except EcgkitError:
        predicts = "unknown: its file cannot be read"
    if found is None:
        return TaskDetails(entry.name, entry.summary, predicts, distribution, False if asked else None)
    return TaskDetails(entry.name, entry.summary, predicts, distribution, True, found.records, found.labels)


def heads(run: Path | None) -> list[HeadDetails]:
    """Return the registered heads; with a run, whether its encoder gives what each head reads.

    Raises:
        RunError: The path is not a run.
        PluginError: The method of the run is not installed.
    """
    given = None if run is None else _gives(run)
    found = []
    for entry in host().entries(HeadEntry).values():
        predicts = "classes, numbers" if entry.regressor else "classes"
        lacks = (
            "" if given is None else ", ".join(_LACKS.get(n, f"{n} features") for n in entry.needs if n not in given)
        )
        fits = None if given is None else not lacks
        distribution = host().owner(entry).distribution
        found.append(HeadDetails(entry.name, entry.summary, entry.needs, predicts, distribution, fits, lacks))
    return found


# What a run lacks, where it is no kind of features.
_LACKS = {"method": "scores of classes by their names", "logits": "a classifier of its own"}


def _gives(run: Path) -> set[str]:
    """Return what the encoder of a run gives to a head."""
    from ecgkit.methods import ZeroShot
    from ecgkit.training.run import read_config

    entry, config, _ = read_config(run)
    gives = {"pooled", "encoder", *entry.features}
    if {"tokens", "token_leads"} <= gives:
        gives.add("per_lead")  # computed by pooling the tokens of each lead
    method = _without_weights(entry, config)
    if method is None:
        raise RunError(f"the encoder of {run} cannot be built from its config", remedy="See: ecgkit plugins list")
    if isinstance(method, ZeroShot):
        gives.add("method")
    return gives if method.encoder.classes else gives - {"logits"}


def encoders(method: str, store: Path | None) -> list[EncoderDetails]:
    """Return the presets of all methods, or of one; with a store, what it lacks for the training of each.

    Raises:
        PluginError: There is no such method.
        StoreError: The path is not a store.
    """
    entries = [host().get(MethodEntry, method)] if method else list(host().entries(MethodEntry).values())
    opened = None if store is None else Store(store)
    return [found for entry in entries for found in _presets(entry, opened)]


def _presets(entry: MethodEntry, store: Store | None) -> Iterator[EncoderDetails]:
    try:
        presets = dict(load_target(entry.presets, f"presets of {entry.name!r}"))
    except Exception as problem:
        yield EncoderDetails(entry.name, "", needs=entry.needs, error=str(problem))
        return
    cards = weight_cards(entry.name)
    for name, config in presets.items():
        built = _without_weights(entry, config)
        lacks = "" if store is None else "; ".join(_missing(entry, config, store))
        yield EncoderDetails(
            entry.name,
            name,
            str(config.signal),
            None if built is None else _count(built.encoder),
            None if built is None else _count(built),
            None if built is None else int(built.encoder.width),
            int(config.recipe.epochs),
            entry.needs,
            fits=None if store is None else not lacks,
            lacks=lacks,
            weights=tuple(card for card in cards if card.preset == name),
            pretrains=entry.pretrains,
            habits={} if built is None else habits_of(built.encoder, config.signal),
        )


def _without_weights(entry: MethodEntry, config: Any) -> Any:
    """Return a method without memory for its weights; None if it cannot be built so, such as without a dataset."""
    import torch

    try:
        with torch.device("meta"):
            return entry.load()(config)
    except Exception:
        return None


def _count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _missing(entry: MethodEntry, config: Any, store: Store) -> Iterator[str]:
    """Yield what a store lacks for the training of a method."""
    from ecgkit.training.preparation import command_of, is_there

    if not entry.pretrains:
        yield "nothing, but the method has no pretraining"
    if not set(config.signal.leads) & set(store.leads):
        yield f"the leads {', '.join(config.signal.leads)}"
    supplies = host().entries(SupplyEntry)
    for need in entry.needs:
        supply = supplies.get(need)
        if supply is None or not supply.holds:
            continue
        try:
            if not is_there(supply, config, store):
                yield f"{need} ({command_of(supply, store)})"
        except StoreError as error:  # the preset names an extraction that the store lacks
            yield f"{need} ({error})"
