"""Pretraining: data, training loop and run folder. It depends on no method family, only on `Batch` and `Losses`."""

from collections.abc import Callable

from ecgkit.entries import SupplyEntry
from ecgkit.hookspecs import hookimpl

SUPPLIES = (
    SupplyEntry(
        name="beats",
        summary="R peaks, int [B, P] in samples of the crop; padded with -1",
        target="ecgkit.training.supply:open_beats",
        command="ecgkit beats {store}",
        joinable=True,
        holds="ecgkit.beats.peaks:has_peaks",
        prepare="ecgkit.training.preparation:find_all_beats",
        origin="ecgkit.training.preparation:origin_of_beats",
    ),
    SupplyEntry(
        name="reports",
        summary="index of each record's unique report, int64 [B], see ecgkit.text.reports; -1 for none",
        target="ecgkit.training.supply:open_reports",
        command="ecgkit ingest (of a dataset with reports)",
        origin="ecgkit.training.preparation:origin_of_reports",
    ),
    SupplyEntry(
        name="entities",
        summary="state of each entity in the report, uint8 [B, Q]: 0 absent, 1 present, 2 uncertain, 255 unknown",
        target="ecgkit.training.supply:open_entities",
        command="ecgkit extract-knowledge {store}",
        holds="ecgkit.training.preparation:has_entities",
        prepare="ecgkit.training.preparation:extract_by_lexicon",
        origin="ecgkit.training.preparation:origin_of_entities",
        setting="ecgkit.knowledge.source:EntitySource",
    ),
    SupplyEntry(
        name="labels",
        summary="targets of the task, float [B, C] of 0 and 1",
        target="ecgkit.training.supply:open_labels",
        command="pretrain --task NAME, on a store with that task's labels",
    ),
    SupplyEntry(
        name="demographics",
        summary="age in years and 1 for female, 0 for male, float [B, 2]; NaN where unknown",
        target="ecgkit.training.supply:open_demographics",
        command="ecgkit ingest (of a dataset with age and sex)",
        joinable=True,
    ),
    SupplyEntry(
        name="patients",
        summary="patient index, int64 [B]; records of the same patient have the same index",
        target="ecgkit.training.supply:open_patients",
        command="ecgkit ingest",
    ),
)


@hookimpl
def register_supplies(register: Callable[[SupplyEntry], None]) -> None:
    """Register the supplies that ecgkit ships."""
    for entry in SUPPLIES:
        register(entry)
