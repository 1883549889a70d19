"""A recording: two forms of one signal, cut, reduced and completed alike."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ecgkit.errors import LeadError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.signal.microvolts import MISSING, decode, encode

INT16 = arrays.arrays(np.int16, st.tuples(st.just(2), st.integers(1, 40)))


@given(INT16)
def test_microvolts_and_millivolts_are_one_signal(stored) -> None:
    recording = Recording(stored, 500.0, ("I", "II"))
    assert recording.stored is stored
    missing = stored == MISSING
    np.testing.assert_array_equal(np.isnan(recording.signal), missing)
    np.testing.assert_array_equal(recording.signal[~missing], stored[~missing].astype(np.float64) / 1000)
    again, clipped = encode(recording.signal)
    assert clipped == 0
    np.testing.assert_array_equal(again, stored)


@given(INT16)
def test_derived_leads_are_whole_microvolts_or_have_a_scaling_of_their_own(stored) -> None:
    one, two = np.where(stored == MISSING, np.nan, stored.astype(np.float64))
    full = Recording(stored, 500.0, ("I", "II")).with_derived_leads()
    assert full.leads == STANDARD_LEADS[:6]
    assert full.derived == ("III", "aVR", "aVL", "aVF")
    expected = np.array([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2])
    if np.nanmax(np.abs(np.rint(expected)), initial=0) <= 32767:
        assert full.stored is not None
        np.testing.assert_array_equal(full.stored, np.where(np.isnan(expected), MISSING, np.rint(expected)))
    else:
        assert full.scaling is not None
        np.testing.assert_array_equal(full.stored[:2], stored)
        steps = np.array(full.scaling.steps)[:, None]
        assert np.nanmax(np.abs(1000 * full.signal - expected) / steps) <= 0.5 + 1e-6


def test_floating_signals_stay_what_they_are() -> None:
    signal = np.array([[0.0004, np.nan]])
    recording = Recording(signal, 500.0, ("V1",))
    assert recording.stored is None
    assert recording.signal is signal


def test_parts_keep_their_peaks() -> None:
    stored = np.arange(20, dtype=np.int16).reshape(2, 10)
    recording = Recording(stored, 10.0, ("I", "II"), rpeaks=np.array([1, 4, 9]))
    part = recording.part(3, 9)
    assert part.stored is not None and part.rpeaks is not None
    np.testing.assert_array_equal(part.stored, stored[:, 3:9])
    assert part.rpeaks.tolist() == [1]
    assert (part.samples, part.seconds) == (6, 0.6)
    assert recording.part() is recording
    assert recording.part(0, 99) is recording
    assert recording.part(-2).samples == 2


def test_rows_are_taken_by_name_in_both_forms() -> None:
    stored = np.arange(6, dtype=np.int16).reshape(3, 2)
    recording = Recording(stored, 10.0, ("V1", "II", "I"), source_leads=("v1", "ii", "i"))
    for form in (recording, replace(recording, amplitudes=decode(stored, np.float64))):
        chosen = form.only(("I", "V1"))
        assert chosen.source_leads == ("i", "v1")
        assert (chosen.stored is None) == (form.stored is None)
        np.testing.assert_array_equal(chosen.signal, stored[[2, 0]] / 1000)
        assert form.ordered().leads == ("I", "II", "V1")
    assert recording.only(recording.leads) is recording
    with pytest.raises(LeadError, match="V6"):
        recording.only(("V6",))


def test_a_lead_set_without_unit_gets_no_derived_leads() -> None:
    recording = Recording(np.zeros((2, 4), np.int16), 10.0, ("I", "II"), "NU")
    assert recording.with_derived_leads() is recording


def test_it_travels_between_processes() -> None:
    recording = Recording(np.ones((1, 3), np.int16), 10.0, ("I",))
    assert recording.signal[0, 0] == 0.001
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(recording)).signal, recording.signal)
