"""A product quantiser: each vector chooses one code per group, and becomes these codes one after the other.

Baevski et al., vq-wav2vec and wav2vec 2.0, arXiv 2006.11477, section 2. In training the choice is a sample of a Gumbel
softmax (Jang et al., arXiv 1611.01144), through which gradients pass; in evaluation it is the most likely code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ProductQuantizer(nn.Module):
    """See the module.

    Args:
        inputs: Width of a vector.
        groups: G.
        codes: V, codes per group.
        width: Width of a code; the output is G times as wide.
    """

    def __init__(self, *, inputs: int, groups: int, codes: int, width: int) -> None:
        super().__init__()
        self.groups = groups
        self.choose = nn.Linear(inputs, groups * codes)
        self.codes = nn.Parameter(torch.rand(groups, codes, width))

    def forward(self, x: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise vectors ``[..., inputs]``.

        Args:
            x: The vectors.
            temperature: Of the Gumbel softmax, in training.

        Returns:
            The quantised vectors ``[..., G width]``; the numbers of the codes ``[..., G]``; and the mean probability of
            each code over all vectors, ``[G, V]``, as `ecgkit.nn.losses.wav2vec2.unused` takes it.
        """
        logits = self.choose(x).unflatten(-1, (self.groups, -1)).float()  # (..., G, V)
        if self.training:
            chosen = F.gumbel_softmax(logits, tau=temperature, hard=True)
        else:
            chosen = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        quantized = torch.einsum("...gv,gvd->...gd", chosen, self.codes.to(chosen.dtype)).flatten(-2)
        shares = logits.softmax(-1).flatten(0, -3).mean(0)
        return quantized, chosen.argmax(-1), shares
