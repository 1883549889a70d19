"""How hard a simulated cohort is: variation between patients, noise, rates of the findings, and errors of the labels.

``standard`` has clear findings, little noise and true labels. ``hard`` adds what makes real ECGs hard. Each field of
`Difficulty` names its source, or says that we chose the value. A source is named only for what was found in it: often
that something varies, seldom by how much.
"""

from dataclasses import dataclass, field

from ecgkit.errors import ConfigError


@dataclass(frozen=True)
class Spread:
    """A normal distribution around a mean, cut off at a distance from it.

    Args:
        sd: Standard deviation.
        most: Largest distance from the mean.
    """

    sd: float
    most: float


@dataclass(frozen=True)
class Difficulty:
    """Everything by which the cohorts of two difficulties differ. The defaults are those of ``standard``, and ours.

    Args:
        frontal: Turn of the heart in the frontal plane, in degrees. Hard: ours. That the QRS axis of healthy adults
            changes with age, and most measurements differ between the sexes: Rijnbeek et al., J. Electrocardiol.
            47:914-921, 2014.
        horizontal: Turn in the horizontal plane, in degrees. Hard: ours.
        gain: Log of the factor on QRS. Hard: ours.
        t_gain: Log of the factor on T. Hard: ours. Low or flat T waves without a diagnosis are frequent: PTB-XL has
            non-diagnostic T abnormalities in 8 % of its records (Wagner et al., Sci. Data 7:154, 2020).
        t_turn: Turn of T against QRS in the frontal and in the horizontal plane, in degrees. Hard: the standard
            deviation of the spatial angle between QRS and T is 23 degrees in healthy women and 24 in healthy men of 18
            to 29 years (Scherptong et al., "The spatial QRS-T angle and the spatial ventricular gradient: normal limits
            for young adults"). That each of the two planes has it is ours.
        st_level: Standard deviation of the ST level along each axis in ECGs without ST elevation, in mV. Hard: ours.
            Early repolarisation of 0.1 mV or more, in inferior or lateral leads, is seen in 5.8 % of middle-aged
            adults (Tikkanen et al., N. Engl. J. Med. 361:2529-2537, 2009).
        chest: Log of the factor on each chest lead. Hard: ours.
        electrodes_moved: Change of each chest lead from one ECG of a patient to the next, as a part. Hard: chest
            electrodes are 1.14 inches (2.9 cm) from their place in routine ECGs, on average (Wenger and Kligfield, J.
            Electrocardiol. 29:179-184, 1996); the size of the effect is ours.
        wave_size: Log of the factor on each wave of P, QRS and T, per unit of the patient's own deviation. Hard: ours.
        wave_lean: Change of the direction of each wave, per unit of the patient's own deviation. Hard: ours.
        pr: PR interval in s.
        qrs_seconds: Duration of a normal QRS in s.
        long_pr: Range of PR in s with first-degree AV block. Hard: from the limit of 0.2 s on.
        block_seconds: Range of QRS in s with a bundle branch block. Hard: from the limit of 0.12 s on (Surawicz et al.,
            AHA/ACCF/HRS recommendations part III, Circulation 119:e235-e240, 2009).
        lvh_voltage: Range of SV1 + RV5 in mV with left ventricular hypertrophy. Hard: from the limit of 3.5 mV on
            (Sokolow and Lyon, Am. Heart J. 37:161-186, 1949).
        most_voltage: Largest SV1 + RV5 in mV of all others. Hard: ours; above the limit of 3.5 mV, so that voltage does
            not tell by itself.
        injury: Range of the factor on the ST level of an injury. Hard: down to the limit of 0.1 mV (Thygesen et al.,
            Fourth universal definition of myocardial infarction, Circulation 138:e618-e651, 2018).
        rate_margin: Distance that heart rates keep from the limits 60/min and 100/min, in 1/min; None for the rates of
            `rhythm.RATES`. Hard: almost none.
        sinus_depth: Range of the respiratory change of RR, as a part. Hard: ours.
        fibrillation_size: Range of the factor on the waves of atrial fibrillation. Hard: down to fine waves below
            0.05 mV, which nobody sees (ours).
        fibrillation_depth: Range of the coefficient of variation of RR in atrial fibrillation. Hard: ours.
        rates: Share of the records with each finding, by key of `findings.FINDINGS`; empty for the shares of that
            table. Hard: the shares in PTB-XL (Wagner et al., 2020; version 1.0.3 has 21,799 records), except for ST
            elevation, which PTB-XL has in 28 records only: too few to be scored in a test set.
        lookalikes: Share of the patients whose normal QRS has a part of the shape of another kind, without its label.
            Hard: the shares in PTB-XL 1.0.3 of an incomplete right bundle branch block (1,118 records), of an
            incomplete left one or an unspecific delay (864), and of the voltage of hypertrophy (875).
        strain: Share of the patients whose hypertrophy changes ST and T. Hard: fewer than half (ours).
        snr: Signal-to-noise ratio in dB of the eight independent leads before any filter: mean, spread. None draws the
            levels of `noise.draw_levels`. Hard: ours; the records of the MIT-BIH Noise Stress Test Database go from 24
            to -6 dB (the test is that of Moody, Muldrow and Mark, Comput. Cardiol. 11:381-384, 1984).
        reversed_arms: Share of the ECGs with the two arm electrodes exchanged. Hard: ours; some electrodes were
            exchanged in 0.4 % of the ECGs of outpatients and in 4 % of those in intensive care (Rudiger et al., Am. J.
            Emerg. Med. 25:174-178, 2007).
        missed: Share of the present findings that the label and the report leave out. Hard: ours. Readers err more
            often in tests: over 62 studies their median accuracy was 54 % before training (Cook, Oh and Pusic, JAMA
            Intern. Med. 180:1461-1471, 2020).
        added: Number of false findings per true one in the labels. Hard: ours.
        wrong_rhythm: Share of the ECGs labelled with another rhythm. Hard: ours; of 2,298 ECGs that a computer called
            atrial fibrillation, it was wrong in 19 % (Bogun et al., Am. J. Med. 117:636-642, 2004).
    """

    frontal: Spread = Spread(13.0, 22.0)
    horizontal: Spread = Spread(6.0, 11.0)
    gain: Spread = Spread(0.16, 0.32)
    t_gain: Spread = Spread(0.20, 0.36)
    t_turn: Spread | None = None
    st_level: float = 0.0
    chest: Spread = Spread(0.10, 0.18)
    electrodes_moved: Spread = Spread(0.05, 0.12)
    wave_size: float = 0.07
    wave_lean: float = 0.05
    pr: Spread = Spread(0.015, 0.028)
    qrs_seconds: Spread = Spread(0.007, 0.014)
    long_pr: tuple[float, float] = (0.215, 0.31)
    block_seconds: tuple[float, float] = (0.126, 0.160)
    lvh_voltage: tuple[float, float] = (3.9, 5.3)
    most_voltage: float = 3.15
    injury: tuple[float, float] = (0.9, 1.6)
    rate_margin: float | None = None
    sinus_depth: tuple[float, float] = (0.006, 0.035)
    fibrillation_size: tuple[float, float] = (0.6, 1.2)
    fibrillation_depth: tuple[float, float] = (0.17, 0.27)
    rates: dict[str, float] = field(default_factory=dict)
    lookalikes: dict[str, float] = field(default_factory=dict)
    strain: float = 1.0
    snr: tuple[float, Spread] | None = None
    reversed_arms: float = 0.0
    missed: float = 0.0
    added: float = 0.0
    wrong_rhythm: float = 0.0

    @property
    def true_labels(self) -> bool:
        """Whether labels and reports say what the signal shows."""
        return not (self.missed or self.added or self.wrong_rhythm)


PTBXL_RATES = {
    "AF": 0.069,
    "SB": 0.029,
    "STach": 0.038,
    "IAVB": 0.036,
    "LBBB": 0.025,
    "RBBB": 0.025,
    "LVH": 0.098,
    "PVC": 0.052,
    "LAnFB": 0.074,
    "LQT": 0.0054,
    "WPW": 0.0036,
    "STE-anterior": 0.004,
    "STE-inferior": 0.004,
    "STE-lateral": 0.004,
}

DIFFICULTIES: dict[str, Difficulty] = {
    "standard": Difficulty(),
    "hard": Difficulty(
        frontal=Spread(24.0, 46.0),
        horizontal=Spread(14.0, 28.0),
        gain=Spread(0.30, 0.60),
        t_gain=Spread(0.45, 0.90),
        t_turn=Spread(23.0, 50.0),
        st_level=0.035,
        chest=Spread(0.20, 0.40),
        electrodes_moved=Spread(0.12, 0.30),
        wave_size=0.20,
        wave_lean=0.15,
        pr=Spread(0.022, 0.050),
        qrs_seconds=Spread(0.010, 0.024),
        long_pr=(0.202, 0.30),
        block_seconds=(0.120, 0.155),
        lvh_voltage=(3.5, 4.6),
        most_voltage=4.2,
        injury=(0.45, 1.4),
        rate_margin=0.5,
        sinus_depth=(0.006, 0.10),
        fibrillation_size=(0.15, 1.0),
        fibrillation_depth=(0.12, 0.27),
        rates=PTBXL_RATES,
        lookalikes={"RBBB": 0.051, "LBBB": 0.040, "LVH": 0.040},
        strain=0.4,
        snr=(8.0, Spread(6.0, 14.0)),
        reversed_arms=0.01,
        missed=0.10,
        added=0.10,
        wrong_rhythm=0.05,
    ),
}
STANDARD = DIFFICULTIES["standard"]


def find_difficulty(name: str) -> Difficulty:
    """Return a difficulty by name.

    Raises:
        ConfigError: There is no difficulty of that name.
    """
    if name not in DIFFICULTIES:
        raise ConfigError(f"no difficulty {name!r}", f"one of {', '.join(DIFFICULTIES)}")
    return DIFFICULTIES[name]
