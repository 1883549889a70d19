"""Synthetic patients: a body that stays the same from one ECG to the next, and lasting conditions.

Ranges are ours. Unless a finding says otherwise, those of PR, QRS and QT lie near the 2nd to 98th percentile of healthy
women in the Women's Health Initiative (PMC3825808): PR 118 to 212 ms, QRS 70 to 104 ms, QT adjusted for the rate 388 to
449 ms.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from ecgkit.simulate.difficulty import STANDARD, Difficulty, Spread
from ecgkit.simulate.dipole import Array
from ecgkit.simulate.findings import draw_conditions

MOST_WAVES = 6  # waves of the longest table of shapes, with room
PARTS = ("P", "QRS", "ST", "T")
AGES = (18, 90)
SINGLE = 0.60  # part of the patients with one ECG only
MOST_RECORDS = 8
LOOKALIKE_PART = (0.25, 0.55)  # of the other kind in the QRS of a patient who has a part of it


@dataclass(frozen=True)
class Body:
    """The body of a patient, which shapes the beats.

    Args:
        age: In years at the first ECG.
        female: Sex.
        resting_rate: Heart rate at rest in 1/min.
        pr: PR interval in s, from the onset of P to that of QRS.
        long_pr: PR interval in s if conduction is slow (first-degree AV block).
        p_seconds: Duration of P in s.
        qrs_seconds: Duration of QRS in s.
        block_seconds: Duration of QRS in s if a bundle branch is blocked.
        pvc_seconds: Duration of QRS of a premature ventricular beat in s.
        pvc: Where those beats come from, ``PVC-right`` or ``PVC-left``.
        qtc: QT in s at a rate of 60/min.
        frontal: Degrees by which the heart is turned in the frontal plane.
        horizontal: Degrees by which it is turned in the horizontal plane.
        gain: Factor on QRS.
        t_gain: Factor on T.
        p_gain: Factor on P.
        lvh_voltage: SV1 + RV5 in mV if the left ventricle is hypertrophic.
        injury: Factor on the ST level of an injury.
        lead_gain: ``[8]``, how near each electrode lies, as a factor on each independent lead.
        jitter: ``[part, wave, 4]``, standard normal deviates that make each wave's dipole its own.
        wave_size: Log of the factor on a wave, per unit of `jitter`.
        wave_lean: Change of a wave's direction, per unit of `jitter`.
        t_turn: Degrees by which T is turned against QRS in the frontal and in the horizontal plane.
        st_level: ``[3]``, dipole of the ST segment in mV without any finding, or None.
        most_voltage: Largest SV1 + RV5 in mV without hypertrophy.
        electrodes_moved: How far chest electrodes move from one ECG to the next.
        lookalike: Kind of QRS of which a normal QRS has a part, and the part; without its label.
        strain: Whether hypertrophy changes ST and T.
        long_qt: QT in s at a rate of 60/min with a long QT.
        fascicular: Degrees by which a left anterior fascicular block turns QRS upwards.
    """

    age: int
    female: bool
    resting_rate: float
    pr: float
    long_pr: float
    p_seconds: float
    qrs_seconds: float
    block_seconds: float
    pvc_seconds: float
    pvc: str
    qtc: float
    frontal: float
    horizontal: float
    gain: float
    t_gain: float
    p_gain: float
    lvh_voltage: float
    injury: float
    lead_gain: Array
    jitter: Array
    wave_size: float
    wave_lean: float
    most_voltage: float
    electrodes_moved: Spread
    t_turn: tuple[float, float] = (0.0, 0.0)
    st_level: Array | None = None
    lookalike: tuple[str, float] = ("", 0.0)
    strain: bool = True
    long_qt: float = 0.50
    fascicular: float = 80.0

    def with_electrodes_moved(self, rng: np.random.Generator) -> "Body":
        """Return the body with electrodes placed again: chest electrodes slightly off, QRS slightly different."""
        moved = 1 + _around(rng, 0.0, self.electrodes_moved, size=len(self.lead_gain)) * (np.arange(8) > 1)
        turned = self.frontal + _bounded(rng, 0.0, 3.0, 6.0)
        return replace(self, lead_gain=self.lead_gain * moved, frontal=float(turned))


@dataclass(frozen=True)
class Patient:
    """One subject of the cohort.

    Args:
        body: The body, the same in all ECGs.
        conditions: Keys of the findings that this patient's ECGs can show; none for a healthy one.
        times: Time of each ECG.
    """

    body: Body
    conditions: tuple[str, ...]
    times: tuple[datetime, ...]

    def age_at(self, time: datetime) -> int:
        """Return the age in years at a time, at most the highest age in the cohort."""
        return min(self.body.age + (time - self.times[0]).days // 365, AGES[1])


def draw_body(rng: np.random.Generator, difficulty: Difficulty = STANDARD) -> Body:
    """Draw a body.

    Args:
        rng: Random generator.
        difficulty: How much bodies differ.
    """
    return _with_deviations(_draw_shape(rng, difficulty), difficulty, rng)


def _draw_shape(rng: np.random.Generator, difficulty: Difficulty) -> Body:
    """Draw everything that every difficulty has, in an order that is never changed."""
    age = int(np.clip(rng.normal(58, 18), *AGES))
    female = bool(rng.random() < 0.5)
    return Body(
        age=age,
        female=female,
        resting_rate=float(_bounded(rng, 75.0 if female else 72.0, 9.0, 16.0)),
        pr=float(_around(rng, 0.152 + 0.0003 * (age - 50), difficulty.pr)),
        long_pr=float(rng.uniform(*difficulty.long_pr)),
        p_seconds=float(rng.uniform(0.090, 0.115)),
        qrs_seconds=float(_around(rng, 0.087 if female else 0.093, difficulty.qrs_seconds)),
        block_seconds=float(rng.uniform(*difficulty.block_seconds)),
        pvc_seconds=float(rng.uniform(0.135, 0.175)),
        pvc=str(rng.choice(["PVC-right", "PVC-left"])),
        qtc=float(_bounded(rng, 0.415 if female else 0.403, 0.013, 0.026)),
        # With age, the heart lies more to the left.
        frontal=float(_around(rng, -3.0 - 0.35 * (age - 50), difficulty.frontal)),
        horizontal=float(_around(rng, 0.0, difficulty.horizontal)),
        gain=float(np.exp(_around(rng, -0.06 if female else 0.06, difficulty.gain))),
        t_gain=float(np.exp(_around(rng, -0.10 if female else 0.05, difficulty.t_gain))),
        p_gain=float(np.exp(_bounded(rng, 0.0, 0.18, 0.35))),
        lvh_voltage=float(rng.uniform(*difficulty.lvh_voltage)),
        injury=float(rng.uniform(*difficulty.injury)),
        lead_gain=np.where(np.arange(8) > 1, np.exp(_around(rng, 0.0, difficulty.chest, size=8)), 1.0),
        jitter=np.clip(rng.standard_normal((len(PARTS), MOST_WAVES, 4)), -1.8, 1.8),
        wave_size=difficulty.wave_size,
        wave_lean=difficulty.wave_lean,
        most_voltage=difficulty.most_voltage,
        electrodes_moved=difficulty.electrodes_moved,
    )


def _with_deviations(body: Body, difficulty: Difficulty, rng: np.random.Generator) -> Body:
    """Return the body with what only a harder cohort draws."""
    if difficulty.t_turn is None:
        return body
    frontal, horizontal = _around(rng, 0.0, difficulty.t_turn, size=2)
    kinds, shares = [*difficulty.lookalikes, ""], list(difficulty.lookalikes.values())
    kind = str(rng.choice(kinds, p=[*shares, 1 - sum(shares)]))
    return replace(
        body,
        t_turn=(float(frontal), float(horizontal)),
        st_level=np.clip(rng.standard_normal(3), -2.5, 2.5) * difficulty.st_level,
        long_qt=float(rng.uniform(0.47, 0.54)),  # s; above 0.46 s in women and 0.45 s in men QT is prolonged
        lookalike=(kind, float(rng.uniform(*LOOKALIKE_PART))) if kind else ("", 0.0),
        strain=bool(rng.random() < difficulty.strain),
        fascicular=float(rng.uniform(55.0, 90.0)),
    )


def draw_patient(rng: np.random.Generator, difficulty: Difficulty = STANDARD) -> Patient:
    """Draw a patient with the times of all ECGs."""
    conditions = draw_conditions(rng, difficulty.rates)
    count = 1 if rng.random() < SINGLE else min(1 + int(rng.geometric(0.55)), MOST_RECORDS)
    # Dates lie in MIMIC's shifted years. An ECG is repeated after hours in the ward or after years.
    first = datetime(2110, 1, 1) + timedelta(minutes=int(rng.integers(0, 85 * 365 * 24 * 60)))
    hours = np.exp(rng.uniform(np.log(2), np.log(3 * 365 * 24), count - 1))
    later = np.cumsum(np.maximum(hours * 60, 1)).astype(int)
    times = (first, *(first + timedelta(minutes=int(minutes)) for minutes in later))
    return Patient(draw_body(rng, difficulty), conditions, times)


def _around(rng: np.random.Generator, mean: float, spread: Spread, size: int | None = None) -> Array:
    return _bounded(rng, mean, spread.sd, spread.most, size)


def _bounded(rng: np.random.Generator, mean: float, sd: float, most: float, size: int | None = None) -> Array:
    """Draw normal deviates whose distance from the mean is limited to `most`."""
    return mean + np.clip(sd * rng.standard_normal(size), -most, most)
