"""LAMAE: masked autoencoding of single leads through attention over the latent tokens of all leads.

arXiv 2603.26475, section 3; what it leaves open is a field of the config. `LamaeEncoder` encodes, here are the second
mask, the decoder and the losses, those of the baselines among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.errors import RunError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Clock, Corpus, Losses, Method, Reconstruction
from ecgkit.nn.masking import Mask, gather_tokens, kept_count, random_mask
from ecgkit.nn.reconstruction import masked_mse, restore_patches, standardize_patches
from ecgkit_lamae.alignment import alignment_loss, alignment_weight
from ecgkit_lamae.config import LamaeConfig
from ecgkit_lamae.encoder import Encoded, LamaeEncoder, Stack, patchify, real_patches, trunc_normal


@dataclass(frozen=True)
class Latent:
    """Input of the decoder.

    Args:
        slots: ``[B, L, N, D]``, a token for every patch; the mask token where none survived.
        cls: ``[B, D]`` of the latent attention; None without it.
    """

    slots: Tensor
    cls: Tensor | None


class Decoder(nn.Module):
    """Rebuilds the patches of single leads from their own slots, and the CLS of the latent attention."""

    def __init__(self, config: LamaeConfig) -> None:
        super().__init__()
        self.positions = nn.Parameter(trunc_normal(config.patches, config.width))
        self.stack = Stack(config, config.decoder_depth)
        self.head = nn.Linear(config.width, config.patch)

    def forward(self, slots: Tensor, cls: Tensor | None, real: Tensor | None) -> Tensor:
        """Rebuild all patches of leads, as S separate sequences.

        Args:
            slots: ``[S, N, D]``.
            cls: ``[S, D]``, or None.
            real: Bool ``[S, N]``, False for padding; None if all are real.

        Returns:
            ``[S, N, p]``.
        """
        n = slots.shape[-2]
        x = slots + self.positions[:n]
        if cls is not None:
            x = torch.cat([cls[:, None], x], dim=1)
            real = None if real is None else F.pad(real, (1, 0), value=True)
        out: Tensor = self.head(self.stack(x, None if real is None else real[:, None, None])[:, -n:])
        return out


class Lamae(Method):
    """LAMAE or a baseline, as its config says."""

    def __init__(self, config: LamaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: LamaeEncoder = LamaeEncoder(config)
        if config.objective == "reconstruct":
            self.mask_token = nn.Parameter(trunc_normal(config.width))
            self.decoders = nn.ModuleList(Decoder(config) for _ in range(1 if config.shared else len(STANDARD_LEADS)))
        self.apply(_initialise)

    @classmethod
    def complete(cls, config: LamaeConfig, corpus: Corpus) -> LamaeConfig:
        """Fill in the class names for training on labels."""
        return replace(config, classes=corpus.labels) if config.objective == "classify" else config

    @classmethod
    def further_needs(cls, config: LamaeConfig) -> tuple[str, ...]:
        """Return ``labels`` if the encoder is trained on them."""
        return ("labels",) if config.objective == "classify" else ()

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Hide patches and rebuild them, or predict labels."""
        if self.config.objective == "classify":
            return self._classify(batch)
        mask, encoded, survivors = self.hide(batch)
        parts = {"reconstruction": self.reconstruction_loss(batch, encoded, mask, survivors)}
        alignment = self.config.alignment
        if alignment is not None:
            weight = alignment_weight(alignment, self.config.recipe.warmup(clock.steps_per_epoch), clock)
            parts["alignment"] = weight.to(batch.signal.device) * alignment_loss(encoded, alignment)
        return Losses(parts)

    def hide(self, batch: Batch) -> tuple[Mask, Encoded, Tensor]:
        """Draw both masks and encode what the first leaves.

        Returns:
            The mask over ``[B, L, N]``, the encoded visible patches, and the survivors of `latent_mask`.
        """
        B, L, T = batch.signal.shape
        n = T // self.config.patch
        real = real_patches(batch.lengths, L, n, self.config.patch)
        mask = random_mask((B, L, n), self.config.mask_ratio, batch.signal.device, real)
        encoded = self.encoder.encode_leads(batch.signal, batch.lead_ids, mask, real)
        return mask, encoded, self.latent_mask(encoded)

    def reconstruct(self, batch: Batch) -> Reconstruction:
        """Hide patches and rebuild them, in the unit of the signal; see `Method.reconstruct`.

        Visible are the patches that the encoder sees, those too that the second mask keeps from the latent attention:
        the loss does not score them. Where the targets are standardised, a rebuilt patch is given the mean and the
        deviation of the original.
        """
        if self.config.objective == "classify":
            return super().reconstruct(batch)
        mask, encoded, survivors = self.hide(batch)
        original = patchify(batch.signal, self.config.patch)
        rebuilt = self.decode(batch, self.latent(encoded, mask, survivors), mask.real).float()
        if self.config.norm_patches:
            rebuilt = restore_patches(rebuilt, original)
        seen = mask.mask == 0
        return Reconstruction(original, seen if mask.real is None else seen & mask.real, rebuilt, mask.real)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights; runs of earlier versions also hold counters of steps, which the clock now stands in for."""
        weights = {name: value for name, value in state_dict.items() if not name.startswith("align.")}
        return super().load_state_dict(weights, strict, assign)

    def latent_mask(self, encoded: Encoded) -> Tensor:
        """Draw which of the encoder's tokens the latent attention sees: ``[B, A]``, indices among L K tokens."""
        B, L, K, _ = encoded.tokens.shape
        device, ratio = encoded.tokens.device, self.config.latent_mask_ratio
        if self.config.latent_mask == "token":
            real = None if encoded.real is None else encoded.real.flatten(1)
            return random_mask((B, L * K), ratio, device, real).ids_keep
        leads = torch.rand(B, L, device=device).argsort(dim=-1)[:, : max(1, kept_count(L, ratio))]
        return (leads[:, :, None] * K + torch.arange(K, device=device)).flatten(1)

    def decode(self, batch: Batch, latent: Latent, real: Tensor | None) -> Tensor:
        """Rebuild all patches, ``[B, L, N, p]``, each lead on its own."""
        B, L = latent.slots.shape[:2]
        cls = latent.cls if self.config.decoder_cls else None
        parts = [latent.slots, None if cls is None else cls[:, None].expand(-1, L, -1), real]
        if self.config.shared:
            rebuilt: Tensor = self.decoders[0](*(None if part is None else part.flatten(0, 1) for part in parts))
            return torch.unflatten(rebuilt, 0, (B, L))
        rows = [[None if part is None else part[:, i] for part in parts] for i in range(L)]
        return torch.stack([self.decoders[int(batch.lead_ids[i])](*rows[i]) for i in range(L)], dim=1)

    def latent(self, encoded: Encoded, mask: Mask, survivors: Tensor) -> Latent:
        """Join the leads, and put the tokens that survive both masks back into their places.

        Without latent attention the encoder's tokens go to the decoder as they are.
        """
        B, L, _, D = encoded.tokens.shape
        tokens, cls = encoded.tokens.flatten(1, 2), None
        place = (torch.arange(L, device=tokens.device)[:, None] * mask.mask.shape[-1] + mask.ids_keep).flatten(1)
        if self.encoder.latent is not None:
            tokens = gather_tokens(tokens, survivors)
            real = None if encoded.real is None else encoded.real.flatten(1).gather(1, survivors)
            joined = self.encoder.latent(tokens, real)
            tokens, cls = joined[:, 1:], joined[:, 0]
            place = place.gather(1, survivors)
        slots = self.mask_token.to(tokens.dtype).expand(B, L * mask.mask.shape[-1], D)
        slots = slots.scatter(1, place[..., None].expand(-1, -1, D), tokens)
        return Latent(torch.unflatten(slots, 1, (L, -1)), cls)

    def reconstruction_loss(self, batch: Batch, encoded: Encoded, mask: Mask, survivors: Tensor) -> Tensor:
        """Return the error on the patches that the encoder did not see, for given masks."""
        rebuilt = self.decode(batch, self.latent(encoded, mask, survivors), mask.real)
        target = patchify(batch.signal, self.config.patch)
        if self.config.norm_patches:
            target = standardize_patches(target)
        if self.config.reduction == "mean":
            return masked_mse(rebuilt.float(), target, mask.mask)
        error = ((rebuilt.float() - target).square().sum(dim=-1) * mask.mask).sum(dim=-1)  # (B, L)
        return error.mean() / self.config.mask_ratio

    def _classify(self, batch: Batch) -> Losses:
        logits, labels = self.encoder.encode(batch).logits, batch.extra.get("labels")
        if logits is None or labels is None:
            raise RunError("this model trains on labels and got none", "a task", "Name one with --task.")
        return Losses({"classification": F.binary_cross_entropy_with_logits(logits.float(), labels)})


def _initialise(module: Any) -> None:
    """Xavier-uniform matrices and zero biases, as in He et al., arXiv 2111.06377."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
