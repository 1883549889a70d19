"""Two views of a record through one network: SimCLR, Barlow Twins and VICReg.

Chen et al., arXiv 2002.05709; Zbontar et al., arXiv 2103.03230; Bardes et al., arXiv 2105.04906. The losses compare the
records of all processes. In: two augmented views per record. Out: features of the encoder, or the loss.
"""

from typing import Any

from torch import Tensor

from ecgkit.methods import Batch, Clock, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics, gather
from ecgkit.nn.losses.barlow_twins import barlow_twins_loss
from ecgkit.nn.losses.nt_xent import nt_xent
from ecgkit.nn.losses.vicreg import vicreg_parts
from ecgkit.nn.projectors import End, projector
from ecgkit_ssl.backbone import encoder_of, pooled
from ecgkit_ssl.config import TwoViewConfig
from ecgkit_ssl.presets import BarlowTwinsConfig, SimClrConfig, VicRegConfig


class OfViews(Method):
    """A method whose loss, or whose batch norms, compare the records of a batch."""

    @classmethod
    def fewest_records(cls, config: Any) -> int:
        """Return 2, so that there is a record to compare with."""
        return 2


class TwoViews(OfViews):
    """An encoder and a projector, which every view goes through on its own.

    Args:
        config: The config.
        hidden_layers: Hidden layers of the projector.
        end: End of the projector.
    """

    def __init__(self, config: TwoViewConfig, hidden_layers: int = 1, end: End = "bias") -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder_of(config)
        inside = [config.projector_hidden] * hidden_layers
        self.projector = projector([self.encoder.width, *inside, config.projection], end)

    def features(self, batch: Batch) -> list[Tensor]:
        """Return the encoder's representation of each view, ``[B, D]`` each."""
        return [pooled(self.encoder, view) for view in batch.views]

    def watched(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Return statistics of the features, in evaluation mode only."""
        return {} if self.training else embedding_statistics(features[0])


class SimClr(TwoViews):
    """Each view must find the other view of its record."""

    config: SimClrConfig

    def __init__(self, config: SimClrConfig) -> None:
        super().__init__(config, end="norm")

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Compare the views of all records."""
        features = self.features(batch)
        a, b = (gather(self.projector(h)) for h in features)
        return Losses({"contrast": nt_xent(a, b, self.config.temperature)}, self.watched(features))


class BarlowTwins(TwoViews):
    """Each dimension agrees between the views, and with no other dimension."""

    config: BarlowTwinsConfig

    def __init__(self, config: BarlowTwinsConfig) -> None:
        super().__init__(config, hidden_layers=2)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Correlate the dimensions of both views over all records."""
        features = self.features(batch)
        a, b = (gather(self.projector(h)) for h in features)
        return Losses({"redundancy": barlow_twins_loss(a, b, self.config.off_diagonal)}, self.watched(features))


class VicReg(TwoViews):
    """The views agree, every dimension varies, and dimensions do not covary."""

    config: VicRegConfig

    def __init__(self, config: VicRegConfig) -> None:
        super().__init__(config, hidden_layers=2)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Return the three parts over all records."""
        features = self.features(batch)
        a, b = (gather(self.projector(h)) for h in features)
        return Losses(vicreg_parts(a, b, self.config.weights), self.watched(features))
