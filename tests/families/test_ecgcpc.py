"""ECG-CPC's encoder against its reference vectors, and its published names."""

from pathlib import Path

import torch
from ecgkit_ecgcpc.config import BASE
from ecgkit_ecgcpc.model import EcgCpc
from ecgkit_ecgcpc.official import import_official

from ecgkit.nn.losses.cpc import ahead_contrast
from tests.conftest import official_shapes
from tests.families.official import check_strict, take
from tests.reference_vectors import Reference, close


@torch.no_grad()
def test_every_stage_equals_the_reference(golden: Path) -> None:
    reference = Reference(golden / "ecgcpc_tiny.npz")
    state, x = reference.weights(), reference.tensor("x")
    encoder = take("ecgcpc", import_official, state).encoder
    close(encoder.convolved(x).mT, reference["encoded"])
    features = encoder(x, torch.arange(x.shape[1]))
    close(features.tokens, reference["tokens"])
    close(features.pooled, reference["features"])
    close(features.tokens @ state["ts_encoder.head_ssl.proj.0.weight"].mT, reference["predicted"])


@torch.no_grad()
def test_the_pretraining_equals_the_reference(golden: Path) -> None:
    reference = Reference(golden / "ecgcpc_tiny.npz")
    z, predicted, k = reference.tensor("encoded"), reference.tensor("predicted"), reference.sizes["steps_predicted"]
    steps = reference.tensor("negative_steps").transpose(0, 1)  # (B, anchors, n)
    negatives = z.gather(1, steps.flatten(1)[..., None].expand(-1, -1, z.shape[-1])).view(*steps.shape, -1)
    ahead = predicted[:, : z.shape[1] - k]
    # The published code takes the mean over records, and adds up the steps.
    losses = ahead_contrast(ahead, z, negatives, k)
    close(losses.mean(0).sum(), reference["cpc_loss"], atol=1e-4)
    close(ahead_contrast(ahead, z, negatives, k, 0.2).mean(0).sum(), reference["cpc_loss_normalized_t02"], atol=1e-4)
    best = torch.einsum("btd,btmd->btm", ahead, negatives).amax(-1)
    found = (ahead * z[:, k:]).sum(-1) > best
    close(found.float().mean(), reference["cpc_accuracy"])


def test_the_published_names_are_consumed(golden: Path) -> None:
    shapes = official_shapes(golden, "ecgcpc_base")
    config, left = check_strict("ecgcpc", import_official, shapes, {})
    assert config == BASE
    head = "ts_encoder.head_ssl.proj.0.weight"
    assert head in left
    with torch.device("meta"):
        assert sum(p.numel() for p in EcgCpc(config).parameters()) == 3_194_880 - torch.Size(shapes[head]).numel()
