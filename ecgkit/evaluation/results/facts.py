"""The facts of a result: everything its numbers depend on, as numbers, names and booleans.

A result row stores them as data. Sentences are made from them in one place, where they are shown
(`ecgkit.reporting.page.sentences`), and no code reads a sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ecgkit.knowledge.extractions import Extraction

Selection = Literal[
    "lowest validation loss",
    "best monitored metric",
    "last epoch",
    "highest validation AUROC",
    "random",
    "not recorded",
]


@dataclass(frozen=True, kw_only=True)
class Departure:
    """One choice that differs from the protocol's.

    Args:
        choice: The choice, such as ``head``, ``draw``, ``split`` or ``label set``.
        used: What the probe used.
        protocol: What the protocol prescribes.
        note: What the protocol's own file says about the choice; it replaces `used` and `protocol`.
    """

    choice: str
    used: str = ""
    protocol: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ProtocolFacts:
    """The protocol that was followed.

    Args:
        name: Its registered name; empty if the row does not state one.
        title: Its title.
        departures: The choices that differ from it.
    """

    name: str = ""
    title: str = ""
    departures: tuple[Departure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """Where the labels come from.

    Args:
        source: Where the task says that labels and split are defined.
        label_set: ``exact`` for the store's codes, ``shipped`` for those of a published table; empty if there is only
            one set.
        unlabelled: What happens to records without any of the labels: ``drop``, ``keep`` as negatives, or for a
            diagnosis table ``drop without diagnosis``.
        table: File name of the label table; empty if labels come from the store.
        table_sha256: First 16 hex digits of the file's SHA-256.
        columns: Columns of the table that hold the labels.
        scenario: Scenario of an ICD-10 task.
        counted_in: Rows in which ICD-10 labels are counted: ``all`` or ``train``.
        targets: For a regression, the origin of each number by its short name.
        extraction: The extraction of entities that the labels are; None if they are not.
        uncertain: How an entity counts if the report is unsure of it.
        min_count: Number of training records in which an entity had to be positive.
    """

    source: str = ""
    label_set: Literal["", "exact", "shipped"] = ""
    unlabelled: Literal["", "drop", "keep", "drop without diagnosis"] = ""
    table: str = ""
    table_sha256: str = ""
    columns: tuple[str, ...] = ()
    scenario: str = ""
    counted_in: str = ""
    targets: Mapping[str, "TargetFacts"] = field(default_factory=dict)
    extraction: Extraction | None = None
    uncertain: Literal["", "negative", "positive", "drop"] = ""
    min_count: int = 0


@dataclass(frozen=True, kw_only=True)
class TargetFacts:
    """The origin of a predicted number.

    Args:
        formula: Name of the formula.
        low: Lowest plausible value, in `unit`.
        high: Highest plausible value, in `unit`.
        unit: Unit of the number.
        rule: Additional rule of the source; empty if there is none.
    """

    formula: str
    low: float
    high: float
    unit: str
    rule: str = ""


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """How records were split.

    Args:
        kind: ``folds`` of the store, ``published tables``, a ``table column`` (of the task's label table), or the
            ``benchmark folds`` of an ICD-10 scenario; empty if the row does not state it.
        folds: Folds by part, where folds split.
        fold_column: Column of the label table that holds the folds; empty for the store's own.
        column: Column of the label table that holds the part.
        tables: Common part of the names of the published tables.
        tables_sha256: SHA-256 over the published tables.
        test_sha256: Fingerprint of the test records' ids: results on the same test records share it.
    """

    kind: Literal["", "folds", "published tables", "table column", "benchmark folds"] = ""
    folds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    fold_column: str = ""
    column: str = ""
    tables: str = ""
    tables_sha256: str = ""
    test_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class DrawFacts:
    """How some of the training records were drawn.

    Args:
        rule: Rule of the draw; see `ecgkit.evaluation.protocols.draws`.
        random_state: Random state of the draw.
    """

    rule: str
    random_state: int


@dataclass(frozen=True, kw_only=True)
class CheckpointFacts:
    """Which weights of the encoder were evaluated.

    Args:
        selected_by: How they were chosen.
        epoch: Epoch of the weights, from 1; None where there is none.
        epochs: Number of epochs of the training.
        value: Value of the criterion in that epoch.
        metric: Name of the monitored metric, if it is not the validation loss.
        random_seed: Seed of random weights.
        training: Fingerprint of the pretraining's settings and data, without its seed; empty where there is none. Runs
            that share it differ only in their seed.
        training_seed: Seed of the pretraining.
        origins: Where the further inputs of the pretraining came from, such as entities, in words by input.
    """

    selected_by: Selection = "not recorded"
    epoch: int | None = None
    epochs: int | None = None
    value: float | None = None
    metric: str = ""
    random_seed: int | None = None
    training: str = ""
    training_seed: int | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LeadFacts:
    """The lead set that the encoder was given.

    Args:
        given: The leads, in the standard order.
        fill: How the encoder fills the other leads; empty if it reads only the given leads.
    """

    given: tuple[str, ...]
    fill: str = ""


@dataclass(frozen=True, kw_only=True)
class LeakFacts:
    """Outcome of the leak guard: which test records and patients pretraining saw.

    Args:
        checked: Whether the weights state which records they were trained or chosen on.
        records: Test records that pretraining saw, by the hash of their waveform.
        copies: Further test records that are copies of records that pretraining saw, by their waveform signature.
        compared: Test records whose signature was compared; 0 if the run or the records have none.
        same_store: Whether pretraining and test are of one store, in which copies are found by their samples alone.
        unsigned: Records that pretraining saw and of which there is no signature.
        tested: Test records.
        patients: Test patients that pretraining saw, by patient id.
        allowed: Whether an overlap was allowed.
        built_on: Names of the runs that the encoder was built on. Their records were compared too.
        silent: Names of the runs in `built_on` that do not state what they were trained on.
        stated: What the card of published weights says that they were trained on; empty without a card.
        archives_known: Whether that card names all archives of the training data. Those that share recordings with the
            test store have a warning of their own.
    """

    checked: bool
    records: int = 0
    copies: int = 0
    compared: int = 0
    same_store: bool = False
    unsigned: int = 0
    tested: int = 0
    patients: int = 0
    allowed: bool = False
    built_on: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    stated: str = ""
    archives_known: bool = False

    @property
    def found(self) -> bool:
        """Whether pretraining saw any test record or test patient."""
        return bool(self.records or self.copies or self.patients)


@dataclass(frozen=True, kw_only=True)
class OverlapFacts:
    """Whether the parts of the task share recordings or patients.

    Args:
        records: Test records whose waveform is also in the training or validation part.
        copies: Further test records that have the waveform signature of a training or validation record.
        pairs: The first of them, each as ``test record = other record``.
        patients: Test patients who are also in the training or validation part.
        allowed: Whether an overlap was allowed.
    """

    records: int = 0
    copies: int = 0
    pairs: tuple[str, ...] = ()
    patients: int = 0
    allowed: bool = False

    @property
    def found(self) -> bool:
        """Whether the test part surely shares anything with the other parts; a signature alone is no proof."""
        return bool(self.records or self.patients)


@dataclass(frozen=True, kw_only=True)
class TransferFacts:
    """A head fitted on one store and tested on another.

    Args:
        trained_on: Name of the store whose training and validation parts were used.
        trained_dataset: Its dataset.
        tested_on: Name of the store that was tested.
        tested_dataset: Its dataset.
        tested_records: Number of tested records.
        from_system: Code system of the task's labels.
        to_system: Code system of the tested store.
        shared: Codes in the tested store, by class, for the classes that both stores have.
        left_out: For each class that was left out, the reason.
        known: Records of the tested store left out because they or their patients were trained or chosen on.
        test_fold: The only fold that was tested, because pretraining saw some of the store; None for all folds.
    """

    trained_on: str
    trained_dataset: str
    tested_on: str
    tested_dataset: str
    tested_records: int
    from_system: str
    to_system: str
    shared: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    known: int = 0
    test_fold: int | None = None


@dataclass(frozen=True, kw_only=True)
class IntervalFacts:
    """How intervals were computed.

    Args:
        method: Method of the intervals.
        auroc_method: Method of the intervals of the AUROC; empty if it is the same.
        level: Their coverage.
        draws: Number of resamples.
        unit: What counts as independent: ``patient``, ``recording`` where no patient is known, or both.
        fewest: An AUROC has an interval if at least this many units are positive and as many are negative.
        fewest_other: The same for the other metrics of a class.
        fewest_mean: The same for the mean of another metric, in every class.
    """

    method: str = "percentile bootstrap"
    auroc_method: str = ""
    level: float = 0.95
    draws: int = 1000
    unit: str = "patient"
    fewest: int = 0
    fewest_other: int = 0
    fewest_mean: int = 0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the numbers of one result depend on.

    Args:
        protocol: The protocol that was followed, and departures from it.
        labels: Where the labels come from.
        split: How records were split.
        draw: How training records were drawn; None if all were used.
        head: Settings that the head tried and chose, by heading.
        checkpoint: Which weights of the encoder were evaluated.
        leads: The lead set that the encoder was given; None for all leads of its contract.
        leak_guard: Which test records pretraining saw; None for an encoder that was not pretrained.
        overlap: What the test part shares with the other parts; None if the row does not state it.
        transfer: Facts about the two stores if another store was tested; None for one store.
        interval: How intervals were computed; None if the row does not state it.
        thresholds_from: Part on which decision thresholds were chosen; empty for numbers.
        seeds: Number of results with different seeds that were made together.
        unusable: Labelled records left out because the encoder cannot read them.
        without_patient: Records without a patient id.
        old_words: Sentences of a row that was written before rows held facts, by heading; empty in new rows.
    """

    protocol: ProtocolFacts = ProtocolFacts()
    labels: LabelFacts = LabelFacts()
    split: SplitFacts = SplitFacts()
    draw: DrawFacts | None = None
    head: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: CheckpointFacts = CheckpointFacts()
    leads: LeadFacts | None = None
    leak_guard: LeakFacts | None = None
    overlap: OverlapFacts | None = None
    transfer: TransferFacts | None = None
    interval: IntervalFacts | None = None
    thresholds_from: Literal["", "validation"] = ""
    seeds: int = 1
    unusable: int = 0
    without_patient: int = 0
    old_words: Mapping[str, str] = field(default_factory=dict)


def facts_of_old_row(words: Mapping[str, str]) -> Facts:
    """Return the facts that comparisons need, read from the sentences of a row of schema 1; sentences are kept too.

    Args:
        words: The ``protocol`` field of the row: a mapping from headings to sentences.
    """
    name = next(iter(words.get("protocol", "").split()), "")
    label_set = words.get("label set", "")
    tables = words.get("split", "").removeprefix(OLD_TABLES) if words.get("split", "").startswith(OLD_TABLES) else ""
    trained, tested = (words.get(f"{verb} on", "").split(" (")[0] for verb in ("trained", "tested"))
    return Facts(
        protocol=ProtocolFacts(name=name),
        labels=LabelFacts(label_set=label_set if label_set in ("exact", "shipped") else ""),  # type: ignore[arg-type]
        split=SplitFacts(kind="published tables", tables=tables) if tables else SplitFacts(),
        transfer=TransferFacts(
            trained_on=trained,
            trained_dataset="",
            tested_on=tested,
            tested_dataset="",
            tested_records=0,
            from_system="",
            to_system="",
            shared={},
        )
        if trained
        else None,
        old_words=dict(words),
    )


OLD_TABLES = "published tables "
