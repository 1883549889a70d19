"""Explanations: a model whose reasons are known is explained by them, and the checks tell maps that mean nothing."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_shallow.nothing import NothingEncoder
from torch import nn

from ecgkit.beats.parts import PARTS, QRS, beat_parts
from ecgkit.cli.explain import _show, _show_summary
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError
from ecgkit.evaluation.analyses.attribution import attribute
from ecgkit.evaluation.analyses.explanation import explain_rows, summarise
from ecgkit.evaluation.analyses.map_checks import check_map
from ecgkit.evaluation.analyses.scorer import Scorer, record_input
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.own import OwnHead
from ecgkit.evaluation.heads.prevalence import PrevalenceHead
from ecgkit.evaluation.probe.classifier import Classifier
from ecgkit.evaluation.probe.kept import KeptEncoder, KeptHead, Output
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Encoder, Features
from ecgkit.plugins import host
from ecgkit.reporting.pictures.explanation import explanation_figure
from ecgkit.signal.spec import SignalSpec
from ecgkit.simulate.heart import sinus_heart
from ecgkit.store.reader import Store
from ecgkit.store.views import preview
from ecgkit.testing.case import Case
from ecgkit.training.supply import open_supplies
from tests.simulate.conftest import make_body, make_ecg
from tests.testing.test_families import SMALL

SPEC = SignalSpec(fs=50, seconds=4, eval_starts=(0.0, 4.0))
V2 = STANDARD_LEADS.index("V2")


class Planted(Encoder):
    """Reads V2 between 1 s and 2 s of each crop, linearly; a second output reads the rhythm of lead I alone."""

    width = 2

    def __init__(self) -> None:
        super().__init__()
        weight = torch.zeros(12, SPEC.samples)
        weight[V2, 50:100] = torch.linspace(0.5, 1.5, 50) * 3
        self.weight = nn.Parameter(weight)

    def forward(self, signal, lead_ids, lengths=None, *args, **kwargs) -> Features:
        one = (signal * self.weight[lead_ids]).sum((1, 2))
        two = signal[:, 0].square().mean(1)
        both = torch.stack([one, two], dim=1)
        return Features(pooled=both, logits=both)


class Neighbours(OwnHead):
    """A head without a gradient."""

    def logits(self, features):
        return None


def classifier(head: OwnHead) -> Classifier:
    encoder = KeptEncoder(name="planted", method="planted", preset="", config={}, weights="pretrained")
    outputs = (Output(name="ONE", title="one"), Output(name="TWO", title="two"))
    kept = KeptHead(
        head="own", title="own", settings=None, kind="classes", task="t", task_title="t", store="s", outputs=outputs,
        encoder=encoder, signal=SPEC, leads=SPEC.leads, needs=("logits",),
    )  # fmt: skip
    return Classifier(Path("result"), kept, Planted(), head, None)


def test_the_known_reasons_of_a_model_are_found(cohort_store: Path) -> None:
    store = Store(cohort_store)
    (found,) = explain_rows(classifier(OwnHead()), store, [4], "one")
    assert found.output == "ONE" and found.leads == STANDARD_LEADS and found.values.shape == (12, 400)
    where = np.flatnonzero(np.abs(found.values).sum(axis=0) > 1e-12)
    assert set(np.flatnonzero(np.abs(found.values).sum(axis=1))) == {V2}
    assert {*where.tolist()} <= {*range(50, 100), *range(250, 300)}
    # Of a linear score the map adds up to the difference from the flat record, lead by lead and part by part.
    assert found.values.sum() == pytest.approx(found.score - found.flat, rel=1e-4)
    assert found.without_lead[V2] == pytest.approx(found.score - found.flat, rel=1e-4)
    assert np.abs(np.delete(found.without_lead, V2)).max() < 1e-5
    assert np.nansum(found.without_part) == pytest.approx(found.score - found.flat, rel=1e-4)
    np.testing.assert_allclose(np.nansum(found.without, axis=0), np.nan_to_num(found.without_part), atol=1e-4)
    assert found.shares.sum() == pytest.approx(1) and found.shares[V2].sum() == pytest.approx(1)
    assert found.check.passed and found.check.fall > found.check.random_fall and found.check.likeness < 0.5
    assert found.probability == pytest.approx(1 / (1 + np.exp(-found.score)))


# CRT reads the phases of the spectrum. They jump where a record leaves the flat one, and no gradient shows a jump.
JUMPS = {"crt"}
FAMILIES = sorted({name for name, entry in host().entries(MethodEntry).items() if not entry.baseline} - JUMPS)


@pytest.mark.parametrize("name", FAMILIES)
def test_integrated_gradients_add_up_for_every_family(name: str) -> None:
    torch.manual_seed(0)
    case = Case(host().get(MethodEntry, name), settings=SMALL.get(name, "").split())
    encoder, spec = case.evaluated().encoder, case.config.signal
    own = classifier(OwnHead())
    kept = replace(own.kept, signal=spec, leads=spec.leads, needs=("pooled",))
    linear = replace(own, kept=kept, reader=encoder, head=nn.Linear(encoder.width, 2))
    view = preview(case.store, spec)
    scorer = Scorer(linear, record_input(view, 4, open_supplies(encoder.needs, case.store, view, owner=name)), 0)
    score, flat = scorer.score(torch.stack([scorer.record.signal, scorer.record.flat])).tolist()
    assert abs(score - flat) > 1e-6
    assert attribute(scorer, "gradients").sum() == pytest.approx(score - flat, rel=0.05)


def test_a_score_that_bends_at_the_start_of_the_path_adds_up(cohort_store: Path) -> None:
    class Scaled(Planted):
        """Scales each patch of 0.2 s of V2 to a deviation of 1, as encoders of patches do."""

        def forward(self, signal, lead_ids, lengths=None, *args, **kwargs) -> Features:
            patches = signal[:, V2].unflatten(-1, (-1, 10))
            one = (nn.functional.layer_norm(patches, (10,), eps=1e-6) * 3).sigmoid()[:, :, 4:6].sum((1, 2))
            both = torch.stack([one, one], dim=1)
            return Features(pooled=both, logits=both + 0 * self.weight.sum())

    store = Store(cohort_store)
    for row in (2, 4, 6):
        (found,) = explain_rows(replace(classifier(OwnHead()), reader=Scaled()), store, [row], "ONE")
        assert abs(found.score - found.flat) > 0.1
        assert found.values.sum() == pytest.approx(found.score - found.flat, rel=0.05)


@pytest.mark.parametrize("name", ["class_prevalence", "age_sex", "measurements"])
def test_a_baseline_that_reads_no_signal_has_no_gradient(name: str) -> None:
    case = Case(host().get(MethodEntry, name))
    encoder, spec = case.evaluated().encoder, case.config.signal
    own = classifier(OwnHead())
    kept = replace(own.kept, signal=spec, leads=spec.leads, needs=("pooled",))
    view = preview(case.store, spec)
    record = record_input(view, 4, open_supplies(encoder.needs, case.store, view, owner=name))
    with pytest.raises(ConfigError, match="no gradient.*--by occlusion"):
        attribute(
            Scorer(replace(own, kept=kept, reader=encoder, head=nn.Linear(encoder.width, 2)), record, 0), "gradients"
        )


def test_a_head_without_a_gradient_is_explained_by_occlusion(cohort_store: Path) -> None:
    store, neighbours = Store(cohort_store), classifier(Neighbours())
    with pytest.raises(ConfigError, match="--by occlusion"):
        list(explain_rows(neighbours, store, [4], "TWO"))
    (found,) = explain_rows(neighbours, store, [4], "TWO", way="occlusion")
    assert set(np.flatnonzero(np.abs(found.values).sum(axis=1) > 1e-9)) == {0}
    with pytest.raises(ConfigError, match=r"'THREE' is unknown.*ONE, TWO"):
        list(explain_rows(neighbours, store, [4], "THREE"))


def test_a_fall_that_rounds_to_zero_has_no_minus_sign(cohort_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = explain_rows(classifier(OwnHead()), Store(cohort_store), [4], "ONE")
    small = np.where(np.arange(12) % 2, -0.004, 0.004)
    small[V2] = -0.006
    check = replace(found.check, fall=-0.001, random_fall=-0.001, likeness=-0.001)
    none = replace(found, score=-0.001, flat=-0.002, without_lead=small, check=check, values=-1e-9 * found.values)
    _show(none, None, False)
    _show_summary(summarise([none, none]), None, False)
    shown = "".join(capsys.readouterr())
    assert "-0.00" not in shown
    assert shown.count("+0.00") >= 20 and shown.count("-0.01") == 2


def test_an_encoder_without_weights_has_no_likeness(cohort_store: Path) -> None:
    own = classifier(OwnHead())
    head = PrevalenceHead()
    head.restore({"mean": np.array([0.2, 0.3])}, Part(RecordFeatures({}, (), np.empty((0, 0))), np.empty((0, 2))))
    none = replace(own, reader=NothingEncoder(), head=head, kept=replace(own.kept, needs=("pooled",)))
    (found,) = explain_rows(none, Store(cohort_store), [4], "ONE", way="occlusion")
    assert not found.values.any() and found.check.likeness is None
    assert summarise([found]).likeness is None
    figure = explanation_figure(found, Store(cohort_store).recording(4), title="nothing")
    assert not any("likeness" in text.get_text() for text in figure.texts)


def test_a_map_that_means_nothing_fails_its_checks(cohort_store: Path) -> None:
    store, planted = Store(cohort_store), classifier(OwnHead())
    record = record_input(preview(store, SPEC), 4, {})
    shown = record.signal.abs().double().numpy()  # the signal itself, whatever the model learnt
    scorer = Scorer(planted, record, 0)
    assert not check_map(scorer, np.random.default_rng(0).normal(size=shown.shape), "gradients").passed
    shown[:, V2] = 0
    assert not check_map(scorer, shown, "gradients").passed


def test_several_records_are_summarised_and_one_is_drawn(cohort_store: Path) -> None:
    store = Store(cohort_store)
    found = list(explain_rows(classifier(OwnHead()), store, [2, 4, 6], "ONE"))
    summary = summarise(found)
    np.testing.assert_allclose(summary.shares, np.mean([one.shares for one in found], axis=0))
    np.testing.assert_allclose(summary.without_lead, np.mean([one.without_lead for one in found], axis=0))
    fewer = replace(found[0], leads=found[0].leads[:6], values=found[0].values[:6],
                    without_lead=found[0].without_lead[:6], without=found[0].without[:6])  # fmt: skip
    assert summarise([fewer, found[1]]).without_lead[V2] == found[1].without_lead[V2]
    figure = explanation_figure(found[0], store.recording(2), title="record $1$")
    bands = [artist for artist in figure.axes[0].collections if artist.get_gid() == "map"]
    assert len(bands) == 1  # of V2 alone; lead II is the rhythm strip
    assert len(figure.axes) == 3


@pytest.mark.parametrize("seed", range(4))
def test_parts_of_a_beat_follow_each_other_around_the_r_peak(seed: int) -> None:
    ecg = make_ecg(seed, "NSR")
    parts = beat_parts(ecg.clean, ecg.rpeaks, ecg.fs)
    inner = ecg.rpeaks[1:-1]
    assert (parts[inner] == QRS).all()
    for peak, following in pairwise(inner):
        stretch = parts[peak:following]
        order = [PARTS[stretch[0]], *(PARTS[p] for before, p in pairwise(stretch) if p != before)]
        assert [part for part in order if part != "between"] in (
            ["QRS", "ST", "T", "P"],
            ["QRS", "ST", "T", "P", "QRS"],
        )
    onset, end = sinus_heart(make_body(seed), ecg.findings).qrs_limits
    own = np.flatnonzero(parts[inner[1] - 100 : inner[1] + 100] == QRS) - 100
    assert own.min() / ecg.fs == pytest.approx(onset, abs=0.035) and own.max() / ecg.fs == pytest.approx(end, abs=0.035)
    assert (beat_parts(ecg.clean, np.array([], np.int64), ecg.fs) == PARTS.index("between")).all()
