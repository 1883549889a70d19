"""Leads by name: aliases, canonical order, sets, limb leads derived from I and II, and checks by physics.

A lead is always found by its name, never by its row: MIMIC-IV-ECG files, for one, put aVF before aVL. The
relations are Einthoven's (II = I + III) and Goldberger's (aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2).
Arrays are ``[..., L, T]``: leads on the second last axis.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import LeadError

LIMB_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF")
PRECORDIAL_LEADS = ("V1", "V2", "V3", "V4", "V5", "V6")
STANDARD_LEADS = LIMB_LEADS + PRECORDIAL_LEADS
# Recorded in some datasets beside the standard twelve: right-sided, posterior, and Frank's orthogonal leads.
EXTRA_LEADS = ("V3R", "V4R", "V7", "V8", "V9", "VX", "VY", "VZ")
LEADS = STANDARD_LEADS + EXTRA_LEADS

LEAD_SETS: dict[str, tuple[str, ...]] = {
    "12": STANDARD_LEADS,
    "standard": STANDARD_LEADS,
    "limb": LIMB_LEADS,
    "precordial": PRECORDIAL_LEADS,
    "chest": PRECORDIAL_LEADS,
    "8": ("I", "II", *PRECORDIAL_LEADS),
    "3": ("I", "II", "V2"),
    "2": ("I", "II"),
    "1": ("I",),
}

# Weights on (I, II) of the four limb leads that follow from them.
DERIVED: dict[str, tuple[float, float]] = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}

_ALIASES = {name.upper(): name for name in LEADS} | {
    "DI": "I",
    "DII": "II",
    "DIII": "III",
    "MLI": "I",
    "MLII": "II",
    "MLIII": "III",
}

A = TypeVar("A", bound=np.generic)
S = TypeVar("S", bound=np.floating)


def find_lead(name: str) -> tuple[str, int] | None:
    """Return a lead's canonical name and its sign, or None if `name` is no ECG lead.

    Case, blanks and prefixes such as ``ECG`` or ``lead`` don't count; ``DI`` is I and ``MLII`` is II. The sign
    is -1 for a name with a leading minus (an inverted lead, as ``-aVR``).
    """
    text = name.strip().upper()
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-").strip()
    for prefix in ("ECG", "LEAD"):
        text = text.removeprefix(prefix).lstrip(" _")
    lead = _ALIASES.get(text)
    return (lead, sign) if lead else None


def parse_lead(name: str) -> str:
    """Return the canonical name of a lead.

    Raises:
        LeadError: `name` is not the name of an ECG lead.
    """
    found = find_lead(name)
    if found is None or found[1] < 0:
        raise LeadError(f"lead {name!r} is unknown", "one of " + " ".join(LEADS))
    return found[0]


def parse_leads(text: str) -> tuple[str, ...]:
    """Return the leads that a user named: a set such as ``limb``, or names joined by commas.

    Raises:
        LeadError: A name is neither a set nor a lead, or comes twice.
    """
    if text.strip().lower() in LEAD_SETS:
        return LEAD_SETS[text.strip().lower()]
    leads = tuple(parse_lead(part) for part in text.split(",") if part.strip())
    if not leads or len(set(leads)) < len(leads):
        raise LeadError(f"leads {text!r}", f"different lead names joined by commas, or one of {', '.join(LEAD_SETS)}")
    return leads


def canonical_order(names: Sequence[str]) -> tuple[str, ...]:
    """Return canonical lead names in the standard order."""
    return tuple(sorted(names, key=LEADS.index))


def lead_ids(names: Sequence[str]) -> list[int]:
    """Return the index of each lead in the standard order: 0 for I to 11 for V6, more for the extra leads."""
    return [LEADS.index(name) for name in names]


def select_leads(signal: NDArray[A], have: Sequence[str], want: Sequence[str]) -> NDArray[A]:
    """Return the rows of `want`, in that order, from a signal ``[..., L, T]`` whose rows are `have`.

    Raises:
        LeadError: A lead of `want` is not in `have`.
    """
    missing = [name for name in want if name not in have]
    if missing:
        raise LeadError(f"leads {', '.join(missing)} are not among {', '.join(have)}", ", ".join(want))
    return signal[..., [list(have).index(name) for name in want], :]


def derive_limb_leads(signal: NDArray[S], names: Sequence[str]) -> tuple[NDArray[S], tuple[str, ...], tuple[str, ...]]:
    """Add those of III, aVR, aVL and aVF that are missing, if I and II are there.

    Args:
        signal: ``[..., L, T]``, all leads on one scale; NaN where a sample is missing.
        names: Canonical names of the L rows.

    Returns:
        The signal with the derived rows after its own, all names, and the names of the derived rows.
    """
    if not {"I", "II"} <= set(names):
        return signal, tuple(names), ()
    new = tuple(name for name in DERIVED if name not in names)
    lead_1, lead_2 = (signal[..., list(names).index(name), :] for name in ("I", "II"))
    rows = [a * lead_1 + b * lead_2 for a, b in (DERIVED[name] for name in new)]
    if rows:
        signal = np.concatenate([signal, np.stack(rows, axis=-2).astype(signal.dtype)], axis=-2)
    return signal, (*names, *new), new


def limb_residuals(signal: NDArray[np.floating], names: Sequence[str]) -> dict[str, float]:
    """Measure how far the limb leads are from Einthoven's and Goldberger's relations.

    Args:
        signal: ``[L, T]``, all leads on one scale; NaN where a sample is missing.
        names: Canonical names of the L rows.

    Returns:
        For each of III, aVR, aVL and aVF that can be checked, the root mean square of (recorded - derived) over
        the root mean square of the derived lead: about 0 where the relation holds, about 2 for an inverted lead.
    """
    rows = dict(zip(names, signal, strict=True))
    if not {"I", "II"} <= rows.keys():
        return {}
    residuals = {}
    for name, (a, b) in DERIVED.items():
        if name in rows:
            derived = a * rows["I"] + b * rows["II"]
            both = np.isfinite(derived) & np.isfinite(rows[name])
            power = float(np.mean(derived[both] ** 2)) if both.any() else 0.0
            if power > 0:
                residuals[name] = float(np.sqrt(np.mean((rows[name] - derived)[both] ** 2) / power))
    return residuals
