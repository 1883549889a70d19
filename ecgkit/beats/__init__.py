"""R peaks: detectors, the peaks of a store, beat tokens, and scores of detectors.

Files with the peaks of a store::

    STORE/beats/peaks.parquet   one row per record in the store's order: record_id, rpeaks, flag
    STORE/beats/beats.json      detector, version, settings, leads, rate, limits, content hash of the store
"""

from collections.abc import Callable

from ecgkit.entries import DetectorEntry
from ecgkit.hookspecs import hookimpl

DEFAULT_DETECTOR = "consensus"
# The leads that are used: III and the augmented leads repeat what I and II show, noise included.
MEASURED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
# For detectors of one lead: II as in published pipelines, and the next lead that shows a beat if II shows none.
SINGLE_LEAD = ("II", "I", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@hookimpl
def register_detectors(register: Callable[[DetectorEntry], None]) -> None:
    """Register the detectors that ship with ecgkit."""
    for entry in (
        DetectorEntry(
            name=DEFAULT_DETECTOR,
            summary="several leads vote on every beat; compiled, many records at once",
            target="ecgkit.beats.consensus:detect",
            leads=MEASURED,
            settings="ecgkit.beats.consensus:ConsensusSettings",
        ),
        DetectorEntry(
            name="neurokit",
            summary="ecg_clean and ecg_peaks of NeuroKit2, one lead",
            target="ecgkit.beats.libraries:neurokit",
            leads=SINGLE_LEAD,
            distribution="neurokit2",
        ),
        DetectorEntry(
            name="xqrs",
            summary="XQRS of wfdb, one lead: the peaks of published beat tokens",
            target="ecgkit.beats.libraries:xqrs",
            leads=SINGLE_LEAD,
            distribution="wfdb",
        ),
        DetectorEntry(
            name="sleepecg",
            summary="heartbeat detection of SleepECG, one lead (extra: sleepecg)",
            target="ecgkit.beats.libraries:sleepecg",
            leads=SINGLE_LEAD,
            distribution="sleepecg",
        ),
    ):
        register(entry)
