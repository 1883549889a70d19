"""Settings that the self-supervised baselines share: encoders, input, recipes, and presets.

The frame is ours, for a like-for-like comparison: the same encoder, input, augmentation, batch and schedule for every
method. It is not the recipe of any paper; `docs/methods` names what differs.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.augment.views import Views
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec

C = TypeVar("C", bound="BackboneConfig")

SIGNAL = SignalSpec(fs=500.0, seconds=10.0, filter=Butterworth(low=0.5, high=40.0, order=3), normalize="record-zscore")
# The losses of these methods are not comparable between epochs or batch sizes, so the last weights are kept.
RECIPE = Recipe(
    epochs=100, batch_size=512, lr=1e-3, warmup_epochs=10, weight_decay=0.01, betas=(0.9, 0.999), checkpoint="last"
)
VIT_LR = 1.5e-4
# For two CPU cores and a few thousand records.
TINY_SIGNAL = replace(SIGNAL, fs=100.0)
TINY_RECIPE = replace(RECIPE, epochs=20, batch_size=64, lr=8e-3, warmup_epochs=2)


def check_positive(config: Any, *names: str) -> None:
    """Refuse settings that are not above 0.

    Raises:
        ValueError: One of them is not.
    """
    for name in names:
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} {getattr(config, name):g} must be above 0")


def check_momentum(momentum: tuple[float, float]) -> None:
    """Refuse a teacher's momentum outside 0 to 1.

    Raises:
        ValueError: It is outside.
    """
    if not all(0 <= m <= 1 for m in momentum):
        raise ValueError(f"momentum {momentum} must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """An encoder, its input and its training.

    Args:
        encoder: A ResNet with one-dimensional convolutions, or a vision transformer over time.
        channels: Width of a ResNet's first stage.
        patch: Samples per token of a ViT; a token holds this stretch of all leads.
        width: D of a ViT.
        depth: Blocks of a ViT.
        heads: Attention heads of a ViT.
        hidden: Width inside the feed-forward layers of a ViT.
        signal: The input.
        recipe: The training.
    """

    encoder: Literal["resnet18", "resnet34", "resnet50", "vit"] = "resnet18"
    channels: int = 64
    patch: int = 50
    width: int = 192
    depth: int = 12
    heads: int = 3
    hidden: int = 768
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        check_positive(self, "channels", "patch", "width", "depth", "heads", "hidden")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")


DEFAULT_VIEWS = Views()


@dataclass(frozen=True, kw_only=True)
class TwoViewConfig(BackboneConfig):
    """A method that compares augmented views of a record.

    Args:
        views: The views.
        projector_hidden: Width of the hidden layers of the projector.
        projection: Width of the space in which views are compared.
    """

    views: Views = DEFAULT_VIEWS
    projector_hidden: int = 1024
    projection: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "projector_hidden", "projection")
        if self.views.count < 2:
            raise ValueError(f"views.count {self.views.count} must be at least 2")


def presets_of(base: C, **tiny: Any) -> dict[str, C]:
    """Return the presets of a method: ResNet18-1d, ViT-tiny, and a small ResNet for two CPU cores.

    Args:
        base: The config with a ResNet.
        tiny: Further settings of the small preset.
    """
    heads = {"projector_hidden": 256} if isinstance(base, TwoViewConfig) else {}
    # What a method's own recipe changes, such as clipping, stays.
    own = {f.name: getattr(base.recipe, f.name) for f in fields(Recipe)}
    changed = {name: value for name, value in own.items() if value != getattr(RECIPE, name)}
    return {
        "resnet18": base,
        "vit": replace(base, encoder="vit", recipe=replace(base.recipe, lr=VIT_LR)),
        "tiny": replace(
            base, channels=16, signal=TINY_SIGNAL, recipe=replace(TINY_RECIPE, **changed), **{**heads, **tiny}
        ),
    }
