"""The baseline of plain measurements: heart rate and its variation, intervals and axis, and statistics of each lead.

R peaks come from the store (`ecgkit beats`). P, QRS and T are delineated in one lead by NeuroKit2's wavelet method
(Makowski et al., Behavior Research Methods 53, 2021; Martinez et al., IEEE TBME 51, 2004). In: signal ``[B, L, T]`` in
mV and R peaks ``[B, P]``. Out: ``[B, D]``; a lead that is not given has zeros, and a number that cannot be measured is
`UNKNOWN`.
"""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import EncoderOnly, Features
from ecgkit.nn.lead_check import check_standard_leads
from ecgkit_shallow.config import MeasurementsConfig
from ecgkit_shallow.plain import UNKNOWN, PlainEncoder

Floats = NDArray[np.float64]
RHYTHM = ("beats", "heart rate", "mean RR", "SD of RR", "RMSSD", "shortest RR", "longest RR")
INTERVALS = ("PR", "QRS", "QT", "QTc", "P duration", "beats with a P wave")
LEAD = ("mean", "SD", "lowest", "highest", "mean size", "skewness", "kurtosis", "zero crossings", "R", "around R")
AROUND = 0.06  # s on either side of an R peak: the QRS complex


def rhythm(peaks: NDArray[np.int64], fs: float, samples: int) -> Floats:
    """Return the numbers of `RHYTHM`: counts, beats per minute, and times in s.

    Args:
        peaks: R peaks as samples, ascending.
        fs: Sampling rate in Hz.
        samples: Length of the record.
    """
    rr = np.diff(peaks) / fs
    if len(rr) == 0:
        return np.array([len(peaks), *[UNKNOWN] * (len(RHYTHM) - 1)])
    rmssd = np.sqrt(np.square(np.diff(rr)).mean()) if len(rr) > 1 else UNKNOWN
    return np.array([len(peaks), 60 / rr.mean(), rr.mean(), rr.std(), rmssd, rr.min(), rr.max()])


def intervals(x: Floats, peaks: NDArray[np.int64], fs: float) -> Floats:
    """Return the numbers of `INTERVALS`: medians over beats in s, and the share of beats with a P wave.

    Args:
        x: ``[T]``, one lead in mV.
        peaks: R peaks as samples, ascending.
        fs: Sampling rate in Hz.
    """
    waves = delineated(x, peaks, fs)
    if not waves:
        return np.full(len(INTERVALS), UNKNOWN)
    p_on, p_off, r_on, r_off, t_off = (
        waves[f"ECG_{name}"] / fs for name in ("P_Onsets", "P_Offsets", "R_Onsets", "R_Offsets", "T_Offsets")
    )
    rr = np.median(np.diff(peaks)) / fs
    qt = median(t_off - r_on)
    qtc = qt / np.sqrt(rr) if qt != UNKNOWN else UNKNOWN  # Bazett
    seen = float(np.isfinite(waves["ECG_P_Peaks"]).mean())
    return np.array([median(r_on - p_on), median(r_off - r_on), qt, qtc, median(p_off - p_on), seen])


def median(values: Floats) -> float:
    """Return the median of the known values, or `UNKNOWN` without any."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else UNKNOWN


def delineated(x: Floats, peaks: NDArray[np.int64], fs: float) -> Mapping[str, Floats]:
    """Return samples of waves by NeuroKit2's names, NaN where a beat has none; empty if nothing can be delineated."""
    import neurokit2

    if len(peaks) < 3 or not np.ptp(x):
        return {}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            _, waves = neurokit2.ecg_delineate(x, {"ECG_R_Peaks": peaks}, sampling_rate=round(fs), method="dwt")
    except Exception:  # of short or strange signals, in whatever library below it
        return {}
    found = {name: np.asarray(values, np.float64) for name, values in waves.items()}
    return found if all(len(values) == len(peaks) for values in found.values()) else {}


def lead_statistics(x: Floats, peaks: NDArray[np.int64], fs: float) -> Floats:
    """Return the numbers of `LEAD` for each lead, ``[L, T] -> [L, len(LEAD)]``, in mV where they have a unit."""
    mean, sd = x.mean(1), x.std(1)
    z = (x - mean[:, None]) / np.maximum(sd, 1e-6)[:, None]
    crossings = (np.diff(np.signbit(x), axis=1) != 0).mean(1)
    reach = max(1, round(AROUND * fs))
    whole = peaks[(peaks >= reach) & (peaks < x.shape[1] - reach)]
    if len(whole):
        windows = x[:, whole[:, None] + np.arange(-reach, reach + 1)]  # (L, beats, 2 reach + 1)
        at_peak = np.median(windows[:, :, reach], axis=1)
        around = np.median(windows.sum(-1) / fs, axis=1)  # the area of the QRS complex, in mV s
    else:
        at_peak = around = np.full(len(x), UNKNOWN)
    columns = [
        mean,
        sd,
        x.min(1),
        x.max(1),
        np.abs(x).mean(1),
        (z**3).mean(1),
        (z**4).mean(1),
        crossings,
        at_peak,
        around,
    ]
    return np.stack(columns, axis=1)


class MeasurementsEncoder(PlainEncoder):
    """Measures one record after the other on the CPU."""

    needs: ClassVar[tuple[str, ...]] = ("beats",)
    fill: ClassVar[str] = "zeros"

    def __init__(self, config: MeasurementsConfig) -> None:
        super().__init__()
        self.config = config
        self.width = len(RHYTHM) + len(INTERVALS) + 2 + len(STANDARD_LEADS) * len(LEAD)

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *, beats: Tensor, **kwargs: Any
    ) -> Features:
        """Return the measurements of each record, ``[B, D]``; samples after the end of a record are not looked at."""
        check_standard_leads(lead_ids)
        ids = lead_ids.cpu().numpy()
        whole = torch.full((len(signal),), signal.shape[-1]) if lengths is None else lengths.cpu().clamp(min=1)
        rows = [
            self.measured(x[:, :length].astype(np.float64), ids, peaks[(peaks >= 0) & (peaks < length)])
            for x, peaks, length in zip(
                signal.detach().float().cpu().numpy(), beats.cpu().numpy(), whole.tolist(), strict=True
            )
        ]
        return Features(torch.from_numpy(np.stack(rows).astype(np.float32)).to(self.place.device))

    def measured(self, x: Floats, ids: NDArray[np.int64], peaks: NDArray[np.int64]) -> Floats:
        """Return the measurements of one record, ``[D]``.

        Args:
            x: ``[L, T]`` in mV.
            ids: ``[L]``, index of each lead in the standard order.
            peaks: R peaks as samples.
        """
        fs, peaks = self.config.signal.fs, np.sort(peaks)
        of_leads = np.zeros((len(STANDARD_LEADS), len(LEAD)))
        of_leads[ids] = lead_statistics(x, peaks, fs)
        wanted = STANDARD_LEADS.index(self.config.rhythm_lead)
        row = int(np.flatnonzero(ids == wanted)[0]) if wanted in ids else int(ids.argmin())
        some = peaks[: self.config.beats]
        end = int(some[-1] + fs) if len(some) < len(peaks) else x.shape[1]
        area = of_leads[:, LEAD.index("around R")]
        first, foot = area[STANDARD_LEADS.index("I")], area[STANDARD_LEADS.index("aVF")]
        axis = np.arctan2(foot, first) if first or foot else 0.0
        place = np.array([np.cos(axis), np.sin(axis)])
        known = [rhythm(peaks, fs, x.shape[1]), intervals(x[row, :end], some, fs), place]
        return np.concatenate([*known, of_leads.ravel()])


class Measurements(EncoderOnly):
    """The encoder as a method."""

    def __init__(self, config: MeasurementsConfig) -> None:
        super().__init__(config, MeasurementsEncoder(config))
