"""The entries that a plugin registers: each names a thing, describes it in one line, and says where its code is.

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
    """Guard the import of a plugin's code: prints go to stderr, away from any JSON, and failures raise `PluginError`.

    A `SystemExit`, or an exception class of the plugin's own, must not end the program. Ctrl-C still does.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"{type(error).__name__}: {error}") from error


def load_target(target: str, owner: str) -> Any:
    """Import and return the object that an import path names.

    Args:
        target: ``"package.module:attribute"``.
        owner: Name of the entry's owner, for the error.

    Raises:
        PluginError: The object cannot be imported, for any reason.
    """
    try:
        with loading():
            return resolve_name(target)
    except PluginError as error:
        raise PluginError(f"{owner} cannot be loaded from {target!r} ({error})") from error


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A name, one line about it, and the import path of its code.

    Args:
        name: Name that the user types, such as ``stmem`` or ``linear``; unique within its kind.
        summary: One line for listings.
        target: ``"package.module:attribute"``, imported on first use.
    """

    kind: ClassVar[str] = "entry"

    name: str
    summary: str
    target: str

    def load(self) -> Any:
        """Import and return the object that `target` names.

        Raises:
            PluginError: The object cannot be imported.
        """
        return load_target(self.target, f"{self.kind} {self.name!r}")

    def check(self) -> None:
        """Check the fields that every listing shows. The plugin host calls this before it accepts an entry.

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
        paper: Title and identifier of the paper, as listings show it.
        needs: Contents of a training batch: ``signal``, and names of supplies such as ``beats`` or ``reports``.
        features: Fields of `ecgkit.methods.Features` that the encoder fills besides ``pooled``.
        importer: Import path of ``f(state) -> (config, state)`` for published weights; empty if there is none. The
            function may return a third item: the names of the published parameters that it leaves out.
        demo: Settings for ``ecgkit demo``: ``preset``, and ``set`` with assignments as for --set. None for no demo.
        pretrains: Whether ``ecgkit pretrain`` can train the family. False for one that only encodes, such as an
            encoder whose weights are imported: its `target` is an `ecgkit.methods.EncoderOnly`.
        baseline: Head with which ``ecgkit probe --baselines`` adds the encoder to a table, for a family without weights
            to train; empty for all others.
        containers: Keys under which a published file may hold the weights, in the order in which they are tried. A
            dot leads into a dict within a dict.
    """

    kind: ClassVar[str] = "method"

    config: str
    presets: str
    paper: str
    needs: tuple[str, ...] = ("signal",)
    features: tuple[str, ...] = ()
    importer: str = ""
    demo: Mapping[str, Any] | None = field(default=None, compare=False)
    pretrains: bool = True
    baseline: str = ""
    containers: tuple[str, ...] = ("model.state_dict", "model", "state_dict")


@dataclass(frozen=True, kw_only=True)
class WeightsEntry(Entry):
    """Published weights; `target` is ``"package:file.yaml"``, a data file inside that package that holds their card.

    The file maps names to cards, which hold the fields of `ecgkit.training.weight_cards.WeightCard`.
    """

    kind: ClassVar[str] = "weights"


@dataclass(frozen=True, kw_only=True)
class HeadEntry(Entry):
    """A head, which turns features into predictions; `target` has the `ecgkit.evaluation.heads.Head` interface.

    Args:
        needs: Fields of `ecgkit.methods.Features` that the head reads, such as ``pooled`` or ``per_lead``. Two other
            values: ``method`` for a head whose `reader` makes its features from the whole method, and ``encoder`` for a
            head that trains the encoder itself, with the interface of `ecgkit.evaluation.heads.fine_tune.FineTune`.
        config: Import path of the frozen dataclass of the head's settings, which the head gets as ``config``; empty for
            a head without settings.
        regressor: Import path of the head's class for regression tasks; empty for a head that only handles classes.
    """

    kind: ClassVar[str] = "head"

    needs: tuple[str, ...] = ("pooled",)
    config: str = ""
    regressor: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """A dataset layout; `target` is a subclass of `ecgkit.datasets.base.Dataset`.

    Args:
        priority: Layouts with a higher priority are tried first. If several layouts recognise a folder, the first wins.
        general: Whether any dataset may have this layout, so that its name says nothing about the data.
    """

    kind: ClassVar[str] = "dataset"

    priority: int = 0
    general: bool = False

    def check(self) -> None:
        """Check the fields, including that the priority is a whole number."""
        super().check()
        if not isinstance(self.priority, int):
            raise PluginError(f"dataset {self.name!r} has priority {self.priority!r}", "a whole number")


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry(Entry):
    """A published archive; `target` is ``"package:file.yaml"``, a data file inside that package: its card.

    The file holds the fields of `ecgkit.archives.card.ArchiveCard`. If it says how the archive's folder is read, the
    archive is a dataset layout too.
    """

    kind: ClassVar[str] = "archive"


@dataclass(frozen=True, kw_only=True)
class TaskEntry(Entry):
    """An evaluation task; `target` is ``"package:file.yaml"``, a data file inside that package."""

    kind: ClassVar[str] = "task"


@dataclass(frozen=True, kw_only=True)
class ProtocolEntry(Entry):
    """A probe protocol; `target` is ``"package:file.yaml"``, a data file inside that package.

    The file holds the fields of `ecgkit.evaluation.protocols.protocol.Protocol`.
    """

    kind: ClassVar[str] = "protocol"


@dataclass(frozen=True, kw_only=True)
class DetectorEntry(Entry):
    """An R-peak detector; `target` is ``f(signal, fs, leads) -> list`` on batches.

    The function takes ``signal [B, L, T]`` in mV with NaN for missing samples, the sampling rate in Hz, and the names
    of the L rows. It returns B arrays of ascending sample indices at that rate. The peaks of a record may depend only
    on that record.

    Args:
        leads: Leads that the detector gets by default, in this order, as far as the record has them. If a record has
            none of them, the detector gets all leads of the record.
        version: Version that is stored with the peaks. Raise it when the same signal may give other peaks.
        distribution: Library that finds the peaks; its version is stored with the peaks too. Empty if there is none.
        settings: Import path of a frozen dataclass of settings. `target` then takes an instance as a fourth argument,
            and the settings are stored with the peaks. Empty for a detector without settings.
    """

    kind: ClassVar[str] = "detector"

    leads: tuple[str, ...] = ()
    version: str = "1"
    distribution: str = ""
    settings: str = ""


@dataclass(frozen=True, kw_only=True)
class TextEncoderEntry(Entry):
    """A text encoder; `target` is an `ecgkit.text.encoder.TextEncoder` class.

    Args:
        caution: What a user should know before a training with it, as a clause; empty for nothing.
    """

    kind: ClassVar[str] = "text encoder"

    caution: str = ""


@dataclass(frozen=True, kw_only=True)
class KnowledgeBackendEntry(Entry):
    """A reader of reports; `target` is a class with the interface of `ecgkit.knowledge.backends.Backend`.

    Args:
        settings: Import path of a frozen dataclass of settings. `target` is then called with an instance of it, with
            the folder where it may keep answers, and with a function that takes a line for the user. Empty for a
            backend without settings, whose `target` is called without arguments.
    """

    kind: ClassVar[str] = "knowledge backend"

    settings: str = ""


@dataclass(frozen=True, kw_only=True)
class LoggerEntry(Entry):
    """A program that shows the curves of a training; `target` is an `ecgkit.training.loggers.base.Logger` class."""

    kind: ClassVar[str] = "logger"


@dataclass(frozen=True, kw_only=True)
class AugmentationEntry(Entry):
    """An augmentation; `target` is a frozen dataclass of settings, an `ecgkit.signal.augment.base.Augmentation`."""

    kind: ClassVar[str] = "augmentation"


@dataclass(frozen=True, kw_only=True)
class SupplyEntry(Entry):
    """A supply: an input that a batch may hold besides the signal. Methods and encoders name it in their `needs`.

    `target` is ``f(store, view, data) -> ecgkit.training.supply.Supply``. Its arguments are the store, the view of the
    store under the model's signal contract, and the task that labels come from (None without a task). If the store does
    not hold the supply, the function returns None or raises a `StoreError`.

    Args:
        command: Command that adds the supply to a store, for the error if it is missing. ``{store}`` stands for the
            path of the store.
        holds: Import path of ``f(store) -> bool``, which tells quickly whether a store has the supply. Empty if only
            `target` can tell.
        prepare: Import path of ``f(store, executor, progress)``, which adds the supply with the defaults of `command`.
            Empty if it cannot be added without a choice of the user. `executor` is None for work in this process.
        origin: Import path of ``f(store) -> str``, which says where the values of a store come from, such as a detector
            or a model. Empty if there is nothing to say.
        joinable: Whether the supply means the same in every store. If so, a model may be tested on another store than
            the one that its head was fitted on.
        setting: Import path of a dataclass with which a method's config chooses among the values of a store. The
            functions above then take the config's own, or one with its defaults, as their last argument.
    """

    kind: ClassVar[str] = "supply"

    command: str
    joinable: bool = False
    holds: str = ""
    prepare: str = ""
    origin: str = ""
    setting: str = ""


@dataclass(frozen=True, kw_only=True)
class SectionEntry(Entry):
    """A section of the report page; `target` is ``f(rows) -> Section | None``, of `ecgkit.reporting.elements.section`.

    `rows` are pairs of a ``row.json`` and its result row. The function returns None if the section has nothing to show.
    """

    kind: ClassVar[str] = "report section"


@dataclass(frozen=True, kw_only=True)
class CommandEntry(Entry):
    """A command of the `ecgkit` program; `target` is a Typer app (a sub-command group) or a plain function."""

    kind: ClassVar[str] = "command"
