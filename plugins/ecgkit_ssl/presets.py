"""Settings and presets of the methods that compare views: projectors, temperatures, teachers and augmentations.

Widths and temperatures are the common frame's (ours); weights of losses, masks and angles are the papers'.
"""

from dataclasses import dataclass, replace

from ecgkit.signal.augment.views import TWO_VIEWS, Augment, Views
from ecgkit_ssl.config import RECIPE, TwoViewConfig, check_momentum, check_positive, presets_of


@dataclass(frozen=True, kw_only=True)
class SimClrConfig(TwoViewConfig):
    """SimCLR.

    Args:
        temperature: Divisor of the cosines.
    """

    temperature: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "temperature")


@dataclass(frozen=True, kw_only=True)
class BarlowTwinsConfig(TwoViewConfig):
    """Barlow Twins.

    Args:
        off_diagonal: Weight of the correlations between different dimensions.
    """

    projector_hidden: int = 2048
    projection: int = 2048
    off_diagonal: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "off_diagonal")


@dataclass(frozen=True, kw_only=True)
class VicRegConfig(TwoViewConfig):
    """VICReg.

    Args:
        weights: Of invariance, variance and covariance.
    """

    projector_hidden: int = 2048
    projection: int = 2048
    weights: tuple[float, float, float] = (25.0, 25.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.weights) < 0 or not sum(self.weights) > 0:
            raise ValueError(f"weights {self.weights} must be 0 or more, and not all 0")


@dataclass(frozen=True, kw_only=True)
class SimSiamConfig(TwoViewConfig):
    """SimSiam.

    Args:
        predictor_hidden: Width of the hidden layer of the predictor.
    """

    projector_hidden: int = 2048
    projection: int = 2048
    predictor_hidden: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "predictor_hidden")


@dataclass(frozen=True, kw_only=True)
class TeacherConfig(TwoViewConfig):
    """A method with a teacher whose weights are a moving average.

    Args:
        momentum: The teacher's momentum at the start and at the end of the training, half a cosine between them.
    """

    momentum: tuple[float, float] = (0.99, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum(self.momentum)


@dataclass(frozen=True, kw_only=True)
class ByolConfig(TeacherConfig):
    """BYOL; hidden width as in the projector also for the predictor."""

    projection: int = 256


@dataclass(frozen=True, kw_only=True)
class MocoV3Config(TeacherConfig):
    """MoCo-v3.

    Args:
        temperature: Divisor of the cosines.
    """

    temperature: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "temperature")


@dataclass(frozen=True, kw_only=True)
class MocoConfig(TeacherConfig):
    """MoCo with the projector of its second version.

    Args:
        temperature: Divisor of the cosines.
        queue: Keys of earlier batches that each query is compared with.
    """

    momentum: tuple[float, float] = (0.999, 0.999)
    temperature: float = 0.07
    queue: int = 65536

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "temperature", "queue")


def global_and_local(local: int) -> Views:
    """Return two global views of a record, and local ones that hold less of it.

    The default augmentation for two views, but for the crop: a half or more of the record in a global view, a fifth to
    a half in a local one, stretched to the whole length.
    """
    everywhere = tuple(range(2 + local))
    crops = (
        Augment("crop_resize", settings={"share": [0.5, 1.0]}, views=(0, 1)),
        Augment("crop_resize", settings={"share": [0.2, 0.5]}, views=everywhere[2:]),
    )
    rest = tuple(augment for augment in TWO_VIEWS if augment.name != "crop_resize")
    return Views(count=2 + local, augmentations=(*crops[: 2 if local else 1], *rest))


TWO_GLOBAL_TWO_LOCAL = global_and_local(2)


@dataclass(frozen=True, kw_only=True)
class DinoConfig(TeacherConfig):
    """DINO; the first two views are global ones, which the teacher sees.

    Args:
        bottleneck: Width of the space of the prototypes.
        prototypes: Number of prototypes, K.
        centre_momentum: Share of the centre that stays in each step.
        student_temperature: Divisor of the student's logits.
        teacher_temperature: Divisor of the teacher's logits, at the start and after `temperature_epochs`.
        temperature_epochs: Epochs over which the teacher's temperature rises.
        still_epochs: Epochs in which the prototypes get no gradient.
    """

    views: Views = TWO_GLOBAL_TWO_LOCAL
    projector_hidden: int = 2048
    bottleneck: int = 256
    prototypes: int = 4096
    momentum: tuple[float, float] = (0.996, 1.0)
    centre_momentum: float = 0.9
    student_temperature: float = 0.1
    teacher_temperature: tuple[float, float] = (0.04, 0.07)
    temperature_epochs: int = 30
    still_epochs: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "bottleneck", "prototypes", "student_temperature")
        if min(self.teacher_temperature) <= 0:
            raise ValueError(f"teacher_temperature {self.teacher_temperature} must be above 0")
        if not 0 <= self.centre_momentum < 1:
            raise ValueError(f"centre_momentum {self.centre_momentum:g} must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class PatientConfig(TwoViewConfig):
    """A method whose positives are all views of a patient.

    Args:
        temperature: Divisor of the cosines.
        patient_pairs: Fill batches with pairs of recordings of one patient; recordings without a partner are then left
            out. False takes every recording.
    """

    temperature: float = 0.1
    patient_pairs: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "temperature")


@dataclass(frozen=True, kw_only=True)
class TsTccConfig(TwoViewConfig):
    """TS-TCC; the first view is the weak one and the second the strong one.

    Args:
        context: Width of the context.
        context_depth: Blocks of the transformer that makes it.
        context_heads: Its attention heads.
        context_hidden: Width inside its feed-forward layers.
        dropout: Dropout in it.
        ahead: K, steps that are predicted.
        temperature: Divisor of the cosines of the contextual loss.
        w_temporal: Weight of the temporal loss.
        w_contextual: Weight of the contextual loss.
    """

    context: int = 100
    context_depth: int = 4
    context_heads: int = 4
    context_hidden: int = 64
    dropout: float = 0.1
    ahead: int = 6
    temperature: float = 0.2
    w_temporal: float = 1.0
    w_contextual: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("context", "context_depth", "context_heads", "context_hidden", "ahead", "temperature")
        check_positive(self, *names)
        if self.context % self.context_heads:
            raise ValueError(f"context {self.context} must be a multiple of context_heads {self.context_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout:g} must be at least 0 and below 1")


# Oh et al., arXiv 2203.06889: each view hides half of the leads at random.
LEAD_MASKS = Views(augmentations=(Augment("lead_dropout", settings={"p": 0.5}),))
# Gopal et al., arXiv 2106.04452; the time mask is of half the samples, in each lead at another place.
TURNED_HEARTS = Views(augmentations=(Augment("vcg"), Augment("lead_timeout", settings={"share": 0.5})))
# Eldele et al., arXiv 2106.14112, without its permutation of pieces, which changes the rhythm: a scaled view, and a
# view that is cut, stretched and noisy. `ts-tcc` with `permutation` is the preset "published".
WEAK_AND_STRONG = Views(
    augmentations=(
        Augment("scale", settings={"factor": [0.7, 1.4]}, views=(0,)),
        Augment("crop_resize", settings={"share": [0.5, 1.0]}, views=(1,)),
        Augment("jitter_tstcc", settings={"sigma": 0.2}, views=(1,)),
    )
)
PUBLISHED_TSTCC = Views(
    augmentations=(
        Augment("scaling_tstcc", views=(0,)),
        Augment("permutation", settings={"pieces": 7}, views=(1,)),
        Augment("jitter_tstcc", views=(1,)),
    )
)

SIMCLR = presets_of(SimClrConfig())
SIMCLR["lead-masks"] = replace(SIMCLR["resnet18"], views=LEAD_MASKS)
BARLOW_TWINS = presets_of(BarlowTwinsConfig(), projection=256)
VICREG = presets_of(VicRegConfig(), projection=256)
SIMSIAM = presets_of(SimSiamConfig(), projection=256, predictor_hidden=64)
BYOL = presets_of(ByolConfig())
MOCO_V3 = presets_of(MocoV3Config())
MOCO = presets_of(MocoConfig(), queue=1024, momentum=(0.99, 0.99))
DINO = presets_of(
    DinoConfig(recipe=replace(RECIPE, clip=3.0, weight_decay=0.04, final_weight_decay=0.4)),
    bottleneck=64,
    prototypes=256,
    temperature_epochs=6,
)
THREE_KG = presets_of(PatientConfig(views=TURNED_HEARTS))
CMSC = presets_of(PatientConfig(views=LEAD_MASKS))
TS_TCC = presets_of(TsTccConfig(views=WEAK_AND_STRONG), context=32, context_depth=2)
TS_TCC["published"] = replace(TS_TCC["resnet18"], views=PUBLISHED_TSTCC)
