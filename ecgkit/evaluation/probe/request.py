"""The request for a probe in plain values: the encoder, the store, the task, the head and their settings.

For example ``Probe(ProbeRequest("ptbxl.zarr", "ptbxl-super", EncoderChoice(run="runs/stmem"))).run(Path("out"))``.
"""

from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Literal

from ecgkit.download.hub import run_name
from ecgkit.errors import ConfigError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.protocols import DEFAULT
from ecgkit.evaluation.protocols.draws import Amount


@dataclass(frozen=True)
class ProbeRequest:
    """Everything that one probe depends on, as values that a YAML file can hold.

    Args:
        data: Path of the store.
        task: Name of a registered task, or path of a task's YAML file.
        encoder: Which encoder to probe; empty if an opened encoder is passed to the probe.
        head: Name of the head; not used by a training from scratch.
        head_settings: Changes of the head's settings, such as ``gate=frozen``.
        leads: The lead set that the encoder is given; empty for all leads of its contract.
        amount: Amount of training records to use.
        seed: Seed of the draw, of the head, and of random weights.
        seeds: Number of results with different seeds that are made together.
        epochs: Epochs of a training from scratch; None for those of the recipe.
        protocol: Name of the protocol; see `ecgkit.evaluation.protocols.protocol`.
        splits: Folder or name prefix of published split tables; empty for the task's own split.
        label_set: ``exact`` for the store's codes, ``shipped`` for the labels of a published table; empty for the
            protocol's choice.
        task_settings: Changes of the task, such as ``icd10.count_on=train``.
        eval_data: Path of another store to test on; see `ecgkit.evaluation.probe.other_store`.
        allow_overlap: Continue even if pretraining, or another part of the task, holds test records or patients. The
            result then states the overlap.
        keep_head: Keep the fitted head with the result, and the encoder that a fine-tuning has trained.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        workers: Number of processes that encode records.
        gpus: Number of GPUs to encode records on, each with a process of its own, instead of `device`.
        dask: Address of a Dask scheduler whose workers encode records, instead of `workers`.
        cache: Folder of cached features; empty for a folder below the run, None for no cache.
        also: Features that other heads will read from the cache later; see `FeatureCache.extract`.
    """

    data: str
    task: str
    encoder: EncoderChoice = field(default_factory=EncoderChoice)
    _: KW_ONLY
    head: str = "linear"
    head_settings: tuple[str, ...] = ()
    leads: str = ""
    amount: Amount = field(default_factory=Amount)
    seed: int = 0
    seeds: int = 1
    epochs: int | None = None
    protocol: str = DEFAULT
    splits: str = ""
    label_set: Literal["", "exact", "shipped"] = ""
    task_settings: tuple[str, ...] = ()
    eval_data: str = ""
    allow_overlap: bool = False
    keep_head: bool = True
    device: str = "auto"
    workers: int = 1
    gpus: int = 0
    dask: str = ""
    cache: str | None = ""
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed} must be 0 or more")

    @property
    def head_name(self) -> str:
        """Name of the head, or of the linear layer of a training from scratch."""
        return "end-to-end" if self.encoder.weights == "scratch" else self.head

    @property
    def title(self) -> str:
        """Name of the request in messages."""
        parts = [self.encoder.name, self.task, self.head]
        parts += [f"leads {self.leads}"] * bool(self.leads)
        amount = f"{self.amount.count} labels" if self.amount.count else f"{self.amount.percent:g} %"
        return ", ".join([*parts, amount, f"seed {self.seed}"])

    @property
    def below(self) -> Path:
        """Parent folder of default results: the run folder, or a folder in ``runs`` where there is no such folder.

        A model that was downloaded lies in the cache of the hub's library, where nobody looks for results.
        """
        if self.encoder.run:
            folder, name = Path(self.encoder.run), run_name(Path(self.encoder.run))
            return folder if "/" not in name else Path("runs") / name.replace("/", "-")
        entry, preset, _ = self.encoder.resolve()
        return Path("runs") / f"{entry.name}-{preset}-{self.encoder.weights}"

    def without_draw(self) -> "ProbeRequest":
        """Return a key that is the same for requests that differ only in the draw of training records.

        Requests with the same key are opened once. The weights of an encoder without a run are drawn from the seed, so
        its key holds the seed too.
        """
        fixed = self.encoder.run or self.encoder.weights == "none"
        return replace(self, amount=Amount(), seed=0 if fixed else self.seed, seeds=1)
