"""Tables of loops: how each part of a beat moves the dipole, normally and in disease.

A row is (centre, rise, fall, x, y, z): time of the peak, width before and after it, and the dipole at the
peak in mV on Frank's axes (left, down, back). The directions follow textbook vectorcardiography (Chou, Helm
and Kaplan, "Clinical Vectorcardiography", 1974; Wagner and Strauss, "Marriott's Practical
Electrocardiography", 2014), the numbers are ours, tuned until the twelve leads look right through Dower's
matrix.

Times within P, QRS and T are only proportions: each loop is stretched to the duration that the patient has.
Times of an ST loop are parts of the way from the end of QRS (0) to the peak of T (1).
"""

Row = tuple[float, float, float, float, float, float]
Table = tuple[Row, ...]

# The right atrium first, to the front and the feet; then the left one, to the left and the back.
P_WAVE: Table = (
    (30, 14, 16, 0.040, 0.070, -0.045),
    (58, 17, 16, 0.080, 0.055, 0.030),
)

QRS: dict[str, Table] = {
    # Septum to the right and front, free wall to the left and down, base to the back.
    "normal": (
        (-19, 5.5, 6.0, -0.10, -0.05, -0.24),
        (0, 8.0, 9.0, 1.18, 0.80, 0.22),
        (17, 8.5, 9.0, -0.10, -0.26, 0.64),
    ),
    # The septum is crossed from right to left: no q, one slow broad loop to the left and back with a notch.
    "LBBB": (
        (-44, 10, 14, 0.30, 0.16, 0.00),
        (-20, 13, 18, 0.88, 0.42, 0.80),
        (27, 19, 15, 0.98, 0.16, 0.98),
        (52, 12, 14, 0.20, -0.10, 0.45),
    ),
    # The left side as ever, then the right ventricle alone, slowly to the right and front.
    "RBBB": (
        (-19, 5.5, 6.0, -0.10, -0.05, -0.26),
        (0, 8.0, 9.0, 1.15, 0.75, 0.16),
        (15, 7.5, 9.0, 0.06, -0.10, 0.40),
        (46, 13, 13, -0.42, -0.06, -0.66),
        (66, 12, 14, -0.20, -0.04, -0.36),
    ),
    # A thick left wall: the same way, more to the left and back, later in coming.
    "LVH": (
        (-22, 6.0, 7.0, -0.12, -0.06, -0.26),
        (0, 9.5, 10.5, 1.35, 0.62, 0.55),
        (19, 10.0, 10.0, 0.00, -0.28, 0.80),
    ),
    # An accessory pathway starts early: a slow delta wave before the normal way.
    "WPW": (
        (-46, 13, 14, 0.34, 0.16, -0.16),
        (-19, 5.5, 6.0, -0.06, -0.03, -0.14),
        (0, 8.0, 9.0, 1.18, 0.80, 0.22),
        (17, 8.5, 9.0, -0.10, -0.26, 0.64),
    ),
    # A focus in the right ventricle's outflow: like a left bundle branch block, but downwards.
    "PVC-right": (
        (-40, 16, 18, 0.25, 0.55, 0.25),
        (0, 22, 22, 0.75, 1.35, 1.15),
        (38, 16, 22, 0.20, 0.30, 0.65),
    ),
    # A focus in the left ventricle's lower wall: like a right bundle branch block, and upwards.
    "PVC-left": (
        (-38, 15, 18, -0.20, -0.45, -0.40),
        (0, 22, 23, -0.60, -1.20, -1.00),
        (42, 18, 20, -0.70, -0.35, -0.25),
    ),
}

# One slow rise and a faster fall. Where the order of activation is wrong or the wall strained, T opposes QRS.
T_WAVE: dict[str, Table] = {
    "normal": (
        (-62, 52, 50, 0.095, 0.065, -0.045),
        (0, 50, 33, 0.250, 0.190, -0.125),
    ),
    "LBBB": (
        (-60, 60, 50, -0.18, -0.05, -0.22),
        (0, 50, 36, -0.26, -0.06, -0.34),
    ),
    "RBBB": (
        (-55, 48, 46, 0.080, 0.050, 0.055),
        (0, 46, 33, 0.240, 0.170, 0.095),
    ),
    "LVH": (
        (-55, 60, 48, -0.10, -0.01, -0.11),
        (0, 46, 30, -0.21, -0.03, -0.20),
    ),
    "PVC-right": (
        (-60, 60, 52, -0.22, -0.32, -0.30),
        (0, 52, 38, -0.28, -0.42, -0.36),
    ),
    "PVC-left": (
        (-60, 60, 52, 0.24, 0.28, 0.24),
        (0, 52, 38, 0.32, 0.38, 0.30),
    ),
}

# A level that holds from the J point into T: injury points the vector at its territory.
_ST_PLATEAU = ((0.16, 0.14, 0.22), (0.52, 0.22, 0.26))


def plateau(x: float, y: float, z: float) -> Table:
    """Return an ST loop that holds a level, the dipole (x, y, z) in mV."""
    return tuple((*times, x, y, z) for times in _ST_PLATEAU)


ST_LEVEL: dict[str, Table] = {
    "STE-anterior": plateau(0.08, -0.06, -0.24),
    "STE-inferior": plateau(-0.04, 0.23, 0.03),
    "STE-lateral": plateau(0.24, -0.10, 0.09),
    # Less than the injury's, and sloping into T, whose rise carries the rest.
    "LBBB": plateau(-0.06, -0.02, -0.09),
    "LVH": plateau(-0.06, -0.01, -0.05),
    "PVC-right": plateau(-0.05, -0.08, -0.07),
    "PVC-left": plateau(0.05, 0.06, 0.05),
}

# Early in an infarct T stands with ST: the dipole added to T, in parts of the plateau's.
T_WITH_INJURY = 1.1
