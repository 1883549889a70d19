"""One module a dataset layout. Each finds a folder's records and reads their metadata, labels and signals."""

from collections.abc import Callable

from ecgkit.entries import DatasetEntry
from ecgkit.hookspecs import hookimpl


@hookimpl
def register_datasets(register: Callable[[DatasetEntry], None]) -> None:
    """Register the layouts that ecgkit knows by itself."""
    for entry in (
        DatasetEntry(
            name="ptb-xl",
            summary="PTB-XL, 100 or 500 Hz (ptbxl_database.csv)",
            target="ecgkit.datasets.ptb_xl:PTBXL",
            priority=10,
        ),
        DatasetEntry(
            name="mimic-iv-ecg",
            summary="MIMIC-IV-ECG 1.0 (record_list.csv, machine_measurements.csv)",
            target="ecgkit.datasets.mimic_iv_ecg:MimicIvEcg",
            priority=10,
        ),
        DatasetEntry(
            name="wfdb",
            summary="any folder of WFDB records",
            target="ecgkit.datasets.wfdb_folder:WfdbFolder",
        ),
    ):
        register(entry)
