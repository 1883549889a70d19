import numpy as np
import pytest

from ecgkit.leads import LEAD_SETS, STANDARD_LEADS, derive_limb_leads
from ecgkit.simulate import shapes
from ecgkit.simulate.dipole import EDGE, INDEPENDENT_LEADS, Loop, project, rotation, twelve_leads

LOOP = Loop.from_table(shapes.QRS["normal"])


def slow_dipole(loop: Loop, times: np.ndarray) -> np.ndarray:
    out = np.zeros((3, len(times)))
    for wave in range(len(loop.centre)):
        for sample, time in enumerate(times):
            offset = time - loop.centre[wave]
            width = loop.rise[wave] if offset < 0 else loop.fall[wave]
            out[:, sample] += loop.vector[wave] * np.exp(-(offset**2) / (2 * width**2))
    return out


@pytest.mark.parametrize("kind", shapes.QRS)
def test_loop_against_a_plain_sum(kind: str) -> None:
    loop, times = Loop.from_table(shapes.QRS[kind]), np.linspace(-0.1, 0.1, 61)
    np.testing.assert_allclose(loop.at(times), slow_dipole(loop, times), atol=1e-12)


def test_nothing_is_left_beyond_reach() -> None:
    for loop in (LOOP, Loop.from_table(shapes.T_WAVE["LBBB"])):
        assert np.abs(loop.at(np.array(loop.reach))).max() < 1e-4


def test_landmarks_lie_at_the_edge_of_the_magnitude() -> None:
    onset, peak, end = LOOP.landmarks()
    at = np.linalg.norm(LOOP.at(np.array([onset, peak, end])), axis=0)
    assert onset < peak < end
    np.testing.assert_allclose(at[[0, 2]] / at[1], EDGE, rtol=0.25)  # a grid step on a steep slope


def test_stretch_and_shift_carry_the_landmarks_along() -> None:
    moved = LOOP.stretched(1.7).shifted(0.3).louder(2.0).turned(rotation(30, 10))
    np.testing.assert_allclose(moved.landmarks(), 1.7 * np.array(LOOP.landmarks()) + 0.3, atol=1.5e-3)


def test_join_adds() -> None:
    times = np.linspace(-0.1, 0.5, 50)
    other = Loop.from_table(shapes.T_WAVE["normal"]).shifted(0.3)
    np.testing.assert_allclose(Loop.join([LOOP, other]).at(times), LOOP.at(times) + other.at(times), atol=1e-12)


def test_rotation_turns_left_to_feet_and_to_back() -> None:
    left = np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(rotation(90, 0) @ left, [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(0, 90) @ left, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rotation(25, -40) @ rotation(25, -40).T, np.eye(3), atol=1e-12)


def test_leads_see_the_side_they_lie_on() -> None:
    rows = dict(zip(INDEPENDENT_LEADS, project(np.eye(3)), strict=True))  # columns: left, down, back
    assert rows["I"][0] > 0.5
    assert rows["II"][1] > 0.9
    assert rows["V2"][2] < -1.2
    assert rows["V6"][0] > 0.8
    assert rows["V1"][0] < -0.4


def test_twelve_leads_obey_einthoven_and_goldberger() -> None:
    leads = np.random.default_rng(0).standard_normal((8, 100))
    signal = twelve_leads(leads)
    assert signal.shape == (12, 100)
    derived, names, _ = derive_limb_leads(signal[:2], ("I", "II"))
    np.testing.assert_allclose(derived, signal[[STANDARD_LEADS.index(name) for name in names]], atol=1e-12)
    rows = [STANDARD_LEADS.index(name) for name in LEAD_SETS["8"]]
    np.testing.assert_array_equal(signal[rows], leads)
