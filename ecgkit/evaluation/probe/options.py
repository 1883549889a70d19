"""How to probe, in plain values, and where the result lies by default."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ecgkit.config import fingerprint
from ecgkit.evaluation.features.encoder import Subject
from ecgkit.evaluation.protocols import DEFAULT
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.store.reader import Store


@dataclass(frozen=True)
class ProbeOptions:
    """How to probe: plain values, so that a YAML file can hold them.

    Args:
        head: Name of the head on frozen features; not used for ``scratch``.
        seed: Of the head, or of the training from scratch.
        epochs: Of the training from scratch; None for the recipe's.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        head_settings: Changes of the head's settings, such as ``gate=frozen``.
        leads: The lead set that the model is given; empty for all that its contract names.
        task_settings: Changes of the task, such as ``icd10.count_on=train``.
        eval_data: Path of another store that is tested instead; see `ecgkit.evaluation.probe.other_store`.
        cache: Folder in which features are kept; None keeps none.
        also: Features that other heads will ask the cache for; see `FeatureCache.extract`.
        allow_overlap: Go on where pretraining saw test records or patients; the result says so.
        fraction: Share of the training part in per cent.
        label_count: Number of training records instead.
        protocol: Whose choices; see `ecgkit.evaluation.protocols.protocol`.
        splits: Folder or prefix of published split tables; empty for the task's own split.
        label_set: ``exact`` for the store's codes, ``shipped`` for the labels of the split tables; empty for what the
            protocol has.
    """

    head: str = "linear"
    seed: int = 0
    epochs: int | None = None
    device: str = "auto"
    head_settings: tuple[str, ...] = ()
    leads: str = ""
    task_settings: tuple[str, ...] = ()
    eval_data: str = ""
    cache: Path | None = None
    also: tuple[str, ...] = ()
    allow_overlap: bool = False
    fraction: float = 100.0
    label_count: int | None = None
    protocol: str = DEFAULT
    splits: str = ""
    label_set: Literal["", "exact", "shipped"] = ""

    @property
    def amount(self) -> Amount:
        """How much of the training part is used."""
        return Amount(self.fraction, self.label_count)


USUAL = ProbeOptions()


def result_folder(parent: Path, task: str, subject: Subject, store: Store, options: ProbeOptions) -> Path:
    """Return where a result lies by default: below its run, named by all that may differ between two results."""
    head = "end-to-end" if subject.weights == "scratch" else options.head
    # Neither the device nor the leave to go on changes a number; another store does by what it holds, not by its path.
    elsewhere = [Store(Path(options.eval_data))] if options.eval_data else []
    settings = replace(options, device="auto", allow_overlap=False, eval_data="", cache=None, also=())
    hashes = [other.content_hash for other in elsewhere]
    rest = fingerprint(subject.config, store.content_hash, settings, *hashes)[:6]
    leads = f"-leads-{re.sub(r'[^A-Za-z0-9]+', '-', options.leads)}" if options.leads else ""
    amount = "" if options.amount.all else f"-{options.amount.name}"
    stores = "-to-".join(each.name.removesuffix(".zarr") for each in (store, *elsewhere))
    return parent / "probes" / f"{task}-{head}-{stores}{leads}{amount}-seed{options.seed}-{rest}"
