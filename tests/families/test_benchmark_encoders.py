"""XResNet1d101, Inception1d, S4 and KED's encoder against their reference vectors."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_benchmark.config import S4_LEADS
from ecgkit_benchmark.official import HEAD, import_inception, import_ked, import_s4, import_xresnet

from ecgkit.errors import RunError
from ecgkit.leads import lead_ids
from ecgkit.nn.s4 import S4Kernel, S4Stack, legs
from ecgkit.nn.xresnet import XResNet1d, concat_pool
from tests.conftest import official_shapes
from tests.families.official import check_strict, take
from tests.reference_vectors import Reference, close


def check_stages(trunk: XResNet1d, x: torch.Tensor, reference: Reference, prefix: str, atol: float) -> torch.Tensor:
    """Compare what every part of the trunk makes of an input, and return the last map."""
    stem = x
    for conv in trunk.stem:
        stem = torch.nn.functional.relu(conv(stem))
    close(stem.mean(-1), reference[f"{prefix}stem_mean_time"], atol=atol)
    found = trunk.forward_stem(x)
    assert found.shape[-1] == reference[f"{prefix}maxpool_len"]
    for s, stage in enumerate(trunk.stages):
        found = stage(found)
        assert found.shape[-1] == reference[f"{prefix}stage{s}_len"]
        close(found.mean(-1), reference[f"{prefix}stage{s}_mean_time"], atol=atol)
    return found


@torch.no_grad()
def test_xresnet_equals_the_reference(golden: Path) -> None:
    reference = Reference(golden / "xresnet1d_tiny.npz")
    state = reference.weights()
    encoder = take("xresnet1d101", import_xresnet, state).encoder
    x = reference.tensor("x")
    features = encoder(x, torch.arange(x.shape[1]))
    close(features.tokens.mT, reference["feature_map"])
    close(features.pooled, reference["pooled"])
    close(features.logits, reference["logits"])
    check_stages(encoder.trunk, x, reference, "", 1e-5)
    # With the one-layer head of ECG-MIMIC.
    direct = {name: value for name, value in state.items() if not name.startswith("8.")}
    encoder = take("xresnet1d101", import_xresnet, direct | reference.weights("sd_direct_head/")).encoder
    close(encoder(x, torch.arange(x.shape[1])).logits, reference["direct_head_logits"])


@torch.no_grad()
@pytest.mark.parametrize(
    ("part", "method", "importer"), [("ptbxl", "xresnet1d101", import_xresnet), ("ked", "ked", import_ked)]
)
def test_101_layers_equal_the_reference(golden: Path, part: str, method: str, importer: object) -> None:
    reference = Reference(golden / "xresnet1d101_full.npz")
    state = reference.filled(f"{part}/")
    state |= {name.replace(".convs.", ".convpath.0."): value for name, value in state.items()}
    encoder = take(method, importer, state).encoder  # type: ignore[arg-type]
    x = reference.tensor("x_int16").float() / 1000
    found = check_stages(encoder.trunk, x, reference, f"{part}/", 5e-4)
    close(found, reference[f"{part}/feature_map"], atol=5e-4)
    if f"{part}/logits" in reference:
        close(encoder.head(concat_pool(found)), reference[f"{part}/logits"], atol=5e-4)


@torch.no_grad()
def test_inception_equals_the_reference(golden: Path) -> None:
    reference = Reference(golden / "inception1d_full.npz")
    encoder = take("inception1d", import_inception, reference.filled()).encoder
    x = reference.tensor("x_int16").float() / 1000
    features = encoder(x, torch.arange(x.shape[1]))
    close(features.tokens.mT[..., ::5], reference["feature_map_every_5"])
    close(features.pooled, reference["pooled"])
    close(features.logits, reference["logits"])
    found, r = x, x
    for i, block in enumerate(encoder.trunk.blocks):
        found = block(found)
        close(found.mean(-1), reference["blocks_mean_time"][i])
        if i % 3 == 2:
            found = r = encoder.trunk.shortcuts[i // 3](found, r)
            close(found.mean(-1), reference[f"residual{i // 3}_mean_time"])


@torch.no_grad()
def test_s4_equals_the_reference(golden: Path) -> None:
    reference = Reference(golden / "s4_tiny.npz")
    state = reference.weights()
    encoder = take("s4", import_s4, state).encoder
    encoder.limit = torch.inf  # the vectors begin behind the clipping
    trunk, x, ids = encoder.trunk, reference.tensor("x"), torch.tensor(lead_ids(S4_LEADS))
    for layer, kernel in zip(trunk.layers, reference["kernel"], strict=True):
        close(layer.kernel(x.shape[-1]), kernel)
    encoded = encoder.embed(x)
    close(encoded, reference["encoded"])
    close(trunk.layers[0](encoded), reference["s4_block_0"])
    for found, expected in zip(trunk.outputs(encoded), reference["layers"], strict=True):
        close(found, expected)
    features = encoder(x, ids)
    close(features.pooled, reference["features"])
    close(features.logits, reference["logits"])
    close(encoder(x[..., : int(reference["short_len"])], ids).logits, reference["short_logits"])
    close(encoder(reference.tensor("long_x"), ids).logits, reference["long_logits"])
    precise = copy.deepcopy(encoder).double()
    for given, expected in (("x", "logits_float64"), ("long_x", "long_logits_float64")):
        found = precise(reference.tensor(given).double(), ids).logits
        np.testing.assert_allclose(found, reference[expected], atol=1e-6, rtol=1e-6)
    # The variant with BatchNorm, as released.
    batch = {name: value for name, value in state.items() if not name.startswith("norms.")}
    released = take("s4", import_s4, batch | reference.weights("sd_batchnorm/")).encoder
    released.limit = torch.inf
    close(released(x, ids).logits, reference["batchnorm_released_logits"])


@torch.no_grad()
def test_the_kernel_is_the_recurrence(golden: Path) -> None:
    reference = Reference(golden / "s4_tiny.npz")
    stack = take("s4", import_s4, reference.weights()).encoder.trunk
    for layer, kernel in zip(stack.layers, reference["kernel_float64"], strict=True):
        dA, dB = layer.kernel.step()
        C, x, found = layer.kernel.plain_output(), dB, []
        for _ in range(kernel.shape[-1]):
            found.append((C * x).sum(-1).real)
            x = (dA @ x[..., None])[..., 0]
        close(torch.stack(found, dim=-1), kernel, atol=1e-6)
    w, P, _ = legs(reference.sizes["d_state"])
    stored = torch.view_as_complex(stack.layers[0].kernel.w)[0]
    close(stored.imag.sort().values, w.imag.sort().values)
    close(stored.real, w.real)
    assert (P.abs() > 0).all()


@torch.no_grad()
def test_a_causal_layer_does_not_look_ahead() -> None:
    torch.manual_seed(0)
    causal = S4Stack(width=8, depth=2, states=4, reach=40, bidirectional=False).eval()
    x = torch.randn(2, 8, 40)
    later = x.clone()
    later[..., 20:] += 1
    close(causal(x)[..., :20], causal(later)[..., :20], atol=1e-5)
    both = S4Stack(width=8, depth=2, states=4, reach=40, bidirectional=True).eval()
    assert not torch.allclose(both(x)[..., :20], both(later)[..., :20], atol=1e-3)
    with pytest.raises(ValueError, match="even"):
        S4Kernel(width=4, states=4, reach=45, directions=1)


@torch.no_grad()
def test_kernels_are_kept_while_nothing_changes_them() -> None:
    torch.manual_seed(0)
    stack = S4Stack(width=8, depth=1, states=4, reach=40, bidirectional=True).eval()
    layer, x = stack.layers[0], torch.randn(2, 8, 40)
    first = stack(x)
    kept = layer._kept
    assert kept is not None
    assert torch.equal(stack(x), first)
    assert layer._kept is kept
    stack(x[..., :30])
    assert torch.equal(stack(x), first)
    layer.kernel.C.mul_(1.5)  # as an optimiser or an averaged teacher does
    changed = stack(x)
    assert not torch.allclose(changed, first, atol=1e-4)
    stack.train()
    assert layer._kept is None
    assert torch.equal(stack.eval()(x), changed)
    with torch.enable_grad():
        assert layer(x).requires_grad
    again = S4Stack(width=8, depth=1, states=4, reach=40, bidirectional=True).eval()
    again.load_state_dict(stack.state_dict())
    assert torch.equal(again(x), changed)


def test_the_published_names_are_consumed(golden: Path) -> None:
    for method, importer, name in (
        ("xresnet1d101", import_xresnet, "xresnet1d101_ptbxl_c71"),
        ("ked", import_ked, "xresnet1d101_ked"),
        ("inception1d", import_inception, "inception1d_ptbxl_c71"),
        ("s4", import_s4, "s4_ecgmimic_c76"),
    ):
        check_strict(method, importer, official_shapes(golden, name), {})
    shapes = official_shapes(golden, "xresnet1d101_ked")
    zeros = {name: torch.zeros(shape) for name, shape in shapes.items()}
    flat = {f"ecg_model.{name}": value for name, value in zeros.items()} | {"model.x": torch.zeros(1)}
    assert import_ked(flat)[1].keys() == import_ked(zeros)[1].keys()
    copy = next(name for name in zeros if ".convpath.0." in name and zeros[name].ndim)
    with pytest.raises(RunError, match="differs from its copy"):
        import_ked({**zeros, copy: zeros[copy] + 1})
    assert 8 in HEAD
