"""What a study takes, by arithmetic: hours on a GPU and room on the disk.

The floating-point operations of a record are counted on a small simulated store, forward and backward. A GPU is taken
to reach `UTILISATION` of the peak of an H100 or H200. Loading, validation and the fit of heads are not counted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ecgkit.config import fingerprint, to_dict
from ecgkit.entries import MethodEntry
from ecgkit.errors import EcgkitError
from ecgkit.ingestion import ingest
from ecgkit.signal.spec import SignalSpec
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store
from ecgkit.store.records import RecordTable
from ecgkit.studies.file import StudyStore
from ecgkit.studies.grid import Asked, Run
from ecgkit.studies.scale import TASK
from ecgkit.tasks.loading import find_task
from ecgkit.text.config import TextConfig
from ecgkit.training.cost import PEAKS_BF16, Cost
from ecgkit.training.groundwork import Groundwork
from ecgkit.training.options import PretrainOptions
from ecgkit.training.processes import Processes
from ecgkit.training.setup import set_up

GPU, UTILISATION = "H100", 0.4
TRAINED = 0.8  # share of the records in folds 1-8
STAND_IN = 160  # records of the simulated store
FORWARD = 1 / 3  # share of the operations of a step without its backward pass
CHECKPOINTS = 2 * 3 + 1  # copies of the weights in a run folder while it is trained: two checkpoints with two moments
BYTES = 4.0

Counter = Callable[[Run], "Cost | str"]


@dataclass(frozen=True)
class CellCost:
    """What a cell takes.

    Args:
        hours: Hours on one GPU; None if they are not known.
        disk: Bytes that stay on the disk; None if they are not known.
        note: Why something is not known; empty if everything is.
    """

    hours: float | None
    disk: float | None
    note: str = ""


def records_of(store: StudyStore, path: Path | None, stores: dict[str, StudyStore]) -> int:
    """Return the number of records of a store: counted if it is there, else as the study says; 0 if unknown."""
    if path is not None and path.exists():
        return len(RecordTable(path))
    joined = [records_of(stores[name], None, stores) for name in store.join]
    return store.records or store.simulate or (sum(joined) if all(joined) else 0)


def training_cost(run: Run, cost: "Cost | str", records: int) -> CellCost:
    """Return what a training takes.

    Args:
        run: The run.
        cost: Cost of a record, or why it is not known.
        records: Number of records of its store; 0 if unknown.
    """
    if isinstance(cost, str):
        return CellCost(None, None, cost)
    disk = BYTES * cost.parameters * CHECKPOINTS
    if not records:
        return CellCost(None, disk, f"the number of records of {run.training.data} is not known")
    trained = min(TRAINED * records, run.training.subset or records)
    _, _, config = run.resolve()
    return CellCost(_hours(cost.flops * trained * config.recipe.epochs), disk)


def probe_cost(asked: Asked, cost: "Cost | str | None", records: int, epochs: int) -> CellCost:
    """Return what the probes of a cell take: each record is encoded once, or trained on in each epoch.

    Args:
        asked: The probes.
        cost: Cost of a record of the encoder's method, or why it is not known; None for an encoder outside the study.
        records: Number of records of the store; 0 if unknown.
        epochs: Epochs of fine-tuning or of a training from scratch; 0 for a frozen encoder.
    """
    if cost is None or isinstance(cost, str) or not records:
        return CellCost(None, None, cost if isinstance(cost, str) else "")
    per_record = FORWARD + sum(request.amount.percent / 100 * TRAINED * epochs for request in asked.requests)
    return CellCost(_hours(cost.flops * records * per_record), None)


def view_bytes(spec: SignalSpec, records: int) -> float:
    """Return the bytes of a store's view under a signal contract."""
    return BYTES * records * len(spec.leads) * (spec.window or spec.seconds) * spec.fs


def _hours(flops: float) -> float:
    return flops / (PEAKS_BF16[GPU] * UTILISATION) / 3600


@contextmanager
def counter() -> Iterator[Counter]:
    """Yield a function that counts the cost of a run's record, each config once, on a simulated store."""
    known: dict[str, Cost | str] = {}
    with TemporaryDirectory() as folder:
        made: list[Store] = []

        def count(run: Run) -> "Cost | str":
            if not made:
                made.append(_stand_in(Path(folder)))
            entry, _, config = run.resolve()
            key = fingerprint(entry.name, to_dict(replace(config, recipe=type(config.recipe)())))
            if key not in known:
                known[key] = _count(entry, config, made[0], bool(run.training.task))
            return known[key]

        yield count


def _stand_in(folder: Path) -> Store:
    simulate_cohort(folder / "cohort", records=STAND_IN, seed=0)
    ingest(folder / "cohort", folder / "cohort.zarr")
    return Store(folder / "cohort.zarr")


def _count(entry: MethodEntry, config: Any, store: Store, supervised: bool) -> "Cost | str":
    """Count the cost of a record; texts are read by the built-in encoder, whose cost is paid once per text."""
    texts = {name: TextConfig(width=part.width) for name, part in vars(config).items() if isinstance(part, TextConfig)}
    config = replace(config, **texts)
    task = find_task(TASK) if supervised else None
    try:
        Groundwork(entry, config, store, adds=True).check(lambda stage, done, total: None)
        return set_up(entry, config, store, PretrainOptions(), Processes(), task, preview_only=True).cost()
    except (EcgkitError, ValueError, RuntimeError) as error:
        return " ".join(str(error).split())
