"""ST-MEM: a masked autoencoder over (lead, time patch) tokens.

Na et al., Guiding Masked Representation Learning to Capture Spatio-Temporal Relationship of Electrocardiogram,
arXiv 2402.09450, section 3. Each lead is cut into n patches of p samples. A separator token stands before and after a
lead's patches, and a lead embedding is added to all of them; the encoder sees the visible patches of all leads
together, the decoder rebuilds each lead on its own.

In: signal ``[B, L, T]`` with T a multiple of p, any L leads in any order. Out: features of width D, or the loss.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.errors import SignalError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Clock, Encoder, Features, Losses, Method, Reconstruction, TokenLayout
from ecgkit.nn.lead_check import check_standard_leads
from ecgkit.nn.masking import Mask, gather_tokens, random_mask
from ecgkit.nn.positions import sincos_positions
from ecgkit.nn.reconstruction import masked_mse, restore_patches, standardize_patches
from ecgkit.nn.transformer import Block
from ecgkit_stmem.config import StMemConfig

# Of the decoder's last norm; every other norm, those of its blocks included, has 1e-5 (shown by the reference vectors).
DECODER_NORM_EPS = 1e-6


def patchify(signal: Tensor, patch: int) -> Tensor:
    """Cut ``[B, L, T]`` into patches ``[B, L, n, p]``.

    Raises:
        SignalError: T is not a multiple of p.
    """
    B, L, T = signal.shape
    if T % patch or patch > T:
        raise SignalError(f"a signal of {T} samples", f"a multiple of the patch length {patch}")
    return signal.view(B, L, T // patch, patch)


def real_patches(lengths: Tensor | None, n: int, patch: int) -> Tensor | None:
    """Return ``[B, 1, n]``, True for patches that hold a real sample, from the lengths ``[B]`` of the records."""
    if lengths is None:
        return None
    return (torch.arange(n, device=lengths.device) * patch < lengths[:, None])[:, None]


def allowed_keys(real: Tensor | None) -> Tensor | None:
    """Return which tokens may be attended to: separators and real patches, ``[B, L, k] -> [B, L, k + 2]``."""
    return None if real is None else F.pad(real, (1, 1), value=True)


def lead_means(tokens: Tensor, real: Tensor | None) -> Tensor:
    """Average the real patches of each lead, ``[B, L, n + 2, D] -> [B, L, D]``; separators are left out."""
    patches = tokens[:, :, 1:-1]
    if real is None:
        return patches.mean(dim=2)
    weight = real[..., None].to(patches.dtype)  # (B, 1, n, 1)
    return (patches * weight).sum(dim=2) / weight.sum(dim=2)


def position_table(n: int, width: int) -> nn.Parameter:
    """Return the fixed table ``[n + 2, D]``: zeros for the left separator, n rows for patches, zeros for the right.

    Row m + 1 is the sine-cosine code of m; the two separators have none.
    """
    blank = torch.zeros(1, width)
    return nn.Parameter(torch.cat([blank, sincos_positions(n, width), blank]), requires_grad=False)


class StMemEncoder(Encoder):
    """The encoder: ViT over the patches of all leads, with separators and lead embeddings."""

    def __init__(self, config: StMemConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.aggregate = config.aggregate
        self.width = D = config.width
        self.to_tokens = nn.Sequential(nn.LayerNorm(self.patch), nn.Linear(self.patch, D), nn.LayerNorm(D))
        self.positions = position_table(config.patches, D)  # (n + 2, D)
        self.separator = nn.Parameter(torch.empty(D).normal_(std=0.02))
        self.lead_embedding = nn.Parameter(torch.empty(len(STANDARD_LEADS), D).normal_(std=0.02))
        self.blocks = nn.ModuleList(
            Block(width=D, heads=config.heads, head_width=config.head_width, hidden=int(D * config.mlp_ratio))
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(D)

    def embed(self, signal: Tensor, lead_ids: Tensor, mask: Mask | None = None) -> Tensor:
        """Make the input of the first block, ``[B, L, k + 2, D]`` with k visible patches per lead."""
        patches = patchify(signal, self.patch)  # (B, L, n, p)
        B, L, n, _ = patches.shape
        if n > len(self.positions) - 2:
            raise SignalError(f"{n} patches per lead", f"at most {len(self.positions) - 2}, as the model was built for")
        check_standard_leads(lead_ids)
        tokens = self.to_tokens(patches) + self.positions[1 : n + 1]
        if mask is not None:
            tokens = gather_tokens(tokens, mask.ids_keep)
        left, right = ((self.separator + self.positions[row]).expand(B, L, 1, -1) for row in (0, -1))
        return torch.cat([left, tokens, right], dim=2) + self.lead_embedding[lead_ids][:, None]

    def encode_visible(self, signal: Tensor, lead_ids: Tensor, mask: Mask | None = None) -> Tensor:
        """Return the normed tokens ``[B, L, k + 2, D]``, separators included: the last block's, or the blocks' mean."""
        real = None if mask is None or mask.real is None else mask.real.gather(-1, mask.ids_keep)
        outputs = list(self.run_blocks(self.embed(signal, lead_ids, mask), real))
        if self.aggregate == "last":
            return self.norm(outputs[-1])
        return torch.stack([self.norm(output) for output in outputs]).mean(dim=0)

    def run_blocks(self, x: Tensor, real: Tensor | None) -> Iterator[Tensor]:
        """Yield the output of every block, ``[B, L, k + 2, D]``, for tokens of that shape."""
        shape, allowed = x.shape, allowed_keys(real)
        if allowed is not None:
            allowed = allowed.expand(shape[:3]).flatten(1)[:, None, None]  # (B, 1, 1, L (k + 2))
        x = x.flatten(1, 2)  # lead by lead
        for block in self.blocks:
            x = block(x, allowed)
            yield x.view(shape)

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`."""
        x = self.embed(signal, lead_ids)
        B, L, n = x.shape[0], x.shape[1], x.shape[2] - 2
        real = real_patches(lengths, n, self.patch)
        layer_input, layers, last = lead_means(x, real).mean(dim=1), [], x
        for last in self.run_blocks(x, real):
            layers.append(lead_means(last, real).mean(dim=1))
        return Features(
            pooled=self.norm(layers[-1]),
            per_lead=self.norm(lead_means(last, real)),
            tokens=self.norm(last[:, :, 1:-1]).flatten(1, 2),
            layers=torch.stack(layers, dim=1),
            layer_input=layer_input,
            token_leads=torch.arange(L, device=x.device).repeat_interleave(n),
            token_real=None if real is None else real.expand(B, L, n).flatten(1),
        )

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return the patches between the separators of each lead; see `Encoder.token_layout`."""
        layout, L = super().token_layout(batch, features), batch.signal.shape[1]
        places = torch.arange(layout.count + 2 * L, device=batch.signal.device)
        return layout.placed(places.view(L, -1)[:, 1:-1].flatten(), len(places))

    def block_tokens(self, x: Tensor, tokens: int) -> Tensor:
        """Leave out the separators; see `Encoder.block_tokens`."""
        B, M, D = x.shape
        return x.reshape(B, (M - tokens) // 2, -1, D)[:, :, 1:-1].flatten(1, 2)


class StMemDecoder(nn.Module):
    """The decoder: rebuilds the hidden patches of each lead from that lead's tokens alone."""

    def __init__(self, config: StMemConfig) -> None:
        super().__init__()
        D = config.decoder_width
        self.embed = nn.Linear(config.width, D)
        self.mask_token = nn.Parameter(torch.empty(D).normal_(std=0.02))
        self.positions = position_table(config.patches, D)
        self.blocks = nn.ModuleList(
            Block(
                width=D,
                heads=config.decoder_heads,
                head_width=config.head_width,
                hidden=int(D * config.mlp_ratio),
            )
            for _ in range(config.decoder_depth)
        )
        self.norm = nn.LayerNorm(D, eps=DECODER_NORM_EPS)
        self.head = nn.Linear(D, config.patch)

    def forward(self, latent: Tensor, mask: Mask) -> Tensor:
        """Rebuild all patches.

        Args:
            latent: ``[B, L, k + 2, D]`` from the encoder.
            mask: Which patches of each lead were visible.

        Returns:
            ``[B, L, n, p]``.
        """
        x = self.embed(latent)
        B, L, n = mask.ids_restore.shape
        left, visible, right = x[:, :, :1], x[:, :, 1:-1], x[:, :, -1:]
        hidden = self.mask_token.to(x.dtype).expand(B, L, n - visible.shape[2], -1)
        patches = gather_tokens(torch.cat([visible, hidden], dim=2), mask.ids_restore)
        positions = torch.cat([self.positions[: n + 1], self.positions[-1:]])
        x = torch.cat([left, patches, right], dim=2) + positions
        allowed = allowed_keys(mask.real)
        if allowed is not None:
            allowed = allowed.flatten(0, 1)[:, None, None]  # (B L, 1, 1, n + 2)
        x = x.flatten(0, 1)  # (B L, n + 2, D): leads are separate sequences
        for block in self.blocks:
            x = block(x, allowed)
        return self.head(self.norm(x))[:, 1:-1].unflatten(0, (B, L))


class StMem(Method):
    """ST-MEM: encoder, decoder and the loss on hidden patches."""

    def __init__(self, config: StMemConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: StMemEncoder = StMemEncoder(config)
        self.decoder = StMemDecoder(config)
        self.apply(_initialise)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Hide patches, lead by lead, and rebuild them."""
        mask = self.draw_mask(batch)
        return Losses({"reconstruction": self.reconstruction_loss(batch.signal, batch.lead_ids, mask)})

    def draw_mask(self, batch: Batch) -> Mask:
        """Choose the patches to hide, lead by lead."""
        B, L, T = batch.signal.shape
        n = T // self.config.patch
        real = real_patches(batch.lengths, n, self.config.patch)
        return random_mask((B, L, n), self.config.mask_ratio, batch.signal.device, real)

    def rebuild(self, signal: Tensor, lead_ids: Tensor, mask: Mask) -> Tensor:
        """Return all patches as the decoder sees them, ``[B, L, n, p]``."""
        rebuilt: Tensor = self.decoder(self.encoder.encode_visible(signal, lead_ids, mask), mask)
        return rebuilt.float()

    def reconstruct(self, batch: Batch) -> Reconstruction:
        """Hide patches and rebuild them, in the unit of the signal.

        Where the targets are standardised, each rebuilt patch is given the mean and the deviation of the original:
        its shape comes from the model, its level does not.
        """
        mask = self.draw_mask(batch)
        original, rebuilt = (
            patchify(batch.signal, self.config.patch),
            self.rebuild(batch.signal, batch.lead_ids, mask),
        )
        if self.config.norm_patches:
            rebuilt = restore_patches(rebuilt, original)
        real = None if mask.real is None else mask.real.expand(original.shape[:-1])
        return Reconstruction(original, mask.mask == 0 if real is None else (mask.mask == 0) & real, rebuilt, real)

    def reconstruction_loss(self, signal: Tensor, lead_ids: Tensor, mask: Mask) -> Tensor:
        """Return the mean squared error over hidden patches for a given mask."""
        predicted = self.rebuild(signal, lead_ids, mask)
        target = patchify(signal, self.config.patch)
        if self.config.norm_patches:
            target = standardize_patches(target)
        return masked_mse(predicted, target, mask.mask)


def _initialise(module: nn.Module) -> None:
    """Xavier-uniform matrices and zero biases, as in He et al., arXiv 2111.06377."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
