"""MERL: ECG and report aligned (CMA), and two dropout views of the ECG (UMA); zero-shot by the similarity of prompts.

Liu et al., arXiv 2403.06659, section 3, as the released code does it: outputs equal its reference vectors.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Corpus, Encoder, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics
from ecgkit.nn.resnet import map_length
from ecgkit.text.encoder import completed
from ecgkit_kmerl.config import MerlConfig
from ecgkit_kmerl.contrast import clip_loss, ecg_projection, project, retrieval_accuracy, text_projection
from ecgkit_kmerl.language import Language
from ecgkit_kmerl.masking import draw_leads
from ecgkit_kmerl.resnet import AttentionPool, ResNetEncoder
from ecgkit_kmerl.vit import MixedTokenEncoder, keep_only


class Merl(Method):
    """MERL; see the module."""

    def __init__(self, config: MerlConfig) -> None:
        super().__init__()
        self.config = config
        self.language = Language(config.text)
        H, P = config.hidden, config.projection
        self.encoder: Encoder
        if config.encoder == "vit":
            self.encoder = MixedTokenEncoder(config)
            self.ecg_projection = ecg_projection(config.width, H, P)
            width = config.width
        else:
            self.encoder = trunk = ResNetEncoder(config)
            self.reduce = nn.Conv1d(trunk.width, P, 1)
            positions = map_length(config.signal.samples)
            self.attention_pool = AttentionPool(width=P, heads=config.pool_heads, positions=positions)
            width = P
        self.text_projection = text_projection(self.language.width, H, P)
        self.view_dropout = nn.Dropout(config.uma_dropout)
        self.view1 = nn.Linear(width, P, bias=False)
        self.view2 = self.view1 if config.uma_shared else nn.Linear(width, P, bias=False)
        self._freeze_what_no_loss_uses()

    def _freeze_what_no_loss_uses(self) -> None:
        aligned = [self.text_projection, self._projection]
        for weight, modules in ((self.config.w_cma, aligned), (self.config.w_uma, [self.view1, self.view2])):
            for module in modules if not weight else ():
                module.requires_grad_(False)

    @property
    def _projection(self) -> nn.Module:
        """Project the encoder's output into the space of the contrastive loss."""
        return self.ecg_projection if self.config.encoder == "vit" else self.attention_pool

    @classmethod
    def complete(cls, config: MerlConfig, corpus: Corpus) -> MerlConfig:
        """Fill in the text encoder's width."""
        return replace(config, text=completed(config.text))

    @classmethod
    def fewest_records(cls, config: MerlConfig) -> int:
        """Return 2: the contrastive loss needs a second pair of ECG and report."""
        return 2

    def prepare(self, corpus: Corpus) -> None:
        """Fit the text encoder, and compute the vectors of reports once."""
        self.language.prepare(corpus)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Align ECG with report, and the ECG with itself."""
        signal, config = batch.signal, self.config
        leads = draw_leads((len(signal), signal.shape[1]), config.dlm_counts, config.dlm_prob, signal.device)
        if leads is not None:
            signal = keep_only(signal, leads, config.signal.normalize, batch.lengths)
        ecg, views = self.represent(signal, batch.lead_ids, batch.lengths)
        parts: dict[str, Tensor] = {}
        stats: dict[str, Tensor] = {}
        if config.w_cma:
            text, paired = self.language.report_vectors(batch.extra["reports"])
            text = self.text_projection(text)
            parts["cma"] = config.w_cma * clip_loss(ecg, text, config.temperature, paired)
            if not self.training:
                stats = retrieval_accuracy(ecg, text, paired) | embedding_statistics(ecg)
        if config.w_uma:
            first, second = (self.view_dropout(view(views)) for view in (self.view1, self.view2))
            parts["uma"] = config.w_uma * clip_loss(first, second, config.temperature)
        return Losses(parts, stats)

    def represent(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the projected ECG ``[B, P]``, and the features ``[B, width]`` from which its two views are made."""
        if isinstance(self.encoder, MixedTokenEncoder):
            pooled = self.encoder.pool(self.encoder.visible_tokens(signal, lead_ids, lengths))
            return project(self.ecg_projection, pooled), pooled
        assert isinstance(self.encoder, ResNetEncoder)
        found = self.reduce(self.encoder.feature_map(signal, lead_ids))
        return self.attention_pool(found), found.mean(dim=-1)

    def class_vectors(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of prompts, which MERL lower-cases; see `ecgkit.methods.ZeroShot`."""
        return self.language.vectors([text.lower() for text in texts])

    def class_scores(self, batch: Batch, classes: Tensor, *, independent: bool = False) -> Tensor:
        """Return ``[B, C]``: the cosine of ECG and prompt, mapped from [-1, 1] to [0, 1].

        Prompts do not affect each other.
        """
        ecg, _ = self.represent(batch.signal, batch.lead_ids, batch.lengths)
        text = F.normalize(self.text_projection(classes).float(), dim=-1)
        return (1 + F.normalize(ecg.float(), dim=-1) @ text.T) / 2

    def trained_names(self) -> tuple[str, ...]:
        """Return no name: MERL learns from whole reports, so no class is seen."""
        return ()
