import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgkit.errors import LeadError
from ecgkit.leads import (
    LEADS,
    STANDARD_LEADS,
    canonical_order,
    derive_limb_leads,
    find_lead,
    find_leads,
    lead_ids,
    limb_lead_fault,
    parse_leads,
    select_leads,
)
from tests.conftest import synthetic_signal


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AVR", ("aVR", 1)),
        ("avl", ("aVL", 1)),
        ("ii", ("II", 1)),
        ("DI", ("I", 1)),
        ("DIII", ("III", 1)),
        ("MLII", ("II", 1)),
        (" V1 ", ("V1", 1)),
        ("v6", ("V6", 1)),
        ("-aVR", ("aVR", -1)),
        ("ECG II", ("II", 1)),
        ("lead_V2", ("V2", 1)),
        ("vx", ("VX", 1)),
        ("MDC_ECG_LEAD_AVR", ("aVR", 1)),
        ("MDC_ECG_LEAD_V3R", ("V3R", 1)),
        ("D1", ("I", 1)),
        ("L3", ("III", 1)),
        ("Lead 1", ("I", 1)),
        ("V1-Ref", ("V1", 1)),
        ("ECG II-Lead", ("II", 1)),
        ("Abl. II", ("II", 1)),
        ("Dérivation aVL", ("aVL", 1)),
        ("Lead-I", ("I", 1)),
        ("EKG V3 (uV)", ("V3", 1)),
        ("aV-F", ("aVF", 1)),
        ("V_1", ("V1", 1)),
        ("C4", ("V4", 1)),
        ("F", ("aVF", 1)),
        ("rV4", ("V4R", 1)),
        ("C3R", ("V3R", 1)),
        ("V9", ("V9", 1)),
        ("Frank X", ("VX", 1)),
        ("Ⅲ", ("III", 1)),
        ("−aVR", ("aVR", -1)),
        ("ECG 1", None),
        ("I-II", None),
        ("1", None),
        ("C3-M2", None),
        ("V", None),
        ("ABP", None),
        ("", None),
        ("ECG", None),
        ("IV", None),
    ],
)
def test_names_and_aliases(name: str, expected: tuple[str, int] | None) -> None:
    assert find_lead(name) == expected


@given(st.sampled_from(LEADS), st.sampled_from([str.upper, str.lower, str.swapcase, lambda s: f"  {s} "]))
def test_every_spelling_of_every_lead_is_found(lead: str, spell) -> None:
    assert find_lead(spell(lead)) == (lead, 1)


def test_sets_and_lists_of_leads() -> None:
    assert parse_leads("12") == STANDARD_LEADS
    assert parse_leads("limb") == STANDARD_LEADS[:6]
    assert parse_leads("v2, i,AVF") == ("V2", "I", "aVF")
    for wrong in ("V7x", "I,I", "", "I,-II"):
        with pytest.raises(LeadError):
            parse_leads(wrong)


def test_rows_are_selected_by_name_and_a_missing_one_is_an_error() -> None:
    mimic_order = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
    signal = np.arange(24.0).reshape(12, 2)
    by_name = select_leads(signal, mimic_order, STANDARD_LEADS)
    assert by_name[4, 0] == signal[5, 0]
    assert by_name[5, 0] == signal[4, 0]
    with pytest.raises(LeadError, match="V1"):
        select_leads(signal[:6], STANDARD_LEADS[:6], ("I", "V1"))


@given(st.permutations(STANDARD_LEADS))
def test_canonical_order_and_ids_undo_any_permutation(names: list[str]) -> None:
    assert canonical_order(names) == STANDARD_LEADS
    assert [STANDARD_LEADS[i] for i in lead_ids(names)] == names


def test_derived_leads_equal_the_recorded_ones() -> None:
    signal = synthetic_signal()
    names = ("V1", "I", "II")
    some = select_leads(signal, STANDARD_LEADS, names)
    full, all_names, derived = derive_limb_leads(some, names)
    assert derived == ("III", "aVR", "aVL", "aVF")
    assert all_names == (*names, *derived)
    np.testing.assert_allclose(full, select_leads(signal, STANDARD_LEADS, all_names), atol=1e-12)


def test_nothing_is_derived_without_both_leads_and_gaps_stay_gaps() -> None:
    signal = synthetic_signal(leads=2)
    assert derive_limb_leads(signal, ("II", "V1"))[2] == ()
    signal[0, 3] = np.nan
    full, _, _ = derive_limb_leads(signal, ("I", "II"))
    assert np.isnan(full[2:, 3]).all()
    assert np.isfinite(full[2:, :3]).all()


def test_real_recordings_obey_the_relations(shared) -> None:
    """PTB-XL states II = I + III within 0.2 %; the z-scored copies do not keep it."""
    from ecgkit.datasets.ptb_xl import PTBXL

    for folder, holds in (("ptb-xl", True), ("ptb-xl-100hz-zscored", False)):
        dataset = PTBXL(shared / "data" / folder)
        for source in dataset.sources()[:10]:
            recording = dataset.read(source, dataset.header(source))
            one, two, three = (recording.signal[recording.leads.index(lead)] for lead in ("I", "II", "III"))
            residual = float(np.std(three - (two - one)) / np.std(two - one))
            assert (residual < 0.05) == holds, (folder, source.record_id, residual)


def limb(seed: int = 0, n: int = 1) -> np.ndarray:
    return np.stack([synthetic_signal(400, 12, seed=seed + i) for i in range(n)])


@pytest.mark.parametrize(
    ("rows", "signs", "fault"),
    [
        ((0, 1, 2, 3, 4, 5), (), ""),
        ((0, 1, 2, 3, 5, 4), (), "avf-avl-swapped"),
        ((0, 1, 2, 4, 3, 5), (), "limb-reversed"),
        ((1, 0, 2, 3, 4, 5), (), "limb-reversed"),
        ((0, 2, 1, 3, 4, 5), (), "limb-reversed"),
        ((0, 1, 2, 3, 4, 5), (0,), "limb-reversed"),
        ((0, 1, 2, 3, 4, 5), (3,), "limb-reversed"),
        ((0, 1, 2, 3, 4, 4), (), "inconsistent"),
        ((2, 0, 1, 5, 3, 4), (1,), "inconsistent"),
    ],
)
def test_limb_leads_that_contradict_each_other(rows, signs, fault) -> None:
    signal = limb(n=5)
    signal[:, :6] = signal[:, list(rows)]
    for row in signs:
        signal[:, row] *= -1
    assert set(limb_lead_fault(signal, STANDARD_LEADS).tolist()) == {fault}
    assert str(limb_lead_fault(signal[0], STANDARD_LEADS)) == fault
    scrambled = signal[:, ::-1]
    assert str(limb_lead_fault(scrambled[0], STANDARD_LEADS[::-1])) == fault, "rows go by name"


def test_electrodes_reversed_at_the_patient_cannot_be_told() -> None:
    signal = limb()[0]
    one, two, three, avr, avl, avf = signal[:6].copy()
    signal[:6] = -one, three, two, avl, avr, avf  # RA and LA exchanged: the machine computes all six from them
    assert str(limb_lead_fault(signal, STANDARD_LEADS)) == ""


def test_faults_are_told_only_where_they_can_be() -> None:
    signal = limb()[0]
    signal[[4, 5]] = signal[[5, 4]]
    assert str(limb_lead_fault(signal[[0, 1, 2, 4, 5]], ("I", "II", "III", "aVL", "aVF"))) == ""
    assert str(limb_lead_fault(np.zeros((12, 100)), STANDARD_LEADS)) == ""
    assert str(limb_lead_fault(np.full((12, 100), np.nan), STANDARD_LEADS)) == ""
    assert str(limb_lead_fault(signal[:, :0], STANDARD_LEADS)) == ""
    signal[:, 50:80] = np.nan
    assert str(limb_lead_fault(signal + np.arange(12)[:, None], STANDARD_LEADS)) == "avf-avl-swapped"
    rounded = np.rint(limb()[0] * 200) / 200
    assert str(limb_lead_fault(rounded, STANDARD_LEADS)) == ""


def test_faults_made_in_real_recordings_are_found(shared) -> None:
    from ecgkit.datasets.ptb_xl import PTBXL

    dataset = PTBXL(shared / "data" / "ptb-xl", fs=100)
    signal = np.stack([dataset.read(s, dataset.header(s)).signal for s in dataset.sources()[:100]])
    assert set(limb_lead_fault(signal, STANDARD_LEADS).tolist()) == {""}
    signal[:, [4, 5]] = signal[:, [5, 4]]
    found = limb_lead_fault(signal, STANDARD_LEADS).tolist()
    assert found.count("avf-avl-swapped") >= 95, "aVL and aVF are much alike in a few"
    assert set(found) <= {"avf-avl-swapped", ""}


def test_names_of_chest_leads_are_electrodes_beside_an_eeg() -> None:
    assert find_leads(["C3", "C4", "O1", "ECG II"]) == [None, None, None, ("II", 1)]
    assert find_leads(["I", "II", "C1", "F"]) == [("I", 1), ("II", 1), ("V1", 1), ("aVF", 1)]
