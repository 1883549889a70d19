"""ECGFounder against its reference vectors: network, input, published names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_ecgfounder.config import CLASSES, PRESETS, SIGNAL
from ecgkit_ecgfounder.model import EcgFounder, stretched
from ecgkit_ecgfounder.official import import_official

from ecgkit.leads import STANDARD_LEADS
from ecgkit.signal.spec import apply
from tests.conftest import official_shapes
from tests.families.official import check_strict, take
from tests.reference_vectors import Reference, close


@torch.no_grad()
@pytest.mark.parametrize("leads", ["12lead", "1lead"])
def test_every_stage_equals_the_reference(golden: Path, leads: str) -> None:
    reference = Reference(golden / f"ecgfounder_tiny_{leads}.npz")
    sizes, state = reference.sizes, reference.weights()
    encoder = take("ecgfounder", import_official, state).encoder
    x, ids = reference.tensor("x"), torch.arange(sizes["in_channels"])
    stem = encoder.trunk.stem(x)
    close(stem, reference["first_conv"])
    found = torch.nn.functional.silu(stem)
    close(encoder.trunk.stages[0][0](found), reference["block_0_0"])
    for s, stage in enumerate(encoder.trunk.stages):
        found = stage(found)
        assert found.shape[-1] == reference[f"stage{s}_len"]
        close(found.mean(-1), reference[f"stage{s}_mean_time"])
    features = encoder(x, ids)
    close(features.tokens.mT, reference["feature_map"])
    close(features.pooled, reference["features"])
    close(features.logits, reference["logits"])
    # The BatchNorm entries of a file change nothing.
    changed = {name: value + 1 if ".bn" in name or "_bn" in name else value for name, value in state.items()}
    assert torch.equal(take("ecgfounder", import_official, changed).encoder(x, ids).pooled, features.pooled)


@torch.no_grad()
@pytest.mark.parametrize("leads", ["12", "1"])
def test_the_released_size_equals_the_reference(golden: Path, leads: str) -> None:
    reference = Reference(golden / "ecgfounder_full.npz")
    encoder = take("ecgfounder", import_official, reference.filled(f"{leads}/")).encoder
    x = reference.tensor("x_int16").float()[:, : int(leads)] / 1000
    found = torch.nn.functional.silu(encoder.trunk.stem(x))
    for s, stage in enumerate(encoder.trunk.stages):
        found = stage(found)
        assert found.shape[-1] == reference[f"{leads}/stage{s}_len"]
        close(found.mean(-1), reference[f"{leads}/stage{s}_mean_time"])
    features = encoder(x, torch.arange(int(leads)))
    close(features.pooled, reference[f"{leads}/features"])
    close(features.logits, reference[f"{leads}/logits"])


def test_the_published_names_are_consumed(golden: Path) -> None:
    for leads, name in ((12, "ecgfounder_12lead_c150"), (1, "ecgfounder_1lead_c150")):
        config, left_out = check_strict("ecgfounder", import_official, official_shapes(golden, name), {})
        assert (len(config.signal.leads), config.classes) == (leads, CLASSES)
        assert all("bn" in one for one in left_out)


def test_the_input_equals_the_reference(golden: Path) -> None:
    reference = Reference(golden / "ecgfounder_preprocess.npz")
    raw, sizes = reference["raw"], reference.sizes
    rows = [sizes["input_lead_order"].index(lead) for lead in STANDARD_LEADS]
    seconds = raw.shape[-1] / sizes["fs"]
    spec = replace(SIGNAL, seconds=seconds, window=seconds)
    filtered = apply(raw[rows], sizes["fs"], replace(spec, normalize="none"))
    np.testing.assert_allclose(filtered, reference["filtered_12lead"], atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(apply(raw[rows], sizes["fs"], spec), reference["out_12lead"], atol=1e-5, rtol=1e-4)
    alone = apply(raw[rows][:1], sizes["fs"], replace(spec, leads=("I",)))
    np.testing.assert_allclose(alone, reference["out_1lead"], atol=1e-5, rtol=1e-4)
    # A scaled record gives the same input.
    np.testing.assert_allclose(apply(3 * raw[rows], sizes["fs"], spec), reference["out_12lead"], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_stretched_input_equals_the_reference(golden: Path) -> None:
    """The released script for PTB-XL: gaps 0, scaling, and then a stretch to the whole input."""
    reference = Reference(golden / "ecgfounder_preprocess.npz")
    raw, sizes = reference["raw"], reference.sizes
    rows = [sizes["input_lead_order"].index(lead) for lead in STANDARD_LEADS]
    config = PRESETS["unfiltered"]
    given = torch.from_numpy(apply(raw[rows], sizes["fs"], config.signal))[None]
    assert given.shape[-1] == sizes["stretch_to"]
    found = stretched(given, torch.tensor([raw.shape[-1]]))[0, :, :: int(reference["stretched_is_every"])]
    close(found, reference["out_stretched"])

    small = replace(PRESETS["tiny"], stretch=True)
    encoder, ids = EcgFounder(small).eval().encoder, torch.arange(12)
    lengths = torch.tensor([raw.shape[-1]])
    close(encoder(given, ids, lengths).pooled, encoder(stretched(given, lengths), ids).pooled)
    whole = torch.randn(1, 12, 5000)
    assert torch.equal(encoder(whole, ids, torch.tensor([5000])).pooled, encoder(whole, ids).pooled)
    one = stretched(whole, torch.tensor([1]))
    assert torch.equal(one, whole[..., :1].expand_as(whole))
