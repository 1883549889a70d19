"""Builds heads from their entries: settings, name in a table, and whether a head fits an encoder."""

from collections.abc import Sequence
from typing import Any

import torch

from ecgkit.config import override, to_dict
from ecgkit.entries import HeadEntry, MethodEntry, load_target
from ecgkit.errors import ConfigError, RunError
from ecgkit.evaluation.heads.base import CPU
from ecgkit.evaluation.heads.trained import TrainedHead
from ecgkit.plugins import host

LINEAR = "linear"


def head_config(entry: HeadEntry, assignments: Sequence[str] = ()) -> Any:
    """Return a head's settings after assignments such as ``gate=frozen``; None for a head without settings.

    Raises:
        ConfigError: The head has no settings to change, or a key or value does not fit.
    """
    if not entry.config:
        if assignments:
            raise ConfigError(f"--set {assignments[0]!r} for head {entry.name}", "nothing: it has no settings")
        return None
    kind = load_target(entry.config, f"the settings of head {entry.name!r}")
    return override(kind(), assignments)


def build_head(
    entry: HeadEntry, seed: int, config: Any = None, *, device: torch.device = CPU, regression: bool = False
) -> Any:
    """Return a `Head` with its settings, or a `FineTune` if the entry needs the ``encoder``.

    Args:
        entry: Entry of the head.
        seed: Seed of all randomness in the head.
        config: Settings of the head; None for the defaults.
        device: Device to compute on; a `FineTune` computes on the device of its encoder.
        regression: Return the regressor that the entry names.
    """
    settings = {"config": config or head_config(entry)} if entry.config else {}
    kind = load_target(entry.regressor, f"the regressor of head {entry.name!r}") if regression else entry.load()
    place = {} if "encoder" in entry.needs else {"device": device}
    return kind(seed=seed, **place, **settings)


def check_regresses(name: str, entry: HeadEntry | None, task: str) -> None:
    """Raise if the task is a regression and the head can only predict classes.

    Args:
        name: Name of the head as the user gave it.
        entry: Entry of the head; None for a training from scratch, which has no head.
        task: The task.

    Raises:
        RunError: The head cannot predict numbers; the message names the heads that can.
    """
    if entry is None or not entry.regressor:
        able = ", ".join(h.name for h in host().entries(HeadEntry).values() if h.regressor)
        raise RunError(
            f"{name} predicts classes, and {task} is a regression task",
            f"a head that predicts numbers: {able}",
            f"Add --head {able.split(',')[0]}, with a run or --random-init.",
        )


def check_trained_with(name: str, method: MethodEntry) -> None:
    """Raise if a head cannot be trained together with an encoder.

    Args:
        name: Name of the head.
        method: Entry of the encoder's method.

    Raises:
        PluginError: There is no such head.
        RunError: The head is not trained by gradient, or reads features that the encoder does not give.
    """
    entry = host().get(HeadEntry, name)
    if name != LINEAR and not _by_gradient(entry):
        able = (other.name for other in host().entries(HeadEntry).values() if _by_gradient(other))
        raise RunError(f"head {name} cannot be trained with an encoder", f"one of {', '.join((LINEAR, *able))}")
    check_head(entry, method)


def _by_gradient(entry: HeadEntry) -> bool:
    return issubclass(entry.load(), TrainedHead)


def head_title(entry: HeadEntry, config: Any = None) -> str:
    """Return a head's name with its non-default settings, such as ``pma (gate=frozen)``."""
    if config is None:
        return entry.name
    usual = to_dict(head_config(entry))
    changed = ", ".join(f"{key}={_brief(v, usual[key])}" for key, v in to_dict(config).items() if v != usual[key])
    return f"{entry.name} ({changed})" if changed else entry.name


def _brief(value: Any, usual: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return " ".join(f"{key}={v}" for key, v in value.items() if v != usual.get(key))


def check_head(entry: HeadEntry, method: MethodEntry) -> None:
    """Raise if a head reads features that the encoder does not give.

    Raises:
        RunError: The head does not fit the encoder, or it trains the encoder instead of reading features. The message
            names the heads that fit.
    """
    gives = {"pooled", *method.features}
    if {"tokens", "token_leads"} <= gives:
        gives.add("per_lead")  # computed by pooling the tokens of each lead
    if "encoder" in entry.needs:
        raise RunError(f"head {entry.name} trains the encoder itself", "a head on frozen features, such as linear")
    # A head that needs the whole method checks the method itself when it reads it.
    missing = [need for need in entry.needs if need not in gives | {"method"}]
    if missing:
        fit = [h.name for h in host().entries(HeadEntry).values() if set(h.needs) <= gives]
        raise RunError(
            f"{method.name} gives no {missing[0]} features, which head {entry.name} reads", f"one of {', '.join(fit)}"
        )
