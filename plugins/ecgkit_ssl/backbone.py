"""The encoders that the baselines share: a ResNet over time, or the vision transformer of `ecgkit_ssl.vit`.

In: signal ``[B, L, T]``, any of the twelve leads; a lead that is not given is 0. Out: `ecgkit.methods.Features`.
"""

from typing import Any, ClassVar

from torch import Tensor, nn

from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Encoder, Features
from ecgkit.nn.lead_check import on_standard_leads
from ecgkit.nn.resnet import ResNet1d, map_means
from ecgkit_ssl.config import BackboneConfig
from ecgkit_ssl.masked_config import TokenConfig
from ecgkit_ssl.vit import TimeViT


class ResNetEncoder(Encoder):
    """`ecgkit.nn.resnet` over the standard leads; features are the mean of its map over time.

    Layers are the means over time of the blocks' maps; the narrower maps of the earlier stages end in zeros.
    """

    fill: ClassVar[str] = "zeros"
    padding: ClassVar[str] = "zeros"  # part of the mean over time

    def __init__(self, name: str, channels: int) -> None:
        super().__init__()
        self.trunk = ResNet1d(name, leads=len(STANDARD_LEADS), channels=channels)
        self.width = self.trunk.channels
        self.settings = {"name": name, "channels": channels}

    def stages(self) -> list[list[nn.Module]]:
        """Return the residual blocks; see `Encoder.stages`. Only the mean over time follows them."""
        return [*([block] for stage in self.trunk.stages for block in stage.children()), []]

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records; see `Encoder.forward`."""
        maps = list(self.trunk.maps(on_standard_leads(signal, lead_ids)))
        means = map_means(maps)
        return Features(
            pooled=means[:, -1], tokens=maps[-1].transpose(1, 2), layers=means[:, 1:], layer_input=means[:, 0]
        )


def encoder_of(config: BackboneConfig) -> Encoder:
    """Return the encoder that a config names."""
    return vit_of(config) if config.encoder == "vit" else ResNetEncoder(config.encoder, config.channels)


def vit_of(config: BackboneConfig | TokenConfig) -> TimeViT:
    """Return the vision transformer of a config."""
    return TimeViT(
        samples=config.signal.samples,
        patch=config.patch,
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        hidden=config.hidden,
    )


def pooled(encoder: Encoder, batch: Batch) -> Tensor:
    """Return the representation of each record, ``[B, D]``."""
    features: Features = encoder(batch.signal, batch.lead_ids, batch.lengths)
    return features.pooled
