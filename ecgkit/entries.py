"""What a plugin may register: small records that name a thing, describe it, and say where its code lies.

An entry holds an import path (``"package.module:attribute"``) instead of the object, so listing everything that
is installed imports no model and no heavy library. `Entry.load` imports it on first use.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, ClassVar

from ecgkit.errors import PluginError


@contextmanager
def loading() -> Iterator[None]:
    """Run a stranger's code at import: prints go to stderr, away from any JSON, and every failure is a `PluginError`.

    A `SystemExit`, or an exception of its own kind, must not end the program; Ctrl-C must.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"{type(error).__name__}: {error}") from error


def load_target(target: str, owner: str) -> Any:
    """Import and return what an import path names.

    Args:
        target: ``"package.module:attribute"``.
        owner: Whose it is, for the error.

    Raises:
        PluginError: It cannot be imported, whatever the reason.
    """
    try:
        with loading():
            return resolve_name(target)
    except PluginError as error:
        raise PluginError(f"{owner} cannot be loaded from {target!r} ({error})", "an import path that loads") from error


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
        """Import and return what `target` names.

        Raises:
            PluginError: It cannot be imported.
        """
        return load_target(self.target, f"{self.kind} {self.name!r}")

    def check(self) -> None:
        """Refuse an entry that no listing could show; the plugin host asks before it takes one.

        Raises:
            PluginError: A field is empty or of the wrong type.
        """
        for field_name in ("name", "summary", "target"):
            value = getattr(self, field_name)
            if not isinstance(value, str) or not value.strip():
                raise PluginError(f"{self.kind} {self.name!r} has {field_name} {value!r}", "a text that is not empty")


@dataclass(frozen=True, kw_only=True)
class MethodEntry(Entry):
    """A family of pretraining methods; `target` is its `ecgkit.methods.Method` class.

    Args:
        config: Import path of the family's frozen config dataclass, with fields `signal` and `recipe`.
        presets: Import path of a mapping from preset name to config.
        paper: Authors' title and identifier, as the listing shows it.
        needs: What a training batch must hold: ``signal``, and names of supplies such as ``beats`` or ``reports``.
        features: The fields of `ecgkit.methods.Features` that the encoder fills besides ``pooled``.
        importer: Import path of ``f(state) -> (config, state)`` for published weights, or empty; a third item may hold
            the names of parameters that it leaves out.
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
        needs: The `ecgkit.methods.Features` fields that the head reads, such as ``pooled`` or ``per_lead``; or
            ``method``, for a head whose `reader` makes its features from the whole method; or ``encoder``, for one that
            trains the encoder itself: `target` then has the interface of `ecgkit.evaluation.heads.fine_tune.FineTune`.
        config: Import path of the frozen dataclass of the head's settings, handed to it as ``config``; empty for a
            head without settings.
        regressor: Import path of the head's class for regression tasks, whose targets are numbers; empty for a head
            that knows classes alone.
    """

    kind: ClassVar[str] = "head"

    needs: tuple[str, ...] = ("pooled",)
    config: str = ""
    regressor: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """A dataset layout; `target` is a subclass of `ecgkit.datasets.base.Dataset`.

    Args:
        priority: Layouts are tried from the highest to the lowest, so that a folder that several recognise is
            taken by the most specific.
    """

    kind: ClassVar[str] = "dataset"

    priority: int = 0

    def check(self) -> None:
        """Refuse a priority that cannot be sorted as well."""
        super().check()
        if not isinstance(self.priority, int):
            raise PluginError(f"dataset {self.name!r} has priority {self.priority!r}", "a whole number")


@dataclass(frozen=True, kw_only=True)
class TaskEntry(Entry):
    """An evaluation task; `target` is ``"package:file.yaml"``, a data file inside that package."""

    kind: ClassVar[str] = "task"


@dataclass(frozen=True, kw_only=True)
class ProtocolEntry(Entry):
    """A probe protocol; `target` is ``"package:file.yaml"``, a data file inside that package.

    It holds the fields of `ecgkit.evaluation.protocols.protocol.Protocol`.
    """

    kind: ClassVar[str] = "protocol"


@dataclass(frozen=True, kw_only=True)
class DetectorEntry(Entry):
    """An R-peak detector; `target` is ``f(signal, fs, leads) -> list`` on batches.

    It takes ``signal [B, L, T]`` in mV with NaN where a sample is missing, the rate in Hz and the names of the L rows,
    and returns B arrays of ascending sample indices at that rate. A record's peaks may depend on that record alone.

    Args:
        leads: The leads that it is given by default, those of them that a record has, in this order; a record that has
            none of them gives all of its own.
        version: Written beside the peaks; raise it when the same signal may give other peaks.
        distribution: The library that does the work, whose version is written too, or empty.
        settings: Import path of a frozen dataclass of settings; `target` then takes one as a fourth argument, and it
            is written beside the peaks. Empty for a detector without settings.
    """

    kind: ClassVar[str] = "detector"

    leads: tuple[str, ...] = ()
    version: str = "1"
    distribution: str = ""
    settings: str = ""


@dataclass(frozen=True, kw_only=True)
class TextEncoderEntry(Entry):
    """A text encoder; `target` is an `ecgkit.text.encoder.TextEncoder` class."""

    kind: ClassVar[str] = "text encoder"


@dataclass(frozen=True, kw_only=True)
class AugmentationEntry(Entry):
    """An augmentation; `target` is a frozen dataclass of settings, an `ecgkit.signal.augment.base.Augmentation`."""

    kind: ClassVar[str] = "augmentation"


@dataclass(frozen=True, kw_only=True)
class SupplyEntry(Entry):
    """Something that a batch may hold besides the signal; methods and encoders name it in their `needs`.

    `target` is ``f(store, view, data) -> ecgkit.training.supply.Supply``. It takes the store, the store under the
    model's contract, and the task that labels come from (None without one). Where the store does not hold the supply,
    it returns None or raises a `StoreError`.

    Args:
        command: The command that adds it to a store, for the error where it is missing.
        joinable: Whether it means the same in every store, so that a model may be tested on another store than the one
            that its head was fitted on.
    """

    kind: ClassVar[str] = "supply"

    command: str
    joinable: bool = False


@dataclass(frozen=True, kw_only=True)
class SectionEntry(Entry):
    """A section of the report page; `target` is ``f(rows) -> Section | None``, of `ecgkit.reporting.elements.section`.

    `rows` are pairs of a ``row.json`` and its result row; None where they hold nothing for the section.
    """

    kind: ClassVar[str] = "report section"


@dataclass(frozen=True, kw_only=True)
class CommandEntry(Entry):
    """A command of the `ecgkit` program; `target` is a Typer app (a sub-command group) or a plain function."""

    kind: ClassVar[str] = "command"
