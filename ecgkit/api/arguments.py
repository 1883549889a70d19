"""Conversion of the paths, leads and settings that the functions of ecgkit take."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PathLike = str | Path
Leads = str | Sequence[str]
Settings = Mapping[str, Any] | Sequence[str]


def path_or_none(path: PathLike | None) -> Path | None:
    """Return a path as a `Path`, or None if it is None."""
    return None if path is None else Path(path)


def chosen_leads(leads: Leads) -> tuple[str, ...]:
    """Return canonical lead names; an empty tuple if no lead is named.

    Args:
        leads: Names, or a text such as ``12``, ``limb`` or ``II,V5``.

    Raises:
        LeadError: A name is not a lead, or is given twice.
    """
    from ecgkit.leads import parse_leads  # needs numpy, which listing plugins does not

    text = leads if isinstance(leads, str) else ",".join(leads)
    return parse_leads(text) if text else ()


def several(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return names, such as those of columns, from a sequence or from a text with commas."""
    parts = names.split(",") if isinstance(names, str) else names
    return tuple(part.strip() for part in parts if part.strip())


def assignments(settings: Settings) -> list[str]:
    """Return settings as texts such as ``recipe.lr=0.001``, from a mapping or from texts of this form."""
    if isinstance(settings, Mapping):
        return [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    return [settings] if isinstance(settings, str) else list(settings)
