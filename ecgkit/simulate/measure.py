"""Intervals and axes of a simulated ECG, as a cart prints them, from the loops themselves and so without error."""

from dataclasses import dataclass

import numpy as np

from ecgkit.simulate.dipole import DOWER, Loop
from ecgkit.simulate.heart import Heart

BEFORE_BEAT = 0.040  # s; MIMIC-IV-ECG counts its times from a little before P
QRS_WITHOUT_P = 0.200  # s; where we put the onset of QRS if there is no P


@dataclass(frozen=True)
class Measurements:
    """Times in ms from the start of the averaged beat, axes in degrees; None for a P wave that is not there."""

    rr_interval: int
    p_onset: int | None
    p_end: int | None
    qrs_onset: int
    qrs_end: int
    t_end: int
    p_axis: int | None
    qrs_axis: int
    t_axis: int


def measure(heart: Heart, rr: float) -> Measurements:
    """Return what a cart would measure.

    Args:
        heart: The beat that the rhythm is made of.
        rr: The mean RR interval in s.
    """
    marks = heart.marks(rr)
    origin = marks.qrs_onset - QRS_WITHOUT_P if marks.p_onset is None else marks.p_onset - BEFORE_BEAT
    return Measurements(
        rr_interval=round(1000 * rr),
        p_onset=None if marks.p_onset is None else _ms(marks.p_onset - origin),
        p_end=None if marks.p_end is None else _ms(marks.p_end - origin),
        qrs_onset=_ms(marks.qrs_onset - origin),
        qrs_end=_ms(marks.qrs_end - origin),
        t_end=_ms(marks.t_end - origin),
        p_axis=None if heart.p is None else frontal_axis(heart.p),
        qrs_axis=frontal_axis(heart.qrs),
        t_axis=frontal_axis(heart.t),
    )


def frontal_axis(loop: Loop) -> int:
    """Return the frontal axis of a loop in degrees, from its areas in I and aVF."""
    _, dipole = loop.sampled()
    lead_1, lead_2 = DOWER[:2] @ dipole.sum(axis=1)
    # aVF is an augmented lead: the factor brings it to the scale of I.
    foot = (lead_2 - lead_1 / 2) * 2 / np.sqrt(3)
    return round(float(np.rad2deg(np.arctan2(foot, lead_1))))


def _ms(seconds: float) -> int:
    return round(1000 * seconds)
