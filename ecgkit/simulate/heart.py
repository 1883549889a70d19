"""One beat of one patient: the loops of the tables, made the patient's own and placed in time.

Time 0 is the R peak: the greatest magnitude of the QRS loop. Onsets and ends are where a loop's magnitude
passes 5 % of its peak (`dipole.EDGE`), so durations asked for are durations had.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ecgkit.simulate import shapes
from ecgkit.simulate.dipole import DOWER, Array, Loop, rotation
from ecgkit.simulate.patient import PARTS, Body
from ecgkit.simulate.rhythm import qt_interval

DELTA_SECONDS = 0.030  # by which pre-excitation widens QRS
NORMAL_QRS = 0.090  # s; what QRS takes longer than this, QT takes longer too
INJURIES = ("STE-anterior", "STE-inferior", "STE-lateral")
PR_SLOPE = 0.045  # s of PR lost per s of RR, around an RR of 0.8 s
LONGEST_PR_OF_RR = 0.46  # keeps a long PR from reaching into the beat before
# Shortest and longest PR in s. Pre-excitation shortens it (below 0.12 s).
PR_LIMITS = {"normal": (0.122, 0.196), "IAVB": (0.206, 1.0), "WPW": (0.080, 0.115)}


@dataclass(frozen=True)
class Marks:
    """Onsets and ends of one beat in s from its R peak; the P wave's are None where it has none."""

    p_onset: float | None
    p_end: float | None
    qrs_onset: float
    qrs_end: float
    t_end: float


@dataclass(frozen=True)
class Heart:
    """Loops of one kind of beat.

    Args:
        p: Ends at 0 s; None where no P wave leads to the beat.
        qrs: Peaks at 0 s.
        st: Times as parts of the way from the end of QRS to the peak of T; None for a level of 0.
        t: Ends at 0 s, as long as it is at an RR of 1 s.
        pr: PR interval in s at an RR of 0.8 s.
        qtc: QT in s at an RR of 1 s.
        limits: Shortest and longest PR in s, whatever the rate.
    """

    p: Loop | None
    qrs: Loop
    st: Loop | None
    t: Loop
    pr: float
    qtc: float
    limits: tuple[float, float] = (0.122, 0.196)

    @cached_property
    def qrs_limits(self) -> tuple[float, float]:
        """Onset and end of QRS in s from the R peak."""
        onset, _, end = self.qrs.landmarks()
        return onset, end

    @cached_property
    def p_seconds(self) -> float:
        """Duration of P in s."""
        return -self.p.landmarks()[0] if self.p else 0.0

    @cached_property
    def t_peak(self) -> float:
        """Peak of T in s before its end, negative, at an RR of 1 s."""
        return self.t.landmarks()[1]

    def marks(self, rr: float) -> Marks:
        """Return the onsets and ends of a beat at an RR in s."""
        onset, end = self.qrs_limits
        t_end = onset + qt_interval(rr, self.qtc)
        if self.p is None:
            return Marks(None, None, onset, end, t_end)
        p_onset = onset - self.pr_interval(rr)
        return Marks(p_onset, p_onset + self.p_seconds, onset, end, t_end)

    def pr_interval(self, rr: float) -> float:
        """Return PR in s at an RR in s: shorter at fast rates, on its own side of 0.2 s."""
        low, high = self.limits
        return max(low, min(high, LONGEST_PR_OF_RR * rr, self.pr + PR_SLOPE * (rr - 0.8)))

    def beat(self, rr: float) -> Loop:
        """Return all of a beat at an RR in s, with its R peak at 0 s."""
        marks, slower = self.marks(rr), float(np.cbrt(rr))
        parts = [self.qrs, self.t.stretched(slower).shifted(marks.t_end)]
        if self.p is not None and marks.p_end is not None:
            parts.append(self.p.shifted(marks.p_end))
        if self.st is not None:
            way = marks.t_end + self.t_peak * slower - marks.qrs_end
            parts.append(self.st.stretched(way).shifted(marks.qrs_end))
        return Loop.join(parts)


def sinus_heart(body: Body, findings: frozenset[str]) -> Heart:
    """Return the beat that comes down from the atria, as the findings shape it."""
    kind = next((key for key in ("LBBB", "RBBB", "LVH", "WPW") if key in findings), "normal")
    injury = next((key for key in INJURIES if key in findings), None)
    longer = {"normal": 0.0, "LVH": 0.008, "WPW": DELTA_SECONDS}
    seconds = longer.get(kind, body.block_seconds - body.qrs_seconds) + body.qrs_seconds
    # Only the frontal plane is turned, and T is not.
    upwards = replace(body, frontal=body.frontal - body.fascicular) if "LAnFB" in findings else body
    qrs = _with_voltage(_own_qrs(upwards, kind, seconds), body, hypertrophic=kind == "LVH")
    strained = "normal" if kind == "LVH" and not body.strain else kind
    qtc = body.long_qt if "LQT" in findings else body.qtc
    return Heart(
        p=None if "AF" in findings else _own_p(body),
        qrs=qrs,
        st=_own_st(body, injury or strained),
        t=_own_t(body, strained, injury),
        pr=body.long_pr if "IAVB" in findings else body.pr,
        limits=PR_LIMITS["IAVB" if "IAVB" in findings else kind if kind in PR_LIMITS else "normal"],
        qtc=qtc + max(0.0, seconds - NORMAL_QRS),
    )


def ectopic_heart(body: Body) -> Heart:
    """Return the patient's premature ventricular beat."""
    return Heart(
        p=None,
        qrs=_own_qrs(body, body.pvc, body.pvc_seconds),
        st=_own_st(body, body.pvc),
        t=_own_t(body, body.pvc, None),
        pr=0.0,
        qtc=body.qtc + 0.5 * (body.pvc_seconds - NORMAL_QRS),
    )


def sokolow(qrs: Loop, lead_gain: Array) -> float:
    """Return SV1 + RV5 (or RV6, if greater) of a QRS loop in mV."""
    _, dipole = qrs.sampled()
    v1, v5, v6 = (DOWER[row] * lead_gain[row] @ dipole for row in (2, 6, 7))
    return float(-v1.min() + max(v5.max(), v6.max()))


def _own(body: Body, part: str, table: shapes.Table, unit: float = 1e-3) -> Loop:
    """Return a table's loop with the patient's own deviations in each wave."""
    loop = Loop.from_table(table, unit)
    jitter = body.jitter[PARTS.index(part), : len(table)]
    size = np.exp(body.wave_size * jitter[:, :1])
    lean = body.wave_lean * jitter[:, 1:] * np.linalg.norm(loop.vector, axis=1, keepdims=True)
    return Loop(loop.centre, loop.rise, loop.fall, loop.vector * size + lean)


def _lasting(loop: Loop, seconds: float) -> Loop:
    """Return the loop stretched to a duration in s."""
    onset, _, end = loop.landmarks()
    return loop.stretched(seconds / (end - onset))


def _turned(body: Body, loop: Loop) -> Loop:
    return loop.turned(rotation(body.frontal, body.horizontal))


def _own_p(body: Body) -> Loop:
    loop = _lasting(_turned(body, _own(body, "P", shapes.P_WAVE)), body.p_seconds).louder(body.p_gain)
    return loop.shifted(-loop.landmarks()[2])


def _own_qrs(body: Body, kind: str, seconds: float) -> Loop:
    loop = _own(body, "QRS", shapes.QRS[kind])
    other, part = body.lookalike
    if kind == "normal" and other:
        loop = Loop.join([loop.louder(1 - part), _own(body, "QRS", shapes.QRS[other]).louder(part)])
    loop = _lasting(_turned(body, loop), seconds).louder(body.gain)
    return loop.shifted(-loop.landmarks()[1])


def _own_st(body: Body, kind: str) -> Loop | None:
    if kind not in shapes.ST_LEVEL:
        return None if body.st_level is None else Loop.from_table(shapes.plateau(*body.st_level), unit=1.0)
    # A territory lies where it lies on the chest, however the heart is turned.
    loop = _own(body, "ST", shapes.ST_LEVEL[kind], unit=1.0)
    return loop.louder(body.injury) if kind in INJURIES else _turned(body, loop).louder(body.gain)


def _own_t(body: Body, kind: str, injury: str | None) -> Loop:
    loop = _turned(body, _own(body, "T", shapes.T_WAVE.get(kind, shapes.T_WAVE["normal"]))).louder(body.t_gain)
    if any(body.t_turn):
        loop = loop.turned(rotation(*body.t_turn))
    if injury:
        level = np.array(shapes.ST_LEVEL[injury][0][3:]) * body.injury * shapes.T_WITH_INJURY
        loop = Loop.join([loop, Loop(loop.centre[1:], loop.rise[1:], loop.fall[1:], level[None])])
    return loop.shifted(-loop.landmarks()[2])


def _with_voltage(qrs: Loop, body: Body, *, hypertrophic: bool) -> Loop:
    """Return the QRS loop on the side of Sokolow's limit where it belongs."""
    voltage = sokolow(qrs, body.lead_gain)
    target = body.lvh_voltage if hypertrophic else min(voltage, body.most_voltage)
    return qrs.louder(target / voltage)
