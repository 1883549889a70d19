"""ECG-JEPA's encoder against its reference vectors: network, subsets of leads, published names."""

from functools import partial
from pathlib import Path

import pytest
import torch
from ecgkit_ecgjepa.config import BASE, LEADS
from ecgkit_ecgjepa.model import EcgJepa, EcgJepaEncoder, positions
from ecgkit_ecgjepa.official import import_official

from ecgkit.errors import RunError, SignalError
from ecgkit.leads import lead_ids
from tests.conftest import official_shapes
from tests.families.official import check_strict, take
from tests.reference_vectors import Reference, close

IDS = torch.tensor(lead_ids(LEADS))


@pytest.fixture(scope="module")
def reference(golden: Path) -> Reference:
    return Reference(golden / "ecgjepa_tiny.npz")


@pytest.fixture(scope="module")
def encoder(reference: Reference) -> EcgJepaEncoder:
    importer = partial(import_official, heads=reference.sizes["encoder_num_heads"])
    state = reference.weights() | {"encoder.pos_embed": reference.tensor("encoder_pos_embed")}
    found = take("ecgjepa", importer, state).encoder
    assert isinstance(found, EcgJepaEncoder)
    return found


@torch.no_grad()
def test_tokens_and_features_equal_the_reference(encoder: EcgJepaEncoder, reference: Reference) -> None:
    x = reference.tensor("x").float()
    close(encoder.table.flatten(0, 1), reference["encoder_pos_embed"], atol=1e-6)
    features = encoder(x, IDS)
    close(features.tokens, reference["tokens"])
    close(features.pooled, reference["representation"])


@torch.no_grad()
def test_subsets_of_leads_equal_the_reference(encoder: EcgJepaEncoder, reference: Reference) -> None:
    x = reference.tensor("x").float()
    for j in range(reference.sizes["n_subsets"]):
        rows = reference.tensor(f"subset{j}_leads")
        close(encoder(x[:, rows], IDS[rows]).pooled, reference[f"subset{j}_representation"])
    with pytest.raises(SignalError, match="does not know"):
        encoder(x[:, :1], torch.tensor([2]))
    with pytest.raises(SignalError, match="multiple"):
        encoder(x[..., :120], IDS)


def test_the_published_names_are_consumed(golden: Path) -> None:
    shapes, table = official_shapes(golden, "ecgjepa_encoder"), positions(BASE.patches, BASE.width).flatten(0, 1)
    config, left = check_strict("ecgjepa", import_official, shapes, {"pos_embed": table})
    assert (config, left) == (BASE, ("pos_embed",))
    zeros = {name: torch.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(RunError, match="table of sines"):
        import_official(zeros)
    with torch.device("meta"):
        found = sum(p.numel() for p in EcgJepa(config).parameters())
    assert found == 85_374_720 - table.numel()
    full = {name: torch.zeros(shape) for name, shape in official_shapes(golden, "ecgjepa_full").items()}
    config, ours, left = import_official(full | {"encoder.pos_embed": table})
    assert config == BASE
    assert len(ours) + len(left) == len(full)
