"""Pretraining: data, loop, run folder. It knows `Batch` and `Losses` and nothing of any family."""

from collections.abc import Callable

from ecgkit.entries import SupplyEntry
from ecgkit.hookspecs import hookimpl

SUPPLIES = (
    SupplyEntry(
        name="beats",
        summary="R peaks, int [B, P] in samples of the crop; -1 fills up",
        target="ecgkit.training.supply:open_beats",
        command="ecgkit beats",
        joinable=True,
    ),
    SupplyEntry(
        name="reports",
        summary="which unique report, int64 [B], as ecgkit.text.reports numbers them; -1 for none",
        target="ecgkit.training.supply:open_reports",
        command="ecgkit ingest (of a dataset with reports)",
    ),
    SupplyEntry(
        name="entities",
        summary="what the report says of each entity, uint8 [B, Q]: 0 absent, 1 present, 2 uncertain, 255 unknown",
        target="ecgkit.training.supply:open_entities",
        command="ecgkit extract-knowledge",
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
        summary="number of the patient, int64 [B]: equal numbers, same patient",
        target="ecgkit.training.supply:open_patients",
        command="ecgkit ingest",
    ),
)


@hookimpl
def register_supplies(register: Callable[[SupplyEntry], None]) -> None:
    """Register the supplies that ecgkit ships."""
    for entry in SUPPLIES:
        register(entry)
