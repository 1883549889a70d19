"""A suite: a grid of probes from one YAML file, encoders x tasks x lead sets x heads x fractions x seeds.

title       in words
base        another suite, by file or by name, whose keys hold where this file has none
runs        run folders; or encoders without pretraining, `ecgkit.evaluation.probe.request.ModelChoice`
stores      paths of stores by name
tasks       names; or ``{task, store, settings, splits}``, where the store is a name or a path
heads       names; or ``{head, settings}``
leads       lead sets, as of ``probe --leads``; all that the encoder takes where there is none
fractions   per cent of the training part; as a mapping, how many draws each gets, else as the protocol has it
seed        the first; draws take those that follow
protocol    as of ``probe``
epochs      of a training from scratch
allow_overlap  as of ``probe``
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ecgkit.config import build, read_yaml
from ecgkit.entries import HeadEntry, MethodEntry
from ecgkit.errors import ConfigError, EcgkitError
from ecgkit.evaluation.probe.options import ProbeOptions
from ecgkit.evaluation.probe.request import ModelChoice, ProbeCase
from ecgkit.evaluation.protocols import DEFAULT
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.protocols.lead_sets import parse_lead_sets
from ecgkit.evaluation.protocols.protocol import load_protocol
from ecgkit.plugins import host
from ecgkit.training.run import read_config

SHIPPED = files(__package__)


@dataclass(frozen=True)
class SuiteTask:
    """A task of a suite.

    Args:
        task: Its name.
        store: Name or path of the store.
        settings: Changes of the task.
        splits: Published split tables; see `ProbeOptions`.
    """

    task: str
    store: str = ""
    settings: tuple[str, ...] = ()
    splits: str = ""


@dataclass(frozen=True)
class SuiteHead:
    """A head of a suite.

    Args:
        head: Its name.
        settings: Changes of its settings.
    """

    head: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A grid of probes; see the module.

    Args:
        title: In words.
        runs: The encoders.
        stores: Paths by name.
        tasks: The tasks.
        heads: The heads.
        leads: Names of lead sets; an empty one stands for all that the encoder takes.
        fractions: How many draws each fraction gets, by per cent; None for as many as the protocol has.
        seed: The first.
        protocol: Whose choices.
        epochs: Of a training from scratch.
        allow_overlap: Go on where pretraining saw test records.
    """

    title: str = ""
    runs: tuple[ModelChoice, ...] = ()
    stores: dict[str, str] = field(default_factory=dict)
    tasks: tuple[SuiteTask, ...] = ()
    heads: tuple[SuiteHead, ...] = (SuiteHead("linear"),)
    leads: tuple[str, ...] = ("",)
    fractions: dict[float, int | None] = field(default_factory=lambda: {100.0: 1})
    seed: int = 0
    protocol: str = DEFAULT
    epochs: int | None = None
    allow_overlap: bool = False

    def check(self) -> None:
        """Refuse a suite of which nothing can come.

        Raises:
            ConfigError: It names no encoder, task, head or fraction, or a fraction or a number of draws is impossible.
        """
        for name in ("runs", "tasks", "heads", "fractions"):
            if not getattr(self, name):
                hint = "Name one: ecgkit probe RUN --suite FILE." if name == "runs" else ""
                raise ConfigError(f"a suite without {name}", f"at least one of its {name}", hint)
        for percent, draws in self.fractions.items():
            if not 0 < percent <= 100 or (draws is not None and draws < 1):
                asked = f"fractions: {percent:g}" + ("" if draws is None else f" with {draws} draws")
                raise ConfigError(asked, "a per cent above 0 and up to 100; 1 draw or more")
        for model in self.runs:
            model.check()

    def left_out(self) -> dict[str, str]:
        """Return the names of stores that nobody gave a path for, by task."""
        return {task.task: task.store for task in self.tasks if self.store(task) is None}

    def store(self, task: SuiteTask) -> str | None:
        """Return the path of a task's store; None where only a name is known."""
        if task.store in self.stores:
            return self.stores[task.store]
        return task.store if task.store and Path(task.store).exists() else None


@dataclass(frozen=True)
class Cell:
    """One probe of a suite.

    Args:
        case: The probe, in plain values.
        seeds: How many draws its fraction gets.
    """

    case: ProbeCase
    seeds: int

    @property
    def name(self) -> str:
        """What it is called in messages."""
        case, options = self.case, self.case.options
        model = Path(case.model.run).name if case.model.run else f"{case.model.method} {case.model.weights}"
        leads = f", leads {options.leads}" if options.leads else ""
        return f"{model}, {case.task}, {options.head}{leads}, {options.fraction:g} %, seed {options.seed}"


def read_suite(name: str) -> Suite:
    """Read a suite from a file, or one that ecgkit ships by its name.

    Raises:
        ConfigError: There is none, or it holds something that a suite does not.
    """
    values = _values(name, ())
    lists = ("runs", "tasks", "heads", "leads", "fractions")
    suite = build(Suite, {key: value for key, value in values.items() if key not in lists}, source=name)
    items: dict[str, Any] = {
        key: tuple(_item(kind, first, item, f"{name}: {key}") for item in _listed(values[key], f"{name}: {key}"))
        for key, kind, first in (
            ("runs", ModelChoice, "run"),
            ("tasks", SuiteTask, "task"),
            ("heads", SuiteHead, "head"),
        )
        if key in values
    }
    if "leads" in values:
        items["leads"] = tuple(_lead_sets(_listed(values["leads"], f"{name}: leads")))
    if "fractions" in values:
        items["fractions"] = _fractions(values["fractions"], name)
    return replace(suite, **items)


def _values(name: str, through: tuple[str, ...]) -> dict[str, Any]:
    """Return the keys of a suite, those of its base included."""
    if name in through:
        raise ConfigError(f"suite {name} is its own base", "a base that ends")
    shipped = SHIPPED / f"{name}.yaml"
    if not name.endswith((".yaml", ".yml")) and name.isidentifier() and shipped.is_file():
        values: dict[str, Any] = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    elif name.endswith((".yaml", ".yml")):
        values = read_yaml(Path(name))
    else:
        names = sorted(Path(str(file)).stem for file in SHIPPED.iterdir() if str(file).endswith(".yaml"))
        raise ConfigError(f"no suite {name!r}", f"a YAML file, or one of {', '.join(names)}")
    base = values.pop("base", None)
    return {**(_values(str(base), (*through, name)) if base else {}), **values}


def _item(kind: type[Any], first: str, item: Any, source: str) -> Any:
    """Build what a list of a suite holds; a text stands for its first field."""
    return build(kind, {first: item} if isinstance(item, str) else item, source=source)


def _listed(value: Any, source: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{source} holds {str(value)[:80]!r}", "a list")
    return value


def _lead_sets(names: Sequence[Any]) -> Iterator[str]:
    """Yield the names of lead sets; ``12`` and the like may be numbers in YAML."""
    for name in names:
        yield from [given.name for given in parse_lead_sets(str(name))] if str(name) else [""]


def _fractions(value: Any, source: str) -> dict[float, int | None]:
    """Return draws by per cent; a list leaves them to the protocol."""
    expected = "per cents as a list, or as a mapping from each to its number of draws"
    pairs = value.items() if isinstance(value, Mapping) else [(percent, None) for percent in _listed(value, source)]
    found: dict[float, int | None] = {}
    for percent, draws in pairs:
        if isinstance(percent, bool) or not isinstance(percent, int | float):
            raise ConfigError(f"{source}: fractions holds {percent!r}", expected)
        if isinstance(draws, bool) or not isinstance(draws, int | None):
            raise ConfigError(f"{source}: fractions: {percent:g} gets {draws!r} draws", expected)
        found[float(percent)] = draws
    return found


def cells(suite: Suite, *, device: str = "auto", cache: str | None = "") -> list[Cell]:
    """Return all probes of a suite, those that share features one after the other.

    Args:
        suite: With its runs and stores; tasks without a store are left out.
        device: What to compute on.
        cache: See `ProbeCase`.

    Raises:
        ConfigError: Nothing can come of the suite.
    """
    suite.check()
    here = [(task, store) for task in suite.tasks if (store := suite.store(task)) is not None]
    if not here:
        wanted = ", ".join(sorted({task.store or "?" for task in suite.tasks}))
        raise ConfigError(f"no store for any task, of {wanted}", "at least one", "Give its path: --store NAME=PATH.")
    return [
        Cell(ProbeCase(store, task.task, model, options, cache=cache), draws)
        for model in suite.runs
        for task, store in sorted(here, key=lambda pair: pair[1])
        for leads in suite.leads
        # A training from scratch has a head of its own, whatever the others get.
        for head in suite.heads[: 1 if model.weights == "scratch" else None]
        for percent, draws in _draws(head, suite)
        for options in _options(suite, task, head, leads, model, percent, draws, device)
    ]


def _draws(head: SuiteHead, suite: Suite) -> list[tuple[float, int]]:
    """Return fractions and draws: one of the whole for a head that learns nothing from the training part."""
    entry = host().entries(HeadEntry).get(head.head)
    if {"method", "logits"} & set(entry.needs if entry else ()):
        return [(100.0, 1)]
    protocol = load_protocol(suite.protocol)
    return [(percent, n or protocol.draws(Amount(percent))) for percent, n in sorted(suite.fractions.items())]


def _options(
    suite: Suite,
    task: SuiteTask,
    head: SuiteHead,
    leads: str,
    model: ModelChoice,
    percent: float,
    draws: int,
    device: str,
) -> Iterator[ProbeOptions]:
    """Yield the options of every draw of a fraction."""
    first = ProbeOptions(
        head=head.head, epochs=suite.epochs, device=device, head_settings=head.settings, leads=leads,
        task_settings=task.settings, allow_overlap=suite.allow_overlap, also=_also(suite, model),
        fraction=percent, protocol=suite.protocol, splits=task.splits,
    )  # fmt: skip
    yield from (replace(first, seed=seed) for seed in range(suite.seed, suite.seed + draws))


def _also(suite: Suite, model: ModelChoice) -> tuple[str, ...]:
    """Return the features that some head of the suite reads, as far as the encoder's family gives them."""
    heads = [host().entries(HeadEntry).get(head.head) for head in suite.heads]
    needs = {need for head in heads if head is not None for need in head.needs}
    with suppress(EcgkitError):  # what is wrong with the encoder, its cells will say
        entry = read_config(Path(model.run))[0] if model.run else host().get(MethodEntry, model.method)
        return tuple(sorted(needs & {"pooled", *entry.features}))
    return ()


def shared_by(cell: Cell) -> str:
    """Return what cells of one encoder, task, lead set and head have in common: they are prepared once."""
    case = cell.case
    # The weights of an encoder without a run are drawn from the seed.
    options = replace(case.options, fraction=100.0, seed=0 if case.model.run else case.options.seed)
    return repr(asdict(replace(case, options=options)))
