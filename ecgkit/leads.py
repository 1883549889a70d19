"""Leads by name: aliases, canonical order, lead sets, derived limb leads, and consistency checks of limb leads.

A lead is always found by its name, never by its row number: MIMIC-IV-ECG files, for example, put aVF before aVL. The
relations are Einthoven's (II = I + III) and Goldberger's (aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2).
Arrays are ``[..., L, T]``: leads on the second last axis.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import LeadError

LIMB_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF")
PRECORDIAL_LEADS = ("V1", "V2", "V3", "V4", "V5", "V6")
STANDARD_LEADS = LIMB_LEADS + PRECORDIAL_LEADS
# Leads that some datasets have besides the standard twelve: right-sided, posterior, and Frank's orthogonal leads. ECG1
# and ECG2 are the first and second signal of archives that do not say which leads they are. New leads are added at the
# end, since a lead's place in `LEADS` is its id.
EXTRA_LEADS = ("V3R", "V4R", "V7", "V8", "V9", "VX", "VY", "VZ", "ECG1", "ECG2", "V5R", "V6R", "V1R", "V2R")
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

_LIMB_NUMBERS = {"I": "I", "II": "II", "III": "III", "1": "I", "2": "II", "3": "III"}

# Weights of I and II in the four limb leads that can be derived from them.
DERIVED: dict[str, tuple[float, float]] = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}

# Besides the names themselves. IEC 60601-2-25 names the chest electrodes C1 to C6 and the limb electrodes R, L, F.
_ALIASES = {name.upper(): name for name in LEADS} | {
    **{f"{letters}{number}": lead for letters in ("D", "L", "ML") for number, lead in _LIMB_NUMBERS.items()},
    **{f"C{name[1:]}": name for name in LEADS if name[1:2].isdigit()},
    **{f"{letter}{name[1]}": name for name in LEADS if name.endswith("R") and name != "aVR" for letter in ("RV", "VR")},
    "R": "aVR",
    "L": "aVL",
    "F": "aVF",
    "X": "VX",
    "Y": "VY",
    "Z": "VZ",
}
_PREFIX = re.compile(
    "(MDC[ _]?ECG[ _]?LEAD|ECG|EKG|LEAD|ABLEITUNG|ABL"
    "|D[EÉ]RIVATION|DERIVACI[OÓ]N|DERIVA[CÇ][AÃ]O|DERIVAZIONE|FRANK)"
    r"[ _.:\-]*"
)
_SUFFIX = re.compile(r"[ _.:\-]+(LEAD|REF|ECG|EKG)$")  # V1-Ref, as EDF files name a lead
_IS_LEAD = re.compile("LEAD|ABL|D[EÉ]RIV")
_SEPARATORS = re.compile(r"[ _.:\-]")
_IN_BRACKETS = re.compile(r"[(\[][^()\[\]]*[)\]]")
# Names of EEG electrodes (10-20 system). Among them, C3 and C4 are no chest leads, and F is no lead.
_EEG = {
    "FZ",
    "CZ",
    "PZ",
    "OZ",
    "FP1",
    "FP2",
    "F3",
    "F4",
    "P3",
    "P4",
    "O1",
    "O2",
    "T3",
    "T4",
    "T5",
    "T6",
    "A1",
    "A2",
    "M1",
}

A = TypeVar("A", bound=np.generic)
S = TypeVar("S", bound=np.floating)


def find_lead(name: str) -> tuple[str, int] | None:
    """Return a lead's canonical name and its sign, or None if `name` is not an ECG lead.

    Case, separators, a unit in brackets, and prefixes such as ``ECG``, ``EKG``, ``Lead`` or ``MDC_ECG_LEAD`` are
    ignored. National and IEC names are known: ``D1`` and ``Lead 1`` are I, ``MLII`` is II, ``C1`` is V1, ``F`` is aVF.
    The sign is -1 for a name with a leading minus (an inverted lead, such as ``-aVR``), else 1.
    """
    text = _IN_BRACKETS.sub("", unicodedata.normalize("NFKC", name)).strip().upper()
    sign = -1 if text.startswith(("-", "\u2212")) else 1
    text = _SUFFIX.sub("", text.lstrip("+-\u2212").strip())
    if text in _ALIASES:
        return _ALIASES[text], sign
    prefix, short = _split_prefix(text)
    # "Lead 1" is lead I, but "ECG 1" is only the first channel.
    number = _LIMB_NUMBERS.get(short) if _IS_LEAD.search(prefix) else None
    joined = _SEPARATORS.sub("", short)
    # "I-II" is a difference of leads, not lead III.
    lead = number or _ALIASES.get(joined if set(joined) != {"I"} else short)
    return (lead, sign) if lead else None


def _split_prefix(text: str) -> tuple[str, str]:
    """Return the words such as ECG and LEAD before a name, and the name; no words if nothing else would be left."""
    rest = text
    while (match := _PREFIX.match(rest)) and match.end() < len(rest):
        rest = rest[match.end() :]
    return text[: len(text) - len(rest)], rest


def find_leads(names: Sequence[str]) -> list[tuple[str, int] | None]:
    """Return `find_lead` of each name of one record. Beside EEG channels, names such as ``C3`` are no ECG leads."""
    plain = {_SEPARATORS.sub("", name.strip().upper()) for name in names}
    has_eeg = bool(plain & _EEG)
    return [None if has_eeg and _is_iec(name) else find_lead(name) for name in names]


def _is_iec(name: str) -> bool:
    return bool(re.fullmatch(r"\s*(C\d|[RLF])\s*", name.upper()))


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
    """Return the index of each lead in the standard order: 0 for I to 11 for V6, and more for the extra leads."""
    return [LEADS.index(name) for name in names]


def select_leads(signal: NDArray[A], have: Sequence[str], want: Sequence[str]) -> NDArray[A]:
    """Return the rows of `want`, in that order, from a signal ``[..., L, T]`` whose rows are `have`.

    Raises:
        LeadError: A lead of `want` is not in `have`.
    """
    missing = [name for name in want if name not in have]
    if missing:
        raise LeadError(f"leads {', '.join(missing)} are missing (the signal has {', '.join(have)})")
    return signal[..., [list(have).index(name) for name in want], :]


def derive_limb_leads(signal: NDArray[S], names: Sequence[str]) -> tuple[NDArray[S], tuple[str, ...], tuple[str, ...]]:
    """Add the missing ones of III, aVR, aVL and aVF, if I and II are present.

    Args:
        signal: ``[..., L, T]``, all leads in the same unit; NaN for a missing sample.
        names: Canonical names of the L rows.

    Returns:
        The signal with derived rows at its end, all names, and the names of the derived rows.
    """
    if not {"I", "II"} <= set(names):
        return signal, tuple(names), ()
    new = tuple(name for name in DERIVED if name not in names)
    lead_1, lead_2 = (signal[..., list(names).index(name), :] for name in ("I", "II"))
    rows = [a * lead_1 + b * lead_2 for a, b in (DERIVED[name] for name in new)]
    if rows:
        signal = np.concatenate([signal, np.stack(rows, axis=-2).astype(signal.dtype)], axis=-2)
    return signal, (*names, *new), new


# Relations of the limb leads, as weights on I, II, III, aVR, aVL, aVF: Einthoven's law, and Goldberger's leads from the
# bipolar ones in a form that treats all three electrodes alike.
_RELATIONS = np.array(
    [
        [1, -1, 1, 0, 0, 0],
        [1, 1, 0, 2, 0, 0],
        [-1, 0, 1, 0, 2, 0],
        [0, -1, -1, 0, 0, 2],
    ]
)
# Relative to the power of the limb leads: what rounding and separate filters leave; and the mV below which there is no
# signal.
_TOLERANCE = 0.2
_SILENCE = 0.01
_SAMPLES = 1000
AVF_AVL_SWAPPED, LIMB_REVERSED, INCONSISTENT = "avf-avl-swapped", "limb-reversed", "inconsistent"


def _faults() -> list[tuple[str, NDArray[np.int64]]]:
    """Return each single fault (a lead inverted, or two leads exchanged) with the matrix that undoes it."""
    exchanged = [(4, 5), (3, 4), (3, 5), (0, 1), (0, 2), (1, 2)]
    faults = []
    for a, b in exchanged:
        undo = np.eye(6, dtype=np.int64)
        undo[[a, b]] = undo[[b, a]]
        faults.append((AVF_AVL_SWAPPED if (a, b) == (4, 5) else LIMB_REVERSED, undo))
    for lead in range(6):
        undo = np.eye(6, dtype=np.int64)
        undo[lead, lead] = -1
        faults.append((LIMB_REVERSED, undo))
    return faults


def limb_lead_fault(signal: NDArray[np.floating], leads: Sequence[str]) -> NDArray[np.str_]:
    """Find out for each record whether its limb leads contradict each other, and how.

    All six limb leads are needed, in the same unit. Electrodes that were exchanged on the patient (such as RA and LA)
    cannot be detected: the machine computes all six leads from the electrodes as they are, so the relations still hold.
    A fault that came later, in names, rows or signs, can be detected. Exchanged aVL and aVF look the same as LA and LL
    exchanged in the bipolar leads alone.

    Args:
        signal: ``[..., L, T]`` in mV; NaN for a missing sample.
        leads: Canonical names of the L rows.

    Returns:
        ``[...]``: ``avf-avl-swapped``; ``limb-reversed`` if the relations hold after two other limb leads are exchanged
        or one is inverted; ``inconsistent`` if they hold in neither way; empty if they hold, or cannot be checked.
    """
    names = np.full(signal.shape[:-2], "", dtype=f"U{len(AVF_AVL_SWAPPED)}")
    if not set(LIMB_LEADS) <= set(leads) or not signal.shape[-1]:
        return names
    # The relations hold sample by sample, so a thousand samples are enough.
    step = max(1, signal.shape[-1] // _SAMPLES)
    power = _limb_power(select_leads(signal[..., ::step], leads, LIMB_LEADS))
    scale = np.trace(power, axis1=-2, axis2=-1) / len(LIMB_LEADS)
    heard = scale > _SILENCE**2
    limit = _TOLERANCE**2 * scale
    wrong = heard & (_worst(power, _RELATIONS) > limit)
    if not wrong.any():
        return names
    names[wrong] = INCONSISTENT
    least = np.where(wrong, limit, -1.0)
    for name, undo in _faults():
        worst = _worst(power, _RELATIONS @ undo)
        names[worst < least] = name
        least = np.minimum(least, worst)
    return names


def _limb_power(limb: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the covariance ``[..., 6, 6]`` of the limb leads, over samples that all of them have."""
    there = np.isfinite(limb).all(-2, keepdims=True)
    count = np.maximum(there.sum(-1, keepdims=True), 1)
    known = np.where(there, limb, 0.0)
    centred = np.where(there, known - known.sum(-1, keepdims=True) / count, 0.0)
    return centred @ np.swapaxes(centred, -1, -2) / count


def _worst(power: NDArray[np.floating], relations: NDArray[np.int64]) -> NDArray[np.floating]:
    """Return the largest mean square of the relations' errors, with each relation's weights scaled to norm 1."""
    squares = np.einsum("ri,...ij,rj->...r", relations, power, relations)
    return (squares / np.square(relations).sum(1)).max(-1)
