"""``ecgkit.prepare``: make what a training, a probe or an embedding reads from a store, before it starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgkit.api.arguments import PathLike, Settings, assignments, path_or_none
from ecgkit.choices import notes_choices
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError
from ecgkit.methods import chosen_config
from ecgkit.plugins import host
from ecgkit.progress import Progress, silent
from ecgkit.store.reader import Store
from ecgkit.store.views import view_folder
from ecgkit.training.groundwork import Groundwork
from ecgkit.training.run import read_config
from ecgkit.workspace.defaults import the_store


@dataclass(frozen=True)
class Prepared:
    """What was prepared.

    Args:
        store: The store.
        method: The method family.
        signal: The input of the model, in words.
        added: Supplies that were added to the store, such as ``beats``.
        view: Folder of the view.
        was_there: Whether the view was there already.
        size: Size of the view in bytes.
        records: Number of records in the view.
        usable: Number of records that the model can read.
    """

    store: Path
    method: str
    signal: str
    added: tuple[str, ...]
    view: Path
    was_there: bool
    size: int
    records: int
    usable: int


@notes_choices
def prepare(
    store: PathLike | None = None,
    *,
    for_: str,
    config: PathLike | None = None,
    settings: Settings = (),
    workers: int | None = None,
    dask: str = "",
    progress: Progress = silent,
) -> Prepared:
    """Make what a method reads from a store: R peaks, entities read by the lexicon, and the view.

    The view is the store under the method's signal contract: at its rate, filtered, cut to its window. A training, a
    probe or an embedding makes what is missing in the same way. To prepare first is worthwhile where many processes or
    machines will wait for it. If the work is stopped, the same call continues where it stopped.

    Args:
        store: The store. By default the only store of the current folder.
        for_: A method family such as ``kmerl``, with a preset such as ``kmerl:base``, or a run folder. Without a preset
            it is the method's first.
        config: YAML file with settings of the method.
        settings: Single settings of the method.
        workers: Number of processes. By default as many as pay for the size of the store. In a script it is 1, because
            every process runs an unguarded script again.
        dask: Address of a Dask scheduler to use instead.
        progress: Called with stage, records done and records in all.

    Raises:
        StoreError: `store` is not a store, or it lacks something that cannot be added without a choice.
        LeadError: The store has none of the method's leads.
        PluginError: There is no such method.
        ConfigError: A preset or setting does not fit, or both `workers` and `dask` are given.
        OutputError: The view cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed. What is done is kept.
    """
    entry, chosen = _method_of(for_, config, settings)
    opened = Store(the_store(store, f"ecgkit prepare --for {for_}"))
    groundwork = Groundwork(entry, chosen, opened, adds=True)
    missing, there = groundwork.missing(), groundwork.has_view()
    view = groundwork.lay(progress, workers, dask)
    folder = view_folder(opened, chosen.signal)
    return Prepared(
        store=opened.path,
        method=entry.name,
        signal=str(chosen.signal),
        added=missing,
        view=folder,
        was_there=there,
        size=sum(file.stat().st_size for file in folder.iterdir()),
        records=len(opened),
        usable=int(view.usable.sum()),
    )


def _method_of(name: str, config: PathLike | None, settings: Settings) -> tuple[MethodEntry, Any]:
    """Return the family and the config that a text names: a family, a family with a preset, or a run."""
    if not name:
        raise ConfigError("missing --for", f"one of {', '.join(host().entries(MethodEntry))}", "Or name a run folder.")
    if name not in host().entries(MethodEntry) and Path(name).is_dir():
        if config is not None or assignments(settings):
            raise ConfigError(f"--config or --set with the run {name}", remedy="Leave it out: a run has its settings.")
        entry, chosen, _ = read_config(Path(name))
        return entry, chosen
    method, _, preset = name.partition(":")
    entry = host().get(MethodEntry, method)
    return entry, chosen_config(entry, preset, path_or_none(config), assignments(settings))[1]
