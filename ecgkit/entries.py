"""What a plugin may register: small records that name a thing, describe it, and say where its code lies.

An entry holds an import path (``"package.module:attribute"``) instead of the object, so listing everything that
is installed imports no model and no heavy library. `Entry.load` imports it on first use.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A named thing with one line about it and the import path of its code.

    Args:
        name: What the user types, such as ``stmem`` or ``linear``; unique within its kind.
        summary: One line for listings.
        target: ``"package.module:attribute"``, imported on first use.
    """

    kind: ClassVar[str] = "entry"

    name: str
    summary: str
    target: str

    def load(self) -> Any:
        """Import and return what `target` names."""
        return resolve_name(self.target)


@dataclass(frozen=True, kw_only=True)
class MethodEntry(Entry):
    """A family of pretraining methods; `target` is its `ecgkit.methods.Method` class.

    Args:
        config: Import path of the family's frozen config dataclass, with fields `signal` and `recipe`.
        presets: Import path of a mapping from preset name to config.
        paper: Authors' title and identifier, as the listing shows it.
        needs: What a training batch must hold: ``signal``, ``beats``, ``reports``, ``entities``, ``labels``.
        features: The fields of `ecgkit.methods.Features` that the encoder fills besides ``pooled``.
        importer: Import path of ``f(state, source) -> (config, state)`` for published weights, or empty.
        demo: Settings for ``ecgkit demo`` (``preset``, and ``set`` as for --set), or None to stay out of it.
    """

    kind: ClassVar[str] = "method"

    config: str
    presets: str
    paper: str
    needs: tuple[str, ...] = ("signal",)
    features: tuple[str, ...] = ()
    importer: str = ""
    demo: Mapping[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class HeadEntry(Entry):
    """A way from features to predictions; `target` is a class with the `ecgkit.evaluation.heads.Head` interface.

    Args:
        needs: The `ecgkit.methods.Features` field that the head reads, such as ``pooled`` or ``per_lead``.
    """

    kind: ClassVar[str] = "head"

    needs: str = "pooled"


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """A dataset layout; `target` is a subclass of `ecgkit.datasets.base.Dataset`.

    Args:
        priority: Layouts are tried from the highest to the lowest, so that a folder that several recognise is
            taken by the most specific.
    """

    kind: ClassVar[str] = "dataset"

    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class TaskEntry(Entry):
    """An evaluation task; `target` is ``"package:file.yaml"``, a data file inside that package."""

    kind: ClassVar[str] = "task"


@dataclass(frozen=True, kw_only=True)
class DetectorEntry(Entry):
    """An R-peak detector; `target` is ``f(signal [L, T] in mV, fs) -> sample indices``."""

    kind: ClassVar[str] = "detector"


@dataclass(frozen=True, kw_only=True)
class TextEncoderEntry(Entry):
    """A text encoder; `target` is ``f(texts) -> array [len(texts), D]``."""

    kind: ClassVar[str] = "text encoder"


@dataclass(frozen=True, kw_only=True)
class CommandEntry(Entry):
    """A command of the `ecgkit` program; `target` is a Typer app (a sub-command group) or a plain function."""

    kind: ClassVar[str] = "command"
