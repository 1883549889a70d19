"""R-peak detectors of other libraries with their default settings. Each looks at one lead at a time.

The leads of a record are tried in the given order until one has peaks. This is the rule of published pipelines: lead II
first, and I, III ... V6 if it shows none.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.distribution import install_extra
from ecgkit.errors import PluginError
from ecgkit.signal.repair import interpolate_gaps

Peaks = NDArray[np.int64]
LeadDetector = Callable[[NDArray[np.float64], float], Any]


def neurokit(signal: NDArray[np.floating], fs: float, leads: Sequence[str]) -> list[Peaks]:
    """Detect with NeuroKit2 (Makowski et al., Behavior Research Methods 53:1689, 2021): ``ecg_clean``, ``ecg_peaks``.

    Args:
        signal: ``[B, L, T]`` in mV, NaN for a missing sample.
        fs: Sampling rate in Hz.
        leads: Names of the L rows.

    Returns:
        For each record, the peaks of its first lead that has any.
    """
    import neurokit2

    def find(lead: NDArray[np.float64], fs: float) -> Any:
        clean = neurokit2.ecg_clean(lead, sampling_rate=round(fs))
        return neurokit2.ecg_peaks(clean, sampling_rate=round(fs))[1]["ECG_R_Peaks"]

    return _first_lead_with_peaks(find, signal, fs)


def xqrs(signal: NDArray[np.floating], fs: float, leads: Sequence[str]) -> list[Peaks]:
    """Detect with XQRS of wfdb-python, default settings; arguments and result as for `neurokit`."""
    from wfdb.processing import XQRS

    def find(lead: NDArray[np.float64], fs: float) -> Any:
        detector = XQRS(sig=lead, fs=fs)
        detector.detect(verbose=False)
        return detector.qrs_inds

    return _first_lead_with_peaks(find, signal, fs)


def sleepecg(signal: NDArray[np.floating], fs: float, leads: Sequence[str]) -> list[Peaks]:
    """Detect with SleepECG (Brunner et al., J. Open Source Softw. 8:5411, 2023); arguments and result as `neurokit`.

    Raises:
        PluginError: SleepECG is not installed.
    """
    try:
        from sleepecg.heartbeats import detect_heartbeats
    except ImportError:
        raise PluginError("detector sleepecg needs the package SleepECG", remedy=install_extra("sleepecg")) from None
    return _first_lead_with_peaks(detect_heartbeats, signal, fs)


def _first_lead_with_peaks(find: LeadDetector, signal: NDArray[np.floating], fs: float) -> list[Peaks]:
    """Return each record's peaks, found by `find` in its first lead that has any.

    A library may raise an error on a lead that it cannot process. That counts as no peaks, unless no lead has any: then
    the last error is raised.
    """
    found = []
    for record in interpolate_gaps(signal.astype(np.float64)):
        peaks, error = np.empty(0, np.int64), None
        for lead in record:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # lines without a beat give warnings
                    peaks = np.unique(np.asarray(find(lead, fs), np.float64)[:])
            except Exception as raised:  # each library raises its own errors
                error = raised
                continue
            if len(peaks):
                break
        if error is not None and not len(peaks):
            raise error
        found.append(peaks.astype(np.int64))
    return found
