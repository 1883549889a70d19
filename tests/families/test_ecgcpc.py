"""ECG-CPC's encoder against its reference vectors, and its published names."""

from pathlib import Path

import torch
from ecgkit_ecgcpc.config import BASE
from ecgkit_ecgcpc.model import EcgCpc
from ecgkit_ecgcpc.official import import_official

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


def test_the_published_names_are_consumed(golden: Path) -> None:
    shapes = official_shapes(golden, "ecgcpc_base")
    config, left = check_strict("ecgcpc", import_official, shapes, {})
    assert config == BASE
    head = "ts_encoder.head_ssl.proj.0.weight"
    assert head in left
    with torch.device("meta"):
        assert sum(p.numel() for p in EcgCpc(config).parameters()) == 3_194_880 - torch.Size(shapes[head]).numel()
