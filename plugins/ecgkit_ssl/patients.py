"""Contrast of what is of one patient, with the encoders of the other baselines: 3KG, and CMSC with random lead masks.

Gopal et al., 3KG, arXiv 2106.04452; Oh et al., arXiv 2203.06889, with the segments of Kiyasseh et al., CLOCS, arXiv
2005.13249. In: two augmented views per record, and the number of each record's patient. Out: features, or the loss.
"""

from dataclasses import replace
from typing import Any

import torch

from ecgkit.methods import Batch, Clock, Corpus, Losses, Sampler
from ecgkit.nn.contrastive import gather
from ecgkit.nn.losses.cmsc import cmsc_loss
from ecgkit.nn.losses.threekg import threekg_loss
from ecgkit.training.sampling import PatientPairs
from ecgkit_ssl.backbone import pooled
from ecgkit_ssl.halves import halves
from ecgkit_ssl.presets import PatientConfig
from ecgkit_ssl.two_views import TwoViews


class OfPatients(TwoViews):
    """A method that knows which records are of one patient."""

    config: PatientConfig

    @classmethod
    def sampler(cls, config: Any, corpus: Corpus) -> Sampler | None:
        """Return a sampler that keeps two recordings of a patient together, if the config asks for it."""
        return PatientPairs(corpus.store) if config.patient_pairs else None


class ThreeKg(OfPatients):
    """Views of the heart turned and grown; those of one patient are alike."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Compare the views of all records."""
        features, patients = self.features(batch), gather(batch.extra["patients"])
        z = torch.cat([gather(self.projector(h)) for h in features])
        loss = threekg_loss(z, patients.repeat(len(features)), self.config.temperature)
        return Losses({"contrast": loss}, self.watched(features))


class Cmsc(OfPatients):
    """The two halves of a recording, each with leads hidden of its own, are alike."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Compare the first halves of all records with the second halves."""
        features = []
        for i, view in enumerate(batch.views[:2]):
            signal, lengths = halves(view.signal, view.lengths)[i]
            features.append(pooled(self.encoder, replace(view, signal=signal, lengths=lengths)))
        first, second = (gather(self.projector(h)) for h in features)
        loss = cmsc_loss(first, second, gather(batch.extra["patients"]), self.config.temperature)
        return Losses({"contrast": loss}, self.watched(features))
