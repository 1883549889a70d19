"""The self-supervised baselines: TS-TCC's published network, masks, teachers, segments, and what they refuse.

`tests/nn/losses` compares their losses with stored values, and `tests/testing` runs every check of the kit on them.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ecgkit_ssl import presets
from ecgkit_ssl.clocs import Clocs
from ecgkit_ssl.clocs_config import PRESETS as CLOCS
from ecgkit_ssl.cpc import Cpc
from ecgkit_ssl.cpc_config import TINY as CPC
from ecgkit_ssl.distillation import Dino, MocoV3, SimSiam
from ecgkit_ssl.halves import halves
from ecgkit_ssl.jepa import Jepa
from ecgkit_ssl.masked_config import JEPA_PRESETS, Data2VecConfig
from ecgkit_ssl.masking import draw_hidden, draw_spans, hide_blocks
from ecgkit_ssl.patients import Cmsc, ThreeKg
from ecgkit_ssl.temporal import TemporalContext, TsTcc
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock
from ecgkit.nn.losses.nt_xent import nt_xent
from ecgkit.training.optimization import method_optimization
from tests.reference_vectors import Reference

TINY = JEPA_PRESETS["tiny"]


@pytest.mark.parametrize(("precision", "suffix"), [(torch.float64, ""), (torch.float32, "_f32")])
def test_ts_tcc_is_the_published_one(golden: Path, precision: torch.dtype, suffix: str) -> None:
    stored = Reference(golden / "ssl_tstcc.npz")
    c, tolerance = stored.sizes, {"atol": 1e-8, "rtol": 1e-7} if not suffix else {"atol": 1e-4, "rtol": 1e-4}
    config = presets.TsTccConfig(
        context=c["hidden"],
        context_depth=c["depth"],
        context_heads=c["heads"],
        context_hidden=c["mlp"],
        dropout=c["dropout"],
        ahead=c["timesteps"],
    )
    network = TemporalContext(c["channels"], config).to(precision).train()
    published = stored.weights()
    network.load_state_dict({own: published[name].view_as(p) for own, name, p in renamed(network)})
    z = [stored.tensor(f"z{i}").to(precision).requires_grad_() for i in (1, 2)]
    first, second = (F.normalize(x, dim=1).transpose(1, 2) for x in z)
    one, a = network.contrast(first, second, int(stored.tensor("t1")))
    two, b = network.contrast(second, first, int(stored.tensor("t2")))
    contextual = nt_xent(a, b, c["temperature"])
    loss = c["lambda_temporal"] * (one + two) + c["lambda_contextual"] * contextual
    gradients = torch.autograd.grad(loss, z)
    found = {
        "temporal1": one,
        "temporal2": two,
        "context1": a,
        "context2": b,
        "contextual": contextual,
        "loss": loss,
        "grad_z1": gradients[0],
        "grad_z2": gradients[1],
    }
    for name, value in found.items():
        np.testing.assert_allclose(value.detach(), stored[name + suffix], **tolerance, err_msg=name)


def renamed(network: TemporalContext) -> list[tuple[str, str, Tensor]]:
    """Return our name, the published name and the value of every weight and buffer."""
    names = {
        "enter": "seq_transformer.patch_to_embedding",
        "project": "projection_head",
        "ahead": "Wk",
        "norm1": "0.fn.norm",
        "attn.qkv": "0.fn.fn.to_qkv",
        "attn.proj": "0.fn.fn.to_out.0",
        "norm2": "1.fn.norm",
        "mlp.fc1": "1.fn.fn.net.0",
        "mlp.fc2": "1.fn.fn.net.3",
    }
    found = []
    for own, value in network.state_dict().items():
        if own == "token":
            found.append((own, "seq_transformer.c_token", value))
        elif own.startswith("blocks."):
            _, number, part = own.split(".", 2)
            module, kind = part.rsplit(".", 1)
            found.append((own, f"seq_transformer.transformer.layers.{number}.{names[module]}.{kind}", value))
        else:
            head, rest = own.split(".", 1)
            found.append((own, f"{names[head]}.{rest}", value))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_hidden_tokens_lie_in_blocks(seed: int) -> None:
    mask = hide_blocks(200, 160, 10, np.random.default_rng(seed))
    assert mask.sum() == 160
    edges = np.flatnonzero(np.diff(np.pad(mask, 1).astype(int)))
    assert (edges[1::2] - edges[::2]).max() >= 10


def test_masks_keep_the_share_and_hide_no_padding() -> None:
    torch.manual_seed(0)
    real = torch.arange(100) < torch.tensor([100, 40, 1, 2])[:, None]
    hidden = draw_hidden(real, (0.15, 0.25), 5)
    assert not (hidden & ~real).any()
    visible = (real & ~hidden).sum(1)
    assert 15 <= visible[0] <= 25
    assert 6 <= visible[1] <= 10
    assert visible[2:].tolist() == [1, 1]


def test_spans_have_their_length_and_share() -> None:
    torch.manual_seed(0)
    real = torch.arange(400) < torch.tensor([400, 400, 30, 1])[:, None]
    masked = draw_spans(real, 10, 0.065)
    assert not (masked & ~real).any()
    assert masked.any(1).all()
    edges = np.flatnonzero(np.diff(np.pad(masked[0].numpy(), 1).astype(int)))
    assert ((edges[1::2] - edges[::2])[:-1] >= 10).all()
    many = draw_spans(torch.ones(2000, 200, dtype=torch.bool), 10, 0.065)
    assert float(many[:, 20:].float().mean()) == pytest.approx(1 - (1 - 0.065) ** 10, abs=0.01)


def test_the_teacher_starts_as_the_student_and_follows_it() -> None:
    torch.manual_seed(0)
    method = Jepa(TINY)
    weight, start = method.student.norm.weight, method.encoder.norm.weight.clone()
    assert torch.equal(weight, start)
    assert not any(p.requires_grad for p in method.encoder.parameters())
    with torch.no_grad():
        weight.add_(1.0)
    method.after_step(Clock.at(0, 10, 1))
    assert torch.allclose(method.encoder.norm.weight, start + 1 - TINY.momentum[0], atol=1e-6)


def test_a_student_never_sees_what_is_hidden() -> None:
    """Changing a hidden stretch of the signal changes the target, and not what the student makes of the rest."""
    method = Jepa(TINY).eval()
    signal = torch.randn(1, 12, TINY.signal.samples, generator=torch.Generator().manual_seed(0))
    real = method.student.real_tokens(signal, None)
    torch.manual_seed(3)
    hidden = draw_hidden(real, TINY.keep, TINY.shortest)
    changed = signal.clone()
    changed[:, :, hidden[0].repeat_interleave(TINY.patch)] += 1.0
    seen: list[Tensor] = []
    for x in (signal, changed):
        torch.manual_seed(3)
        handle = method.predictor.register_forward_hook(lambda m, a, out: seen.append(out))
        method.training_step(Batch(x, torch.arange(12), torch.arange(1)), Clock.end())
        handle.remove()
    assert torch.equal(*seen)


def test_both_halves_are_of_what_is_real() -> None:
    signal = torch.arange(1.0, 11.0).expand(2, 3, 10)
    (first, half), (second, _) = halves(signal, torch.tensor([10, 6]))
    assert half.tolist() == [5, 3]
    assert first[:, 0].tolist() == [[1, 2, 3, 4, 5], [1, 2, 3, 0, 0]]
    assert second[:, 0].tolist() == [[6, 7, 8, 9, 10], [4, 5, 6, 0, 0]]


@pytest.mark.parametrize(("preset", "views"), [("cmsc", 2), ("cmlc", 3), ("cmsmlc", 6)])
def test_every_loss_of_clocs_has_its_views(preset: str, views: int) -> None:
    method = Clocs(replace(CLOCS["tiny"], compare=CLOCS[preset].compare))
    patients = {"patients": torch.tensor([0, 0, 1, 2])}
    batch = Batch(torch.randn(4, 3, 1000), torch.arange(3), torch.arange(4), extra=patients)
    assert method.views(batch).shape[-1] == views


def small(config: Any, **more: Any) -> Any:
    return replace(config, channels=4, projector_hidden=8, **more)


def with_views(count: int, records: int = 4, **extra: Tensor) -> Batch:
    torch.manual_seed(0)
    signal = torch.randn(records, 12, 200)
    views = torch.randn(records, count, 12, 200)
    return Batch(signal, torch.arange(12), torch.arange(records), extra={"views": views, **extra})


def inputs_of(module: nn.Module, method: Any, batch: Batch) -> list[Tensor]:
    """Return the signals that a network is given in a step."""
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda m, arguments: seen.append(arguments[0]))
    method.training_step(batch, Clock.at(1, 10, 1))
    handle.remove()
    return seen


def test_cmsc_sees_one_half_of_each_view_with_leads_hidden() -> None:
    method = Cmsc(small(presets.CMSC["tiny"], projection=4))
    batch = with_views(2, patients=torch.tensor([0, 0, 1, 2]))
    first, second = inputs_of(method.encoder, method, batch)
    assert torch.equal(first, batch.extra["views"][:, 0, :, :100])
    assert torch.equal(second, batch.extra["views"][:, 1, :, 100:])
    (masks,) = presets.CMSC["resnet18"].views.augmentations
    assert (masks.name, masks.settings["p"]) == ("lead_dropout", 0.5)
    assert presets.SIMCLR["lead-masks"].views == presets.CMSC["resnet18"].views


def test_3kg_turns_the_heart_and_draws_patients_together() -> None:
    names = [augment.name for augment in presets.THREE_KG["resnet18"].views.augmentations]
    assert names == ["vcg", "lead_timeout"]
    method = ThreeKg(small(presets.THREE_KG["tiny"], projection=4)).eval()
    batches = [with_views(2, patients=torch.tensor(patients)) for patients in ([0, 1, 2, 3], [0, 0, 2, 3])]
    losses = [method.training_step(batch, Clock.end()).loss.item() for batch in batches]
    assert losses[0] != losses[1]  # rows of one patient are positives, and in no denominator


def test_the_teacher_of_dino_sees_global_views_alone() -> None:
    config = small(presets.DINO["tiny"], bottleneck=4, prototypes=6)
    method, batch = Dino(config), with_views(config.views.count)
    views = batch.extra["views"].unbind(1)
    assert all(map(torch.equal, inputs_of(method.encoder, method, batch), views[:2]))
    student = inputs_of(method.student, method, batch)
    assert len(student) == len(views) == 4
    assert all(map(torch.equal, student, views))
    shares = {a.views: a.settings["share"] for a in config.views.augmentations if a.name == "crop_resize"}
    assert shares == {(0, 1): [0.5, 1.0], (2, 3): [0.2, 0.5]}


def test_each_query_of_moco_v3_has_its_key_in_the_other_view() -> None:
    method = MocoV3(small(presets.MOCO_V3["tiny"], projection=4)).eval()
    batch = with_views(2)
    turned = replace(batch, extra={"views": batch.extra["views"].flip(1)})
    one, other = (method.training_step(x, Clock.end()).loss.item() for x in (batch, turned))
    assert one == pytest.approx(other, rel=1e-5)
    same = replace(batch, extra={"views": batch.extra["views"][:, :1].expand(-1, 2, -1, -1)})
    assert method.training_step(same, Clock.end()).loss.item() != pytest.approx(one, rel=1e-3)
    assert all(map(torch.equal, inputs_of(method.teacher, method, batch), batch.extra["views"].unbind(1)))


def test_a_context_of_ts_tcc_sees_no_later_step() -> None:
    method = TsTcc(replace(presets.TS_TCC["tiny"], channels=4)).eval()
    steps, other = torch.randn(2, 3, 13, method.encoder.width)
    later, earlier = steps.clone(), steps.clone()
    later[:, 5:] += 1
    earlier[:, 4] += 1
    loss, seen = method.context.contrast(steps, other, 4)
    for changed, same in ((later, True), (earlier, False)):
        found, context = method.context.contrast(changed, other, 4)
        assert torch.equal(context, seen) == torch.equal(found, loss) == same
    weak, strong = ({a.name for a in presets.TS_TCC["published"].views.augmentations if i in a.views} for i in range(2))
    assert (weak, strong) == ({"scaling_tstcc"}, {"permutation", "jitter_tstcc"})


def test_a_context_of_cpc_knows_nothing_of_what_follows() -> None:
    torch.manual_seed(0)
    method = Cpc(CPC).eval()
    signal, ids = torch.randn(2, 12, 1000), torch.arange(12)
    changed = signal.clone()
    changed[..., 600:] = 0
    a, b = (method.encoder(x, ids).tokens for x in (signal, changed))
    last = 600 // CPC.stride - 1  # the last step whose convolution may reach over the cut is the one before
    torch.testing.assert_close(a[:, : last - 1], b[:, : last - 1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(a[:, last + 1 :], b[:, last + 1 :], atol=1e-2)


def test_negatives_of_cpc_are_real_and_wrong() -> None:
    method, k = Cpc(CPC), CPC.ahead
    real = torch.arange(CPC.steps) < torch.tensor([CPC.steps, 40, 1])[:, None]
    ids = method.draw_negatives(real, k)
    assert not (ids == torch.arange(k, CPC.steps)[:, None]).any()
    assert ids[0].max() == CPC.steps - 1
    assert ids[1, : 40 - k].max() < 40


def test_only_the_predictor_of_simsiam_keeps_its_learning_rate() -> None:
    config = replace(presets.SIMSIAM["tiny"], channels=4, projector_hidden=8, projection=4)
    method = SimSiam(config)
    optimization = method_optimization(method, config.recipe, torch.device("cpu"))
    optimization.set_rates(Clock.at(99, 100, 20))
    predictor = set(method.predictor.parameters())
    for group in optimization.groups:
        still = {p in predictor for p in group["params"]}
        assert len(still) == 1
        assert (group["lr"] == config.recipe.peak_lr) == still.pop()


def test_prototypes_stand_still_in_the_first_epoch() -> None:
    config = replace(presets.DINO["tiny"], channels=4, projector_hidden=8, bottleneck=4, prototypes=6)
    method = Dino(config)
    views = {"views": torch.randn(3, config.views.count, 12, 200)}
    batch = Batch(torch.randn(3, 12, 200), torch.arange(12), torch.arange(3), extra=views)
    for step, moves in ((0, False), (10, True)):
        method.zero_grad()
        method.training_step(batch, Clock.at(step, 200, 20)).loss.backward()
        assert bool(method.head.prototypes.grad.any()) == moves
        assert method.head.mlp[0].weight.grad.any()
    assert not method.centre.value.any()  # it moves after the step
    method.after_step(Clock.at(0, 200, 20))
    assert method.centre.value.any()


@pytest.mark.parametrize(
    ("config", "wrong", "named"),
    [
        (TINY, {"keep": (0.3, 0.2)}, "keep"),
        (TINY, {"width": 47}, "multiple of heads"),
        (CLOCS["tiny"], {"kernel": 4}, "odd"),
        (CLOCS["tiny"], {"temperature": 0}, "temperature"),
        (presets.SIMCLR["tiny"], {"temperature": 0}, "temperature"),
        (presets.BYOL["tiny"], {"momentum": (0.9, 1.1)}, "momentum"),
        (presets.VICREG["tiny"], {"weights": (0.0, 0.0, 0.0)}, "weights"),
        (presets.TS_TCC["tiny"], {"context": 33}, "context_heads"),
        (Data2VecConfig(), {"layers": 13}, "layers"),
    ],
)
def test_settings_that_cannot_be_are_refused(config: Any, wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(config, **wrong)
