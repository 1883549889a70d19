"""A synthetic 12-lead cohort, in the layout of MIMIC-IV-ECG, for trying everything without a download.

The heart is a moving dipole seen by twelve leads (`dipole`, `shapes`, `heart`), beating in a rhythm
(`rhythm`), in patients with lasting bodies and conditions (`patient`, `findings`), disturbed (`noise`),
measured and reported (`measure`, `report`). `simulate_ecg` makes one ECG in memory, `simulate_cohort` a
folder of them.
"""

from ecgkit.simulate.cohort import CohortSummary, simulate_cohort
from ecgkit.simulate.ecg import SimulatedECG, simulate_ecg
from ecgkit.simulate.patient import Body, draw_body

__all__ = ["Body", "CohortSummary", "SimulatedECG", "draw_body", "simulate_cohort", "simulate_ecg"]
