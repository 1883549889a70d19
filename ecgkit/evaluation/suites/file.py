"""A suite: a grid of probes from one YAML file. The grid is encoders x tasks x lead sets x heads x fractions x seeds.

title       title in words
base        another suite, by file or by name; it supplies the keys that this file does not have
runs        run folders, or encoders without pretraining; see `ecgkit.evaluation.features.encoder.EncoderChoice`
models      further encoders, as in ``probe --models``
baselines   true adds the installed baselines, as in ``probe --baselines``
stores      paths of stores, by name
tasks       names of tasks, or ``{task, store, settings, splits}``, where the store is a name or a path
heads       names of heads, or ``{head, settings}``
leads       lead sets, as in ``probe --leads``; default: all leads that the encoder takes
fractions   percentages of the training set; a mapping also gives the number of draws, which else the protocol sets
label_counts   numbers of training records, in the same form as fractions
seed        the first seed; further draws use the seeds after it
protocol, label_set, eval_data   as in ``probe``
epochs      number of epochs of a training from scratch
allow_overlap  as in ``probe``
keep_head      as in ``probe``
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from ecgkit.config import build, read_yaml
from ecgkit.entries import HeadEntry, MethodEntry
from ecgkit.errors import ConfigError, EcgkitError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols import DEFAULT
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.protocols.lead_sets import parse_lead_sets
from ecgkit.evaluation.protocols.protocol import load_protocol
from ecgkit.plugins import host
from ecgkit.store.remote import located
from ecgkit.training.run import read_config

SHIPPED = files(__package__)


@dataclass(frozen=True)
class SuiteTask:
    """A task of a suite.

    Args:
        task: Its name.
        store: Name or path of the store.
        settings: Changes of the task.
        splits: Published split tables; see `ProbeRequest`.
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
        title: Title in words.
        runs: The encoders.
        models: Names of further encoders, as in ``probe --models``; whoever opens the suite adds them to `runs`.
        baselines: Whether to add the installed encoders without weights, each with its own head.
        stores: Paths of stores by name.
        tasks: The tasks.
        heads: The heads.
        leads: Names of lead sets; an empty name means all leads that the encoder takes.
        fractions: Number of draws for each percentage of the training set; None for the protocol's number.
        label_counts: Number of draws for each number of training records; None for the protocol's number.
        seed: The first seed.
        protocol: Name of the protocol.
        label_set: Label set; see `ProbeRequest`.
        eval_data: Another store to test on; see `ProbeRequest`.
        epochs: Epochs of a training from scratch.
        allow_overlap: Continue even if pretraining saw test records.
        keep_head: Keep the fitted head with each result.
    """

    title: str = ""
    runs: tuple[EncoderChoice, ...] = ()
    models: tuple[str, ...] = ()
    baselines: bool = False
    stores: dict[str, str] = field(default_factory=dict)
    tasks: tuple[SuiteTask, ...] = ()
    heads: tuple[SuiteHead, ...] = (SuiteHead("linear"),)
    leads: tuple[str, ...] = ("",)
    fractions: dict[float, int | None] = field(default_factory=lambda: {100.0: 1})
    label_counts: dict[int, int | None] = field(default_factory=dict)
    seed: int = 0
    protocol: str = DEFAULT
    label_set: Literal["", "exact", "shipped"] = ""
    eval_data: str = ""
    epochs: int | None = None
    allow_overlap: bool = False
    keep_head: bool = True

    def check(self) -> None:
        """Raise if the suite gives no result.

        Raises:
            ConfigError: The suite names no encoder, task, head or fraction, or a fraction or a number of draws is out
                of range.
        """
        for name in ("runs", "tasks", "heads", "fractions"):
            instead = {"fractions": self.label_counts, "runs": self.baselines}
            if not getattr(self, name) and not instead.get(name):
                hint = "Name one: ecgkit probe RUN --suite FILE." if name == "runs" else ""
                raise ConfigError(f"a suite without {name}", f"at least one of its {name}", hint)
        for percent, draws in self.fractions.items():
            if not 0 < percent <= 100 or (draws is not None and draws < 1):
                asked = f"fractions: {percent:g}" + ("" if draws is None else f" with {draws} draws")
                raise ConfigError(asked, "a per cent above 0 and up to 100; 1 draw or more")
        for count, draws in self.label_counts.items():
            if count < 1 or (draws is not None and draws < 1):
                raise ConfigError(f"label_counts: {count} with {draws} draws", "1 record or more; 1 draw or more")
        for encoder in self.runs:
            encoder.check()

    def left_out(self) -> dict[str, str]:
        """Return the names of stores without a path, by task."""
        return {task.task: task.store for task in self.tasks if self.store(task) is None}

    def store(self, task: SuiteTask) -> str | None:
        """Return the path of a task's store; None if only its name is known."""
        if task.store in self.stores:
            return self.stores[task.store]
        return task.store if task.store and Path(task.store).exists() else None

    def amounts(self) -> dict[Amount, int]:
        """Return the number of draws of each amount of training records, in ascending order."""
        protocol = load_protocol(self.protocol)
        wanted = {
            **{Amount(percent): draws for percent, draws in sorted(self.fractions.items())},
            **{Amount(count=count): draws for count, draws in sorted(self.label_counts.items())},
        }
        return {amount: draws or protocol.draws(amount) for amount, draws in wanted.items()}


def read_suite(name: str) -> Suite:
    """Read a suite from a file, or read a suite that ecgkit ships, by its name.

    Raises:
        ConfigError: There is no such suite, or it has an unknown key or value.
    """
    return _suite(_values(name, ()), name)


def suite_of(values: Mapping[str, Any], *, source: str) -> Suite:
    """Build a suite from the keys of a suite file, including ``base``.

    Args:
        values: The keys.
        source: Origin of the values, for messages.

    Raises:
        ConfigError: A key or value is not valid.
    """
    own = dict(values)
    base = own.pop("base", None)
    return _suite({**(_values(str(base), ()) if base else {}), **own}, source)


def _suite(values: Mapping[str, Any], name: str) -> Suite:
    lists = ("runs", "models", "tasks", "heads", "leads", "fractions", "label_counts")
    suite = build(Suite, {key: value for key, value in values.items() if key not in lists}, source=name)
    items: dict[str, Any] = {
        key: tuple(_item(kind, first, item, f"{name}: {key}") for item in _listed(values[key], f"{name}: {key}"))
        for key, kind, first in (
            ("runs", EncoderChoice, "run"),
            ("tasks", SuiteTask, "task"),
            ("heads", SuiteHead, "head"),
        )
        if key in values
    }
    if "models" in values:
        items["models"] = tuple(map(str, _listed(values["models"], f"{name}: models")))
    if "leads" in values:
        items["leads"] = tuple(_lead_sets(_listed(values["leads"], f"{name}: leads")))
    for key, kind in (("fractions", float), ("label_counts", int)):
        if key in values:
            items[key] = _draws(values[key], kind, f"{name}: {key}")
    return replace(suite, **items)


def _values(name: str, through: tuple[str, ...]) -> dict[str, Any]:
    """Return the keys of a suite, including those of its base."""
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
    """Build one item of a list in a suite; a text is taken as the item's first field."""
    return build(kind, {first: item} if isinstance(item, str) else item, source=source)


def _listed(value: Any, source: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{source} holds {str(value)[:80]!r}", "a list")
    return value


def _lead_sets(names: Sequence[Any]) -> Iterator[str]:
    """Yield the names of lead sets. YAML may read names such as ``12`` as numbers."""
    for name in names:
        yield from [given.name for given in parse_lead_sets(str(name))] if str(name) else [""]


def _draws(value: Any, kind: type[Any], source: str) -> dict[Any, int | None]:
    """Return the number of draws of each amount; for a list, the protocol sets them."""
    expected = "amounts as a list, or as a mapping from each amount to its number of draws"
    pairs = value.items() if isinstance(value, Mapping) else [(amount, None) for amount in _listed(value, source)]
    found: dict[Any, int | None] = {}
    for amount, draws in pairs:
        if isinstance(amount, bool) or not isinstance(amount, int | kind):
            raise ConfigError(f"{source} holds {amount!r}", expected)
        if isinstance(draws, bool) or not isinstance(draws, int | None):
            raise ConfigError(f"{source}: {amount:g} gets {draws!r} draws", expected)
        found[kind(amount)] = draws
    return found


def requests_of(
    suite: Suite, *, device: str = "auto", workers: int = 1, gpus: int = 0, dask: str = "", cache: str | None = ""
) -> list[ProbeRequest]:
    """Return the requests of all probes of a suite. Probes that share features follow each other.

    Args:
        suite: The suite with its encoders and stores; tasks without a store are left out.
        device: Device to compute on.
        workers: Number of processes that encode records.
        gpus: Number of GPUs to encode records on.
        dask: Address of a Dask scheduler whose workers encode records.
        cache: Folder of cached features; see `ProbeRequest`.

    Raises:
        ConfigError: The suite gives no result.
        StoreError: A remote store cannot be read.
    """
    suite.check()
    suite = replace(suite, eval_data=str(located(suite.eval_data)) if suite.eval_data else "")
    here = [(task, store) for task in suite.tasks if (store := suite.store(task)) is not None]
    if not here:
        wanted = ", ".join(sorted({task.store or "?" for task in suite.tasks}))
        raise ConfigError(f"no store for any task, of {wanted}", "at least one", "Give its path: --store NAME=PATH.")
    places = {store: str(located(store)) for store in dict.fromkeys(store for _, store in here)}
    return [
        replace(request, amount=amount, seed=seed, seeds=draws, workers=workers, gpus=gpus, dask=dask)
        for encoder, heads in _with_heads(suite)
        for task, store in sorted(here, key=lambda pair: pair[1])
        for leads in suite.leads
        for head in heads
        for request in [_request(suite, encoder, task, places[store], leads, head, device, cache)]
        for amount, draws in ({Amount(): 1} if learns_nothing(head.head) else suite.amounts()).items()
        for seed in range(suite.seed, suite.seed + draws)
    ]


def _with_heads(suite: Suite) -> Iterator[tuple[EncoderChoice, tuple[SuiteHead, ...]]]:
    """Yield each encoder with its heads. A training from scratch and a baseline have their own."""
    for encoder in suite.runs:
        yield encoder, suite.heads[: 1 if encoder.weights == "scratch" else None]
    for entry in host().entries(MethodEntry).values() if suite.baselines else ():
        if entry.baseline:
            yield EncoderChoice(method=entry.name, weights="none"), (SuiteHead(entry.baseline),)


def learns_nothing(head: str) -> bool:
    """Return whether a head learns nothing from training records, so that all amounts give the same result."""
    entry = host().entries(HeadEntry).get(head)
    return bool({"method", "logits"} & set(entry.needs if entry else ()))


def _request(
    suite: Suite,
    encoder: EncoderChoice,
    task: SuiteTask,
    store: str,
    leads: str,
    head: SuiteHead,
    device: str,
    cache: str | None,
) -> ProbeRequest:
    return ProbeRequest(
        store,
        task.task,
        encoder,
        head=head.head,
        head_settings=head.settings,
        leads=leads,
        epochs=suite.epochs,
        protocol=suite.protocol,
        splits=task.splits,
        label_set=suite.label_set,
        task_settings=task.settings,
        eval_data=suite.eval_data,
        allow_overlap=suite.allow_overlap,
        keep_head=suite.keep_head,
        device=device,
        cache=cache,
        also=also_read(suite.heads, encoder),
    )


def also_read(heads: Sequence[SuiteHead], encoder: EncoderChoice) -> tuple[str, ...]:
    """Return the features that the heads of a suite read, as far as the encoder's family gives them."""
    entries = [host().entries(HeadEntry).get(head.head) for head in heads]
    needs = {need for entry in entries if entry is not None for need in entry.needs}
    with suppress(EcgkitError):  # the encoder's probes will report the error
        entry = read_config(Path(encoder.run))[0] if encoder.run else host().get(MethodEntry, encoder.method)
        return tuple(sorted(needs & {"pooled", *entry.features}))
    return ()
