"""``ecgkit.read_ecg``: read one ECG from a file of any kind, without a store."""

from pathlib import Path

from ecgkit.api.arguments import Leads, PathLike, chosen_leads
from ecgkit.datasets.given import Given
from ecgkit.datasets.identity import Identity
from ecgkit.ingestion.options import IngestOptions
from ecgkit.ingestion.single import read_single
from ecgkit.recording import Recording


def read_ecg(
    path: PathLike,
    *,
    dataset: str = "",
    leads: Leads = "",
    fs: float | None = None,
    unit: str = "",
    lead_names: str = "",
    keep_identity: bool = False,
) -> Recording:
    """Read the ECG of a file, as an ingest of the file would.

    A WFDB record is named by its header or its signal file. Files of devices and hospital systems (XML, DICOM, SCP-ECG,
    EDF, Holter) need the extra ``vendor``.

    Args:
        path: The file.
        dataset: Layout that reads the file. By default detected.
        leads: Leads to return, in this order. By default all, in the usual order. For an array without names, the names
            of its rows.
        fs: Sampling rate in Hz to resample to. By default the file's own. For a file that states none, its rate.
        unit: Unit of the samples, where the file states none.
        lead_names: Names of the rows in order, or renamings such as ``ECG=I``.
        keep_identity: Keep facts that name a person, such as the patient's name.

    Returns:
        The recording. ``signal`` is ``[L, T]`` in mV with NaN for a missing sample, ``leads`` names its rows, and
        ``facts`` holds what the file says of patient, device and ECG.

    Raises:
        ConfigError: An option has an impossible value.
        DatasetError: The file does not exist, no layout reads it, or it holds several records.
        LeadError: One of `leads` is missing.
        RecordError: The file is damaged or holds no ECG.
    """
    options = IngestOptions(
        dataset=dataset,
        fs=fs,
        leads=chosen_leads(leads) or None,
        given=Given(unit=unit, lead_names=lead_names, leads=chosen_leads(leads)),
        identity=Identity(keep_identity),
    )
    options.check()
    return read_single(Path(path), options)
