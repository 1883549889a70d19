"""The forms in which a function of ecgkit takes paths, leads and settings, and what they become."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PathLike = str | Path
Leads = str | Sequence[str]
Settings = Mapping[str, Any] | Sequence[str]


def path_or_none(path: PathLike | None) -> Path | None:
    """Return a path as a `Path`, and None as it is."""
    return None if path is None else Path(path)


def chosen_leads(leads: Leads) -> tuple[str, ...]:
    """Return the leads that were named, none if nothing was.

    Args:
        leads: Names, or a text such as ``12``, ``limb`` or ``II,V5``.

    Raises:
        LeadError: A name is no lead, or comes twice.
    """
    from ecgkit.leads import parse_leads  # needs numpy, which listing plugins does not

    text = leads if isinstance(leads, str) else ",".join(leads)
    return parse_leads(text) if text else ()


def assignments(settings: Settings) -> list[str]:
    """Return settings as texts such as ``recipe.lr=0.001``, from a mapping or from such texts."""
    if isinstance(settings, Mapping):
        return [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    return [settings] if isinstance(settings, str) else list(settings)
