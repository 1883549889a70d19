"""Self-distillation from a view to another: BYOL, SimSiam, MoCo-v3, MoCo and DINO.

Grill et al., arXiv 2006.07733; Chen and He, arXiv 2011.10566; Chen, Xie and He, arXiv 2104.02057; He et al., arXiv
1911.05722; Caron et al., arXiv 2104.14294. A teacher follows the student once per optimiser step. It runs in training
mode, so its batch norms have the statistics of its own batches. In: augmented views. Out: features, or the loss.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ecgkit.methods import Batch, Clock, Losses
from ecgkit.nn.contrastive import embedding_statistics, gather
from ecgkit.nn.ema import follow, teacher_of
from ecgkit.nn.losses.byol import byol_loss
from ecgkit.nn.losses.dino import Centre, dino_loss, teacher_temperature
from ecgkit.nn.losses.key_queue import KeyQueue, queue_contrast
from ecgkit.nn.losses.moco_v3 import moco_v3_loss
from ecgkit.nn.losses.simsiam import output_deviation, simsiam_loss
from ecgkit.nn.projectors import End, PrototypeHead, projector
from ecgkit.optimizers import build_optimizer
from ecgkit.recipe import Recipe
from ecgkit.schedules import cosine
from ecgkit_ssl.backbone import encoder_of, pooled
from ecgkit_ssl.presets import ByolConfig, DinoConfig, MocoConfig, MocoV3Config, SimSiamConfig, TeacherConfig
from ecgkit_ssl.two_views import OfViews, TwoViews

Pair = tuple[Tensor, Tensor]


class SimSiam(TwoViews):
    """A prediction from one view points where the projection of the other does; there is no teacher."""

    config: SimSiamConfig

    def __init__(self, config: SimSiamConfig) -> None:
        super().__init__(config, hidden_layers=2, end="biased-plain-norm")
        self.predictor = projector([config.projection, config.predictor_hidden, config.projection])

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Predict each view from the other."""
        features = self.features(batch)
        z = self.projector(features[0]), self.projector(features[1])
        p = self.predictor(z[0]), self.predictor(z[1])
        stats = self.watched(features)
        if not self.training:
            stats["deviation"] = output_deviation(z[0])
        return Losses({"similarity": simsiam_loss(p, z)}, stats)

    def optimizer(self, recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> Optimizer | Sequence[Optimizer]:
        """Return the recipe's optimiser; the schedule leaves the learning rate of the predictor as it is."""
        return build_optimizer(recipe, parameters, constant=[n for n in parameters if n.startswith("predictor.")])


class WithTeacher(TwoViews):
    """A student with a predictor, and a teacher of its encoder and projector."""

    config: TeacherConfig

    def __init__(self, config: TeacherConfig, hidden_layers: int = 1, end: End = "bias") -> None:
        super().__init__(config, hidden_layers, end)
        self.teacher = teacher_of(self.encoder)
        self.teacher_projector = teacher_of(self.projector)

    @torch.no_grad()
    def targets(self, batch: Batch) -> Pair:
        """Return the teacher's projection of the first and of the second view."""
        first, second, *_ = (self.teacher_projector(pooled(self.teacher, view)) for view in batch.views)
        return first, second

    def after_step(self, clock: Clock) -> None:
        """Move the teacher towards the student."""
        momentum = cosine(*self.config.momentum, clock.progress)
        follow(self.teacher, self.encoder, momentum)
        follow(self.teacher_projector, self.projector, momentum)


class Byol(WithTeacher):
    """A prediction from one view equals the teacher's projection of the other."""

    config: ByolConfig

    def __init__(self, config: ByolConfig) -> None:
        super().__init__(config)
        self.predictor = projector([config.projection, config.projector_hidden, config.projection])

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Predict the teacher's view from the student's."""
        features = self.features(batch)
        p = self.predictor(self.projector(features[0])), self.predictor(self.projector(features[1]))
        return Losses({"similarity": byol_loss(p, self.targets(batch))}, self.watched(features))


class MocoV3(WithTeacher):
    """Each query finds the teacher's key of the other view among the keys of the batch."""

    config: MocoV3Config

    def __init__(self, config: MocoV3Config) -> None:
        vit = config.encoder == "vit"
        super().__init__(config, hidden_layers=2 if vit else 1, end="plain-norm")
        widths = [config.projection, config.projector_hidden, config.projection]
        self.predictor = projector(widths, "plain-norm" if vit else "no-bias")

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Compare queries with the keys of all processes."""
        features = self.features(batch)
        q1, q2 = (gather(self.predictor(self.projector(h))) for h in features)
        k1, k2 = (gather(k) for k in self.targets(batch))
        return Losses({"contrast": moco_v3_loss((q1, q2), (k1, k2), self.config.temperature)}, self.watched(features))


class Moco(WithTeacher):
    """A query of the first view finds the teacher's key of the second among the keys of earlier batches."""

    config: MocoConfig

    def __init__(self, config: MocoConfig) -> None:
        super().__init__(config)
        self.queue = KeyQueue(config.queue, config.projection)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Compare queries with their own keys and with the queue."""
        features = [pooled(self.encoder, batch.views[0])]
        queries = self.projector(features[0])
        with torch.no_grad():
            keys = self.teacher_projector(pooled(self.teacher, batch.views[1]))
            if self.training:
                self.queue.collect(gather(keys))
        loss = queue_contrast(queries, keys, self.queue.keys, self.config.temperature)
        return Losses({"contrast": loss}, self.watched(features))

    def after_step(self, clock: Clock) -> None:
        """Move the teacher, and store the keys of the batch."""
        super().after_step(clock)
        self.queue.update()


class Dino(OfViews):
    """All views of the student give the teacher's distribution over prototypes of the global views.

    The teacher is the encoder that a probe uses, so it takes the running statistics of batch norms too.
    """

    def __init__(self, config: DinoConfig) -> None:
        super().__init__()
        self.config = config
        self.student = encoder_of(config)
        width = self.student.width
        self.head = PrototypeHead(width, config.projector_hidden, config.bottleneck, config.prototypes)
        self.encoder = teacher_of(self.student)
        self.teacher_head = teacher_of(self.head)
        self.centre = Centre(config.prototypes, config.centre_momentum)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Compare the distributions over prototypes."""
        config, views = self.config, batch.views
        still = clock.epoch < config.still_epochs
        student = torch.stack([self.head(pooled(self.student, view), still=still) for view in views])
        with torch.no_grad():
            features = [pooled(self.encoder, view) for view in views[:2]]
            teacher = torch.stack([self.teacher_head(h) for h in features])
            if self.training:
                for logits in teacher:
                    self.centre.collect(gather(logits))
        warm = teacher_temperature(clock.epoch, config.temperature_epochs, *config.teacher_temperature)
        loss = dino_loss(student, teacher, self.centre.value, (config.student_temperature, warm))
        stats = {} if self.training else embedding_statistics(features[0])
        return Losses({"distillation": loss}, stats)

    def after_step(self, clock: Clock) -> None:
        """Move the teacher and the centre."""
        momentum = cosine(*self.config.momentum, clock.progress)
        follow(self.encoder, self.student, momentum, buffers=True)
        follow(self.teacher_head, self.head, momentum)
        self.centre.update()
