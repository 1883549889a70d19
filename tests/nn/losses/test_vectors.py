"""Every loss and head against its stored values, in float64 and float32, with the sizes that the files have."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.nn.ema import follow
from ecgkit.nn.losses.barlow_twins import barlow_twins_loss, cross_correlation, redundancy
from ecgkit.nn.losses.byol import byol_loss
from ecgkit.nn.losses.clocs import clocs_loss
from ecgkit.nn.losses.cmsc import cmsc_loss
from ecgkit.nn.losses.code_prediction import code_errors
from ecgkit.nn.losses.cpc import ahead_contrast, other_steps
from ecgkit.nn.losses.data2vec import layer_targets, spread, token_errors
from ecgkit.nn.losses.dino import Centre, dino_loss, teacher_temperature
from ecgkit.nn.losses.dinosr import Codebooks
from ecgkit.nn.losses.dinosr import normalized as normalized_layers
from ecgkit.nn.losses.jepa import jepa_loss, normalized
from ecgkit.nn.losses.key_queue import KeyQueue, queue_contrast
from ecgkit.nn.losses.moco_v3 import key_contrast, moco_v3_loss
from ecgkit.nn.losses.nt_xent import nt_xent
from ecgkit.nn.losses.simsiam import output_deviation, simsiam_loss
from ecgkit.nn.losses.threekg import threekg_loss
from ecgkit.nn.losses.vicreg import vicreg_parts
from ecgkit.nn.masking import gather_tokens
from ecgkit.nn.projectors import PrototypeHead, projector
from tests.reference_vectors import Reference


class Vectors(Reference):
    """A file of vectors in one of its two precisions.

    Args:
        file: The file.
        double: Whether to compute in float64.
        atol: Tolerance in float32.
    """

    def __init__(self, file: Path, double: bool, atol: float) -> None:
        super().__init__(file)
        self.double = double
        self.tolerance = {"atol": 1e-8, "rtol": 1e-7} if double else {"atol": atol, "rtol": 1e-4}

    def input(self, name: str) -> Tensor:
        """Return an input that wants a gradient."""
        return torch.from_numpy(self[name]).to(torch.float64 if self.double else torch.float32).requires_grad_()

    def inputs(self, *names: str) -> list[Tensor]:
        return [self.input(name) for name in names]

    def check(self, value: Tensor, name: str) -> None:
        """Compare with the stored output of this precision."""
        np.testing.assert_allclose(value.detach(), self[name if self.double else f"{name}_f32"], **self.tolerance)

    def gradients(self, loss: Tensor, **named: Tensor) -> None:
        """Compare the gradients of a loss with those stored."""
        for (name, _), found in zip(
            named.items(), torch.autograd.grad(loss, list(named.values()), retain_graph=True), strict=True
        ):
            self.check(found, name)

    def without_lengths(self, loss: Tensor, z: Tensor, name: str) -> None:
        """Compare with a stored gradient that takes the lengths of embeddings for constants: it lacks a projection."""
        (found,) = torch.autograd.grad(loss, z)
        stored = self.input(name).detach()
        u = F.normalize(z.detach(), dim=1)
        np.testing.assert_allclose(found, stored - u * (u * stored).sum(1, keepdim=True), **self.tolerance)

    def module(self, module: nn.Module, prefix: str = "sd/") -> nn.Module:
        """Return the module with the stored weights."""
        own = module.state_dict()
        stored = {name: value for name, value in self.weights(prefix).items() if name in own}
        module.load_state_dict(stored)
        return module.to(torch.float64 if self.double else torch.float32)

    def cases(self, stem: str) -> Iterator[str]:
        """Yield the numbers of the cases that the file holds."""
        return (name.removeprefix(stem) for name in self.arrays if name.removeprefix(stem).isdigit())


Load = Callable[..., Vectors]


@pytest.fixture(params=[True, False], ids=["float64", "float32"])
def load(request: pytest.FixtureRequest, golden: Path) -> Load:
    return lambda name, atol=1e-5: Vectors(golden / f"ssl_{name}.npz", request.param, atol)


def test_nt_xent(load: Load) -> None:
    v = load("ntxent")
    for j in v.cases("loss"):
        a, b = v.inputs(f"a{j}", f"b{j}")
        loss = nt_xent(a, b, float(v[f"temperature{j}"]))
        v.check(loss, f"loss{j}")
        v.gradients(loss, **{f"ga{j}": a, f"gb{j}": b})
    z = v.input("fairseq_z_interleaved")
    loss = nt_xent(z[1::2], z[::2], v.sizes["tstcc_temperature"])
    v.check(loss, "tstcc_loss")
    (found,) = torch.autograd.grad(loss, z)
    v.check(found[::2], "tstcc_ga")
    v.check(found[1::2], "tstcc_gb")
    # fairseq-signals adds the rows up, and takes the lengths for constants, so its gradient lacks a projection.
    total = len(z) * nt_xent(z[1::2], z[::2], v.sizes["fairseq_temperature"])
    v.check(total, "fairseq_loss_sum")
    v.without_lengths(total, z, "fairseq_grad_detached_norm")


def test_nt_xent_over_processes_is_that_of_the_joined_batch(load: Load) -> None:
    v = load("ntxent")
    a, b = v.inputs("gather_a", "gather_b")
    loss = nt_xent(a.flatten(0, 1), b.flatten(0, 1), float(v["gather_temperature"]))
    ranks = v["gather_loss" if v.double else "gather_loss_f32"]
    np.testing.assert_allclose(loss.detach(), ranks.mean(), **v.tolerance)
    v.gradients(loss * len(ranks), gather_ga=a, gather_gb=b)


def test_a_queue_of_keys_that_wraps(load: Load) -> None:
    v = load("ntxent")
    queue = KeyQueue(*v["queue_init"].shape)
    queue.to(torch.float64 if v.double else torch.float32).keys.copy_(v.tensor("queue_init"))
    for j, (q, k) in enumerate(zip(v.input("queue_q"), v.input("queue_k"), strict=True)):
        loss = queue_contrast(q, k, queue.keys, float(v["queue_temperature"]))
        v.check(loss, f"queue_loss{j}")
        v.gradients(loss, **{f"queue_gq{j}": q})
        queue.collect(k)
        queue.update()
        v.check(queue.keys, f"queue_bank{j}")
        assert queue.pointer == v[f"queue_ptr{j}"].item()


def test_byol_with_its_heads(load: Load) -> None:
    v = load("byol")
    inside, hidden, out = v.sizes["features"], v.sizes["hidden"], v.sizes["out"]
    student = v.module(projector([inside, hidden, out]), "sd/projector.layers.").train()
    target = v.module(projector([inside, hidden, out]), "sd/target_projector.layers.").train()
    predictor = v.module(projector([out, hidden, out]), "sd/predictor.layers.").train()
    f = v.inputs("f0", "f1")
    projected = [student(x) for x in f]
    predicted = [predictor(z) for z in projected]
    with torch.no_grad():
        targets = [target(x) for x in f]
    for i in range(2):
        v.check(projected[i], f"projection{i}")
        v.check(predicted[i], f"prediction{i}")
        v.check(targets[i], f"target{i}")
    loss = byol_loss(tuple(predicted), tuple(targets))
    v.check(loss, "loss")
    v.check(loss - 4, "loss_minus_cos")
    v.gradients(loss, grad_f0=f[0], grad_f1=f[1])
    names = {f"grad/projector.layers.{n}": p for n, p in student.named_parameters()}
    v.gradients(loss, **names, **{f"grad/predictor.layers.{n}": p for n, p in predictor.named_parameters()})
    for prefix, module in (("projector", student), ("target_projector", target)):
        for name in ("1.running_mean", "1.running_var"):
            v.check(module.state_dict()[name], f"after/{prefix}.layers.{name}")
    loss.backward()
    torch.optim.SGD(student.parameters(), lr=v.sizes["sgd_lr"]).step()
    follow(target, student, v.sizes["momentum"])
    for name, p in target.named_parameters():
        v.check(p, f"ema/target_projector.layers.{name}")
    own, other = (dict(module.named_buffers()) for module in (target, student))
    for name in ("1.running_mean", "1.running_var"):
        averaged = nn.Module()
        averaged.register_buffer("kept", own[name].clone())
        moved = nn.Module()
        moved.register_buffer("kept", other[name])
        follow(averaged, moved, v.sizes["momentum"], buffers=True)
        v.check(averaged.get_buffer("kept"), f"ema_buffers/target_projector.layers.{name}")


def test_simsiam_with_its_heads(load: Load) -> None:
    v = load("simsiam")
    inside, dim = v.sizes["features"], v.sizes["dim"]
    project = v.module(projector([inside, inside, inside, dim], "biased-plain-norm"), "sd/encoder.fc.").train()
    predict = v.module(projector([dim, v.sizes["pred_dim"], dim]), "sd/predictor.").train()
    f = v.inputs("f0", "f1")
    z = [project(x) for x in f]
    p = [predict(x) for x in z]
    for i in range(2):
        v.check(z[i], f"z{i + 1}")
        v.check(p[i], f"p{i + 1}")
    loss = simsiam_loss(tuple(p), tuple(z))
    v.check(loss, "loss")
    v.check(output_deviation(z[0]), "output_std")
    v.gradients(loss, grad_f0=f[0], grad_f1=f[1])
    parts = {"encoder.fc": project, "predictor": predict}
    for name, module in parts.items():
        trained = {n: x for n, x in module.named_parameters() if x.requires_grad}
        v.gradients(loss, **{f"grad/{name}.{n}": x for n, x in trained.items()})
        for n, x in module.named_buffers():
            if "running" in n:
                v.check(x, f"after/{name}.{n}")


def test_barlow_twins_and_vicreg(load: Load) -> None:
    v = load("barlow_vicreg")
    weight = v.sizes["barlow_lambda"]
    weights = tuple(v.sizes["vicreg"][part] for part in ("invariance", "variance", "covariance"))
    for j in v.cases("barlow_loss"):
        a, b = v.inputs(f"a{j}", f"b{j}")
        loss = barlow_twins_loss(a, b, weight)
        v.check(loss, f"barlow_loss{j}")
        v.gradients(loss, **{f"barlow_ga{j}": a, f"barlow_gb{j}": b})
        v.check(cross_correlation(a, b), f"barlow_c{j}")
        parts = vicreg_parts(a, b, weights)
        for (name, value), w in zip(parts.items(), weights, strict=True):
            v.check(value / w, f"vicreg_{name}{j}")
        loss = torch.stack(list(parts.values())).sum()
        v.check(loss, f"vicreg_loss{j}")
        v.check(loss, f"vicreg_spt_loss{j}")
        v.gradients(loss, **{f"vicreg_spt_ga{j}": a, f"vicreg_spt_gb{j}": b})
        v.gradients(loss, **{f"vicreg_ga{j}": a, f"vicreg_gb{j}": b})


def test_barlow_twins_and_vicreg_over_processes(load: Load) -> None:
    v = load("barlow_vicreg")
    a, b = v.inputs("gather_a", "gather_b")
    parts = vicreg_parts(a.flatten(0, 1), b.flatten(0, 1))
    loss = torch.stack(list(parts.values())).sum()
    stored = v["gather_vicreg_loss" if v.double else "gather_vicreg_loss_f32"]
    np.testing.assert_allclose(loss.detach(), stored.mean(), **v.tolerance)
    v.gradients(loss * len(stored), gather_vicreg_ga=a, gather_vicreg_gb=b)
    # The published code standardises the records of each process on their own.
    C = torch.stack([cross_correlation(*pair) for pair in zip(a, b, strict=True)]).mean(0)
    loss = redundancy(C, v.sizes["barlow_lambda"])
    np.testing.assert_allclose(loss.detach(), v["gather_barlow_loss"].mean(), **v.tolerance)
    v.gradients(loss * len(stored), gather_barlow_ga=a, gather_barlow_gb=b)


def test_moco_v3_with_its_heads(load: Load) -> None:
    v = load("moco_v3")
    for j in v.cases("loss"):
        q1, q2, k1, k2 = v.inputs(f"q1_{j}", f"q2_{j}", f"k1_{j}", f"k2_{j}")
        loss = moco_v3_loss((q1, q2), (k1, k2), float(v[f"temperature{j}"]))
        v.check(loss, f"loss{j}")
        v.gradients(loss, **{f"gq1_{j}": q1, f"gq2_{j}": q2})
    inside, hidden, out = v.sizes["features"], v.sizes["hidden"], v.sizes["out"]
    heads = {
        "resnet_projector": projector([inside, hidden, out], "plain-norm"),
        "vit_projector": projector([inside, hidden, hidden, out], "plain-norm"),
        "resnet_predictor": projector([out, hidden, out], "no-bias"),
    }
    heads = {name: v.module(head, f"sd/{name}.").train() for name, head in heads.items()}
    x = v.input("x")
    v.check(heads["vit_projector"](x), "vit_projection")
    projected = heads["resnet_projector"](x)
    v.check(projected, "resnet_projection")
    v.check(heads["resnet_predictor"](projected), "resnet_prediction")


def test_moco_v3_over_processes_is_that_of_the_joined_batch(load: Load) -> None:
    v = load("moco_v3")
    q, k = ([v.input(f"gather_{side}{j}") for j in (1, 2)] for side in "qk")
    joined = [x.flatten(0, 1) for x in (*q, *k)]
    temperature = float(v["gather_temperature"])
    loss = key_contrast(joined[0], joined[3], temperature) + key_contrast(joined[1], joined[2], temperature)
    stored = v["gather_loss" if v.double else "gather_loss_f32"]
    np.testing.assert_allclose(loss.detach(), stored.mean(), **v.tolerance)
    v.gradients(loss * len(stored), gather_gq1=q[0], gather_gq2=q[1])


def test_dino_with_its_centre(load: Load) -> None:
    v = load("dino")
    c = v.sizes
    centre = Centre(c["out_dim"], c["center_momentum"]).to(torch.float64 if v.double else torch.float32)
    for j, epoch in enumerate(v["epochs"].tolist()):
        student, teacher = v.input("student")[j], v.input("teacher")[j].detach()
        warm = teacher_temperature(epoch, c["warmup_epochs"], *c["teacher_temperature"])
        loss = dino_loss(student, teacher, centre.value, (c["student_temperature"], warm))
        v.check(loss, f"loss{j}")
        v.gradients(loss, **{f"grad{j}": student})
        for part in teacher.split([1, teacher.shape[1] - 1], dim=1):  # two accumulated parts
            centre.collect(part)
        centre.update()
        v.check(centre.value, f"center{j}")


def test_dino_over_processes_is_the_mean_of_theirs(load: Load) -> None:
    v = load("dino")
    c = v.sizes
    ranks = len(v["gather_student"])
    student, teacher = v.input("gather_student").detach(), v.input("gather_teacher").detach()
    centre = Centre(student.shape[-1], c["center_momentum"]).to(student.dtype)
    for j in range(sum(f"gather_loss{j}" in v for j in range(9))):
        warm = teacher_temperature(j, c["warmup_epochs"], *c["teacher_temperature"])
        temperatures = (c["student_temperature"], warm)
        found = [dino_loss(student[r], teacher[r], centre.value, temperatures) for r in range(ranks)]
        np.testing.assert_allclose(torch.stack(found), v[f"gather_loss{j}"], **v.tolerance)
        centre.collect(teacher.flatten(0, 1))
        centre.update()
        np.testing.assert_allclose(centre.value.expand(ranks, 1, -1), v[f"gather_center{j}"], **v.tolerance)


def test_the_head_of_dino(load: Load) -> None:
    v = load("dino")
    head = v.sizes["head"]
    module = PrototypeHead(head["in_dim"], head["hidden"], head["bottleneck"], v.sizes["out_dim"])
    weights = v.weights("sd/head.")
    assert (weights["last_layer.weight_g"] == 1).all()
    module.load_state_dict(
        {n: w for n, w in weights.items() if n.startswith("mlp")} | {"prototypes": weights["last_layer.weight_v"]}
    )
    module = module.to(torch.float64 if v.double else torch.float32)
    x = v.input("head_x")
    out = module(x)
    v.check(out, "head_out")
    v.gradients(out.square().sum(), head_grad_x=x, head_grad_v=module.prototypes)
    (still,) = torch.autograd.grad(module(x, still=True).square().sum(), module.prototypes)
    assert not still.any()


@pytest.mark.parametrize("combo", ["audio", "vision", "text", "plain"])
def test_data2vec(load: Load, combo: str) -> None:
    v = load("data2vec", atol=1e-4)
    options = v.sizes["combos"][combo]
    norm = next((k for k in ("instance", "layer") if options.get(f"{k}_norm_target_layer")), "none")
    student, mask = v.input("student"), v.tensor("mask")
    weight, bias = (v.input(f"sd/final_proj.{name}") for name in ("weight", "bias"))
    predicted = F.linear(student, weight, bias)[mask]
    targets = layer_targets(v.input("layers").detach(), norm, norm_targets=options.get("layer_norm_targets", False))[
        mask
    ]
    loss = token_errors(predicted, targets, options["beta"], options.get("scale")).sum()
    v.check(loss, f"{combo}/loss_sum")
    assert len(targets) == int(v[f"{combo}/sample_size"])
    v.check(spread(targets), f"{combo}/target_var")
    v.check(spread(predicted), f"{combo}/pred_var")
    v.gradients(loss, **{f"{combo}/grad_student": student, f"{combo}/grad_w": weight})


def test_jepa(load: Load) -> None:
    v = load("jepa")
    ids, z = v.tensor("prediction_masks"), v.input("z")  # ids: (M, B, k)
    h = normalized(v.input("h").detach())
    B, M, C = v.sizes["batch"], v.sizes["prediction_masks"], v.sizes["context_masks"]
    picked = gather_tokens(h.repeat(M, 1, 1), ids.flatten(0, 1))
    target = picked.view(M, 1, B, *picked.shape[1:]).expand(-1, C, -1, -1, -1).flatten(0, 2)
    v.check(target, "target")
    every = torch.ones(z.shape[:2], dtype=torch.bool)
    loss = jepa_loss(z, target, every, "smooth_l1")
    v.check(loss, "loss")
    v.gradients(loss, grad=z)
    if v.double:  # the other form has its own sizes
        rows = len(v["l1_grad"])
        first = v.input("z")[:rows]
        plain = gather_tokens(v.input("h").detach(), ids[0])
        loss = jepa_loss(first, plain, every[:rows], "l1")
        v.check(loss, "l1_loss")
        v.gradients(loss, l1_grad=first)


@pytest.mark.parametrize("kind", ["same", "any"])
def test_cpc(load: Load, kind: str) -> None:
    v = load("cpc", atol=1e-4)
    k, (B, S, _) = v.sizes["steps_predicted"], v["z"].shape
    z, c, W = v.inputs("z", "c", "W")
    negatives = v.tensor(f"{kind}_negatives").transpose(0, 1)  # (B, S - k, M) rows of z.flatten(0, 1)
    losses = ahead_contrast(c[:, : S - k] @ W.T, z, z.flatten(0, 1)[negatives], k)
    loss = losses.mean(0).sum()  # the published code adds the steps up
    v.check(loss, f"{kind}_loss")
    v.gradients(loss, **{f"{kind}_gz": z, f"{kind}_gc": c, f"{kind}_gW": W})
    near = (c[:, : S - k] @ W.T)[:, :, None]
    scores = torch.cat([z[:, k:, None], z.flatten(0, 1)[negatives]], 2).mul(near).sum(-1)
    np.testing.assert_allclose((scores.argmax(-1) == 0).double().mean().item(), v[f"{kind}_accuracy"], atol=1e-6)
    if kind == "same":
        draws = v.tensor("same_raw_draws").view(S - k, B, -1).transpose(0, 1)
        own = torch.arange(B)[:, None, None] * S
        assert torch.equal(other_steps(draws, k) + own, negatives)


def test_cpc_by_cosines(load: Load) -> None:
    v = load("cpc", atol=1e-4)
    k = v.sizes["steps_predicted"]
    z = v.input("z")
    stored = v.input("c") @ v.input("W").T
    p = stored.detach().requires_grad_()
    negatives = z.flatten(0, 1)[v.tensor("cosine_negatives").transpose(0, 1)]
    loss = ahead_contrast(p[:, : z.shape[1] - k], z, negatives, k, v.sizes["cosine_temperature"]).mean(0).sum()
    v.check(loss, "cosine_loss")
    v.gradients(loss, cosine_gz=z, cosine_gp=p)
    near = F.normalize(p[:, : z.shape[1] - k], dim=-1)[:, :, None]
    others = F.normalize(torch.cat([z[:, k:, None], negatives], 2), dim=-1)
    found = ((others * near).sum(-1).argmax(-1) == 0).double().mean().item()
    np.testing.assert_allclose(found, v["cosine_accuracy"], atol=1e-6)


@pytest.mark.parametrize("kind", ["CMSC", "CMLC", "CMSMLC"])
def test_clocs(load: Load, kind: str) -> None:
    v = load("clocs", atol=1e-4)
    for j in range(v.sizes["cases"]):
        patients = torch.from_numpy(np.unique(v[f"patient{j}"], return_inverse=True)[1])
        x = v.input(f"{kind}{j}/embeddings")
        loss = clocs_loss(x, patients, v.sizes["temperature"])
        v.check(loss, f"{kind}{j}/loss")
        v.gradients(loss, **{f"{kind}{j}/grad": x})
        # The released code counts the last pair of views alone, divided by the number of pairs.
        views = x.shape[-1]
        last = clocs_loss(x[..., -2:], patients, v.sizes["temperature"]) / (views * (views - 1) / 2)
        v.check(last, f"{kind}{j}/released_loss")
        v.gradients(last, **{f"{kind}{j}/released_grad": x})


def test_cmsc_and_3kg(load: Load) -> None:
    v = load("clocs", atol=1e-4)
    patients, segment, T = v.tensor("fairseq_patient"), v.tensor("fairseq_segment"), v.sizes["fairseq_temperature"]
    z = v.input("fairseq_z")
    first, second = z[segment == 0], z[segment == 1]
    assert torch.equal(patients[segment == 0], patients[segment == 1])
    cmsc = cmsc_loss(first, second, patients[segment == 0], T)
    v.check(cmsc, "fairseq_cmsc_loss")
    pairs = int((patients[:, None] == patients).sum()) - len(patients)
    three = threekg_loss(z, patients, T) * pairs
    v.check(three, "threekg_loss_sum")
    v.without_lengths(three, z, "threekg_grad_detached_norm")
    v.without_lengths(cmsc, z, "fairseq_cmsc_grad_detached_norm")


def test_dinosr_with_its_codebooks(load: Load) -> None:
    v = load("dinosr")
    c, precision = v.sizes, torch.float64 if v.double else torch.float32
    books = Codebooks(c["layers"], c["codes"], c["dim"], c["momentum"]).to(precision)
    books.sums.copy_(v.tensor("codebook_init"))
    mask = v.tensor("mask")
    for j in range(c["steps"]):
        layers = normalized_layers(v.input("layers")[j].detach())
        logits = v.input("logits")
        every = torch.ones_like(mask[j])
        codes = torch.cat([books(part, every[:1]) for part in layers.split(1, dim=1)], dim=1)  # accumulated parts
        assert torch.equal(codes, v.tensor(f"codes{j}"))
        errors = code_errors(logits[j].permute(2, 0, 1, 3) / c["temperature"], codes)
        loss = errors[:, mask[j]].mean()
        v.check(loss, f"loss{j}")
        (found,) = torch.autograd.grad(loss, logits)
        v.check(found[j], f"grad{j}")
        books.update()
        v.check(books.codes, f"codebook{j}")
        v.check(books.counts, f"count{j}")
