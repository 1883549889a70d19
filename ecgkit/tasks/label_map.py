"""The label map translates the classes of a task into another code system; ``label_map.yaml`` states its sources.

A class is a set of codes, any of which makes a record positive. The class is carried over if the findings that it
covers contain all of its codes. Then the codes of those findings in the other system make a record positive. All other
classes are left out, with the reason.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import yaml

from ecgkit.config import build
from ecgkit.tasks.task import Task

FILE = "label_map.yaml"
SYSTEMS = {"scp": "SCP-ECG", "snomed": "SNOMED CT", "cpsc2018": "the words of CPSC 2018", "code": "CODE-15 %"}


@dataclass(frozen=True)
class Finding:
    """One finding, and its codes in each system that has it.

    Args:
        name: Name in words.
        scp: SCP-ECG statements. Each item is one code, or several codes of the same meaning joined by ``|``.
        snomed: SNOMED CT codes.
        cpsc2018: Words of CPSC 2018.
        code: Labels of CODE-15 %.
        includes: By system, codes that are narrower or less exactly named.
    """

    name: str
    scp: tuple[str, ...] = ()
    snomed: tuple[str, ...] = ()
    cpsc2018: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    includes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def parts(self, system: str) -> tuple[frozenset[str], ...]:
        """Return sets of codes. A class that has one code of each set covers the finding. Empty if there are none."""
        items: tuple[str, ...] = getattr(self, system) if system in SYSTEMS else ()
        return tuple(frozenset(code.strip() for code in item.split("|")) for item in items)

    def codes(self, system: str) -> frozenset[str]:
        """Return all codes of the finding."""
        return frozenset().union(*self.parts(system), self.includes.get(system, ()))

    def covered_by(self, codes: Collection[str], system: str) -> bool:
        """Return whether a class with these codes is positive whenever the finding is."""
        parts = self.parts(system)
        return bool(parts) and all(part & set(codes) for part in parts)


@dataclass(frozen=True)
class LabelMap:
    """The content of the map's file.

    Args:
        findings: Findings that occur in several systems.
        unmapped: By system, the codes without a counterpart, with the reason.
    """

    findings: tuple[Finding, ...]
    unmapped: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Carried:
    """The classes of a task in another code system.

    Args:
        system: Name of the code system.
        codes: Codes that make each label positive, by label in the task's order.
        left_out: The labels that are left out, with the reason.
    """

    system: str
    codes: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str]


@functools.cache
def label_map() -> LabelMap:
    """Read the label map that ecgkit ships."""
    values = yaml.safe_load(files("ecgkit.tasks").joinpath(FILE).read_text(encoding="utf-8"))
    findings = [build(Finding, finding, source=FILE) for finding in values["findings"]]
    return build(LabelMap, {**values, "findings": findings}, source=FILE)


def carry(task: Task, system: str, *, home: bool = False) -> Carried:
    """Return the classes of a task in a code system.

    Args:
        task: A task whose labels are codes.
        system: Code system, such as ``snomed``; in the task's own system, classes keep their codes.
        home: Whether the records belong to the task's own dataset, in which `local` codes mean what the task says.
    """
    if system == task.code_system:
        strange = {name for name, label in task.labels.items() if label.local and not home}
        kept = {name: codes for name, codes in task.codes().items() if name not in strange}
        return Carried(system, kept, {name: _reason([], system, system) for name in strange})
    codes: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, str] = {}
    for name, label in task.labels.items():
        covered = [f for f in label_map().findings if f.codes(system) and f.covered_by(label.codes, task.code_system)]
        known = frozenset().union(*(finding.codes(task.code_system) for finding in covered))
        missing = [code for code in label.codes if code not in known]
        if missing or label.local:
            left_out[name] = _reason(missing, task.code_system, system)
        else:
            codes[name] = tuple(sorted(frozenset().union(*(finding.codes(system) for finding in covered))))
    return Carried(system, codes, left_out)


def _reason(missing: Sequence[str], own: str, system: str) -> str:
    """Return the reason why a class is left out."""
    if not missing:
        return "its code means something else in other datasets"
    known: Any = label_map().unmapped.get(own, {})
    reasons = "; ".join(dict.fromkeys(str(known[code]) for code in missing if code in known))
    told = f"no counterpart in {SYSTEMS.get(system, system)} for {', '.join(missing)}"
    return f"{told} ({reasons})" if reasons else told
