"""What a study takes, by arithmetic: hours on a GPU and room on the disk.

The floating-point operations of a record are counted on a small simulated store: those of a training step, and those
of the encoder alone. A GPU is taken to reach `UTILISATION` of its peak. Loading, validation during a pretraining, the
fit of heads and the text encoder are not counted. A record is encoded once for all cells that read the same features.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ecgkit.config import fingerprint, to_dict
from ecgkit.entries import HeadEntry, MethodEntry
from ecgkit.errors import EcgkitError
from ecgkit.evaluation.analyses.perturbations import parse_disturbances
from ecgkit.evaluation.heads.end_to_end import RECIPE
from ecgkit.evaluation.heads.settings import head_config
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.ingestion import ingest
from ecgkit.knowledge.source import EntitySource
from ecgkit.plugins import host
from ecgkit.signal.compact import record_type
from ecgkit.signal.spec import SignalSpec
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store
from ecgkit.store.records import RecordTable
from ecgkit.studies.file import StudyStore
from ecgkit.studies.grid import Asked, Run
from ecgkit.studies.scale import TASK
from ecgkit.tasks.loading import find_task
from ecgkit.text.config import TextConfig
from ecgkit.training.cost import PEAKS_BF16, Cost, forward_flops
from ecgkit.training.groundwork import Groundwork
from ecgkit.training.options import PretrainOptions
from ecgkit.training.processes import Processes
from ecgkit.training.setup import LABELS, Setup, set_up

GPU, UTILISATION = "H100", 0.4
TRAINED, HELD_OUT = 0.8, 0.1  # shares of the records in folds 1-8, and in each of folds 9 and 10
STAND_IN = 160  # records of the simulated store
STEP = 3  # operations of a training step per operation of its forward pass
COPIES = 2  # checkpoints that a run folder keeps while it is trained
DRAWS, MOST_DRAWS, PRECISION = 4, 64, 0.1  # of masks, and the standard error of their mean
BYTES, BYTES_OF_TOKENS = 4, 2
TOKENS, LAYERS, PER_LEAD = "tokens", "layers", "per_lead"

Counter = Callable[[MethodEntry, Any], "Cost | str"]


@dataclass(frozen=True)
class CellCost:
    """What a cell takes.

    Args:
        hours: Hours on one GPU; None if they are not known.
        disk: Bytes that it needs; None if they are not known. For a training, what its folder holds while it runs.
        note: Why something is not known; empty if everything is.
        flops: For a training, floating-point operations per record in each epoch, forward and backward.
        records: For a training, its training records.
        epochs: For a training, its epochs.
    """

    hours: float | None = None
    disk: float | None = None
    note: str = ""
    flops: float = 0.0
    records: int = 0
    epochs: int = 0


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
        return CellCost(note=cost)
    disk = run_bytes(cost.parameters, cost.trained)
    if not records:
        return CellCost(disk=disk, note=f"the number of records of {run.training.data} is not known")
    share = TRAINED + HELD_OUT * run.training.all_folds
    trained = min(round(share * records), run.training.subset or records)
    epochs = run.resolve()[2].recipe.epochs
    return CellCost(hours_of(cost.flops * trained * epochs), disk, "", cost.flops, trained, epochs)


def hours_of(flops: float) -> float:
    """Return the hours that a GPU needs for some floating-point operations."""
    return flops / (PEAKS_BF16[GPU] * UTILISATION) / 3600


def run_bytes(parameters: int, trained: int) -> float:
    """Return the bytes of a run folder while it is trained.

    Each checkpoint holds the weights, two moments of what is trained, and the best weights so far, which stand beside
    the checkpoints too. A finished run keeps one or two copies of the weights.
    """
    return float(BYTES * (COPIES * (2 * parameters + 2 * trained) + parameters))


@dataclass
class ProbeCosts:
    """The costs of probes, cell by cell: what an earlier cell has encoded costs nothing again.

    Args:
        encoded: What earlier cells have encoded.
    """

    encoded: set[tuple[Any, ...]] = field(default_factory=set)

    def of(self, asked: Asked, config: Any, cost: "Cost | str | None", records: Sequence[int]) -> CellCost:
        """Return what the next cell takes.

        Args:
            asked: The probes of the cell.
            config: Config of the encoder's method.
            cost: Cost of a record of it, or why it is not known; None for an encoder outside the study.
            records: Number of records of each of the cell's stores; 0 if unknown.
        """
        if cost is None or isinstance(cost, str):
            return CellCost(note=cost or "")
        if not records or not all(records):
            return CellCost(note=f"the number of records of {' or '.join(asked.stores)} is not known")
        epochs = tuned_epochs(asked.requests[0])
        if epochs:
            per_record = sum(_tuned(request, epochs, records[0]) for request in asked.requests)
            kept = BYTES * cost.encoder_parameters * sum(request.keep_head for request in asked.requests)
            return CellCost(hours_of(cost.encode_flops * per_record), float(kept))
        return self._frozen(asked, config.signal, cost, records)

    def _frozen(self, asked: Asked, spec: SignalSpec, cost: Cost, records: Sequence[int]) -> CellCost:
        first = asked.requests[0]
        needs = {need: _bytes(need, spec, cost) for need in _reads(asked)}
        flops, disk = 0.0, 0.0
        for path, number in zip((first.data, first.eval_data), records, strict=False):
            key = (first.encoder, first.without_draw().seed, path, first.leads)
            passes = 1.0 if key not in self.encoded or not needs else 0.0
            disk += sum(size * number for need, size in needs.items() if (*key, need) not in self.encoded)
            self.encoded |= {key, *((*key, need) for need in needs)}
            flops += cost.encode_flops * len(spec.eval_offsets) * number * (passes + _disturbed(asked))
        return CellCost(hours_of(flops), disk)


def tuned_epochs(request: ProbeRequest) -> int:
    """Return the epochs in which the encoder itself is trained; 0 for a frozen encoder."""
    if request.encoder.weights == "scratch":
        return request.epochs or RECIPE.epochs
    entry = host().entries(HeadEntry).get(request.head)
    if entry is None or "encoder" not in entry.needs:
        return 0
    return int(head_config(entry, request.head_settings).recipe.epochs)


def _tuned(request: ProbeRequest, epochs: int, records: int) -> float:
    """Return how many times a record is encoded to train the encoder, validate each epoch and predict the task."""
    trained = request.amount.count or request.amount.percent / 100 * TRAINED * records
    return epochs * (STEP * trained + HELD_OUT * records) + records


def _reads(asked: Asked) -> tuple[str, ...]:
    """Return the features that a cell caches; none for a head that reads the whole method."""
    if asked.probe.layers:
        return (LAYERS,)
    entry = host().entries(HeadEntry).get(asked.requests[0].head)
    needs = ("pooled",) if entry is None else entry.needs
    return tuple(need for need in needs if need not in ("method", "logits"))


def _bytes(need: str, spec: SignalSpec, cost: Cost) -> float:
    """Return the bytes of a feature of a record."""
    if need == TOKENS:
        return float(BYTES_OF_TOKENS * cost.numbers.get(TOKENS, 0) * len(spec.eval_offsets))
    by_lead = cost.numbers.get("pooled", 0) * len(spec.leads) if need == PER_LEAD else 0
    return float(BYTES * cost.numbers.get(need, by_lead))


def _disturbed(asked: Asked) -> float:
    """Return the test records that perturbations encode again, as a share of all records."""
    found = [parse_disturbances(text) for text in asked.probe.perturb]
    return HELD_OUT * sum(len(each.perturbations) * len(each.levels) for each in found)


def view_bytes(spec: SignalSpec, records: int) -> float:
    """Return the bytes of a store's view under a signal contract."""
    samples = round((spec.window or spec.seconds) * spec.fs)
    return float(records * record_type(len(spec.leads), samples).itemsize)


@contextmanager
def counter() -> Iterator[Counter]:
    """Yield a function that counts the cost of a method's record, each config once, on a simulated store."""
    known: dict[str, Cost | str] = {}
    with TemporaryDirectory() as folder:
        made: list[Store] = []

        def count(entry: MethodEntry, config: Any) -> "Cost | str":
            if not made:
                made.append(_stand_in(Path(folder)))
            key = fingerprint(entry.name, to_dict(replace(config, recipe=type(config.recipe)())))
            if key not in known:
                known[key] = _count(entry, config, made[0])
            return known[key]

        yield count


def _stand_in(folder: Path) -> Store:
    simulate_cohort(folder / "cohort", records=STAND_IN, seed=0)
    ingest(folder / "cohort", folder / "cohort.zarr")
    return Store(folder / "cohort.zarr")


def _count(entry: MethodEntry, config: Any, store: Store) -> "Cost | str":
    """Count the cost of a record.

    Texts are read by the built-in encoder, whose cost is paid once per text, and entities are those of the lexicon.
    """
    parts = vars(config).items()
    texts = {name: TextConfig(width=part.width) for name, part in parts if isinstance(part, TextConfig)}
    entities = {name: EntitySource() for name, part in parts if isinstance(part, EntitySource)}
    config = replace(config, **texts, **entities)
    try:
        groundwork = Groundwork(entry, config, store, adds=True)
        task = find_task(TASK) if LABELS in groundwork.needs else None
        groundwork.check(lambda stage, done, total: None)
        return _mean_cost(set_up(entry, config, store, PretrainOptions(), Processes(), task, preview_only=True))
    except (EcgkitError, ValueError, RuntimeError) as error:
        return " ".join(str(error).split())


def _mean_cost(setup: Setup) -> Cost:
    """Count the cost of a record; where masks decide the size of a step, it is a mean over several draws of them.

    The forward pass of a few draws tells whether they do. Then draws are added until the mean is known to `PRECISION`.
    """
    batch = setup.batch(2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cost = setup.cost()
    drawn = [forward_flops(setup.method, batch, setup.recipe, seed) for seed in range(DRAWS)]
    while len(set(drawn)) > 1 and len(drawn) < MOST_DRAWS and _error(drawn) > PRECISION:
        drawn.append(forward_flops(setup.method, batch, setup.recipe, len(drawn)))
    return replace(cost, flops=cost.flops * (fmean(drawn) / drawn[0] if drawn[0] else 1))


def _error(values: Sequence[float]) -> float:
    """Return the standard error of a mean as a share of it."""
    return stdev(values) / len(values) ** 0.5 / fmean(values)
