"""K-MERL: an ECG encoder for any leads, taught by reports and by the cardiac entities in them.

Liu et al., arXiv 2502.17900, sections 3.2 to 3.4. No code was published; what the paper leaves open follows MERL's
and KAD's code or is ours, each as a field of the config. Losses: a contrastive one between ECG and report, and a
binary cross-entropy of the query network, which answers for every entity whether the report asserts it.

In: signal ``[B, L, T]``, any L of the twelve leads in any order. Out: features of width D, the losses, or one
probability per class name.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.knowledge.labels import PRESENT, UNCERTAIN, read_labels
from ecgkit.knowledge.source import EntitySource
from ecgkit.methods import AttentionCall, Batch, Clock, Corpus, Features, Losses, Method, TokenLayout
from ecgkit.nn.contrastive import embedding_statistics
from ecgkit.nn.query_network import QueryNetwork
from ecgkit.text.encoder import completed
from ecgkit.training.preparation import extraction_for
from ecgkit.training.supply import UNREAD
from ecgkit_kmerl.config import KMerlConfig
from ecgkit_kmerl.contrast import clip_loss, ecg_projection, project, retrieval_accuracy, text_projection
from ecgkit_kmerl.language import Language
from ecgkit_kmerl.masking import Kept, draw_leads, draw_segments
from ecgkit_kmerl.vit import LeadTokenEncoder, MixedTokenEncoder, TokenEncoder, Tokens


def entity_targets(values: Tensor, rule: str) -> tuple[Tensor, Tensor]:
    """Turn entity labels into targets of 0 and 1, and weights.

    Args:
        values: uint8 ``[B, Q]``, as `ecgkit.training.supply.entity_values` gives them.
        rule: How an uncertain entity counts: ``negative``, ``positive`` or ``ignore`` (weight 0).
    """
    unsure, known = values == UNCERTAIN, values != UNREAD
    targets = (values == PRESENT) | unsure if rule == "positive" else values == PRESENT
    weights = known & ~unsure if rule == "ignore" else known
    return targets.float(), weights.float()


class KMerl(Method):
    """K-MERL; see the module."""

    def __init__(self, config: KMerlConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: TokenEncoder = (
            LeadTokenEncoder(config)
            if config.lead_tokens
            else MixedTokenEncoder(config, position_std=config.position_std)
        )
        self.language = Language(config.text)
        D, P = config.width, config.projection
        if config.w_contrast:
            self.ecg_projection = ecg_projection(D, P, P)
            self.text_projection = text_projection(self.language.width, P, P)
        else:
            self.encoder.norm.requires_grad_(False)  # only the pooled features pass it
        if config.w_query:
            self.to_memory = nn.Linear(D, config.query_width)
            self.to_query = nn.Linear(self.language.width, config.query_width)
            self.query_network = QueryNetwork(
                width=config.query_width,
                layers=config.query_layers,
                heads=config.query_heads,
                hidden=config.query_hidden,
                dropout=config.query_dropout,
            )

    @classmethod
    def complete(cls, config: KMerlConfig, corpus: Corpus) -> KMerlConfig:
        """Fill in the store's entities and the text encoder's width."""
        name = extraction_for(corpus.store, config.entities)
        entities = EntitySource(name, read_labels(corpus.store, name).names)
        return replace(config, entities=entities, text=completed(config.text))

    @classmethod
    def fewest_records(cls, config: KMerlConfig) -> int:
        """Return 2: the contrastive loss needs a second pair of ECG and report."""
        return 2

    def prepare(self, corpus: Corpus) -> None:
        """Fit the text encoder, and compute the vectors of reports and entity names once."""
        self.language.prepare(corpus, self.config.entities.names)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Hide leads and segments, and learn report and entities from what stays."""
        kept = self.draw(batch)
        tokens = self.encoder.visible_tokens(batch.signal, batch.lead_ids, batch.lengths, kept)
        parts: dict[str, Tensor] = {}
        stats: dict[str, Tensor] = {}
        config = self.config
        if config.w_contrast:
            ecg, text, paired = self.pair(tokens, batch.extra["reports"])
            loss = clip_loss(ecg, text, config.temperature, paired)
            parts["contrast"] = config.w_contrast * (loss / 2 if config.contrast == "mean" else loss)
            if not self.training:
                stats = retrieval_accuracy(ecg, text, paired) | embedding_statistics(ecg)
        if config.w_query:
            queries = self.language.names(self.language.encoder)
            logits = self.answer(tokens, queries)
            targets, weights = entity_targets(batch.extra["entities"], config.uncertain)
            loss = F.binary_cross_entropy_with_logits(logits.float(), targets, weights, reduction="sum")
            parts["query"] = config.w_query * loss / weights.sum().clamp_min(1)
        return Losses(parts, stats)

    def draw(self, batch: Batch) -> Kept | None:
        """Draw the leads and segments of a batch that a step sees; None for all of them."""
        B, L, T = batch.signal.shape
        device, config = batch.signal.device, self.config
        leads = draw_leads((B, L), config.dlm_counts, config.dlm_prob, device)
        if leads is None and not config.lsm_ratio:
            return None
        if leads is None:
            leads = torch.arange(L, device=device).expand(B, L)
        N = T // config.patch
        real = self.encoder.real_segments(batch.lengths, N)
        return Kept(leads, draw_segments((*leads.shape, N), config.lsm_ratio, device, real))

    def pair(self, tokens: Tokens, reports: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the projected ECGs and reports, ``[B, P]`` each, and bool ``[B]``, True for records with a report."""
        text, has = self.language.report_vectors(reports)
        return project(self.ecg_projection, self.encoder.pool(tokens)), self.text_projection(text), has

    def answer(self, tokens: Tokens, queries: Tensor, *, independent: bool = False) -> Tensor:
        """Return the logits ``[B, Q]`` of queries, given by the vectors ``[Q, D_text]`` of their texts."""
        memory, real = tokens.flat()
        logits: Tensor = self.query_network(
            self.to_query(queries), self.to_memory(memory), real, independent=independent
        )
        return logits

    def class_vectors(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of class names; see `ecgkit.methods.ZeroShot`."""
        return self.language.vectors(texts)

    def class_scores(self, batch: Batch, classes: Tensor, *, independent: bool = False) -> Tensor:
        """Return ``[B, C]``: the query network's probabilities, or similarities; see `KMerlConfig.score`."""
        tokens = self.encoder.visible_tokens(batch.signal, batch.lead_ids, batch.lengths)
        if self.config.queries_classes:
            return self.answer(tokens, classes, independent=independent).float().sigmoid()
        ecg = F.normalize(self.ecg_projection(self.encoder.pool(tokens)).float(), dim=-1)
        return (1 + ecg @ F.normalize(self.text_projection(classes).float(), dim=-1).T) / 2

    def class_layout(self, batch: Batch, features: Features, classes: Tensor) -> TokenLayout:
        """Return the record's tokens, then the queries of the classes; see `ecgkit.methods.Method.class_layout`."""
        layout = self.encoder.token_layout(batch, features)
        if not self.config.queries_classes:
            return layout
        M, Q, device = layout.count, len(classes), batch.signal.device
        memory, queries = torch.arange(M, device=device), torch.arange(M, M + Q, device=device)
        layer = [AttentionCall.among(queries), AttentionCall(queries[None], memory[None])]
        calls = [AttentionCall.among(memory)] * len(self.encoder.blocks) + layer * self.config.query_layers
        asked = torch.eye(M + Q, dtype=torch.float64, device=device)[M:]
        return replace(layout.placed(memory, M + Q), classes=asked, calls=tuple(calls))

    def trained_names(self) -> tuple[str, ...]:
        """Return the entities."""
        return self.config.entities.names
