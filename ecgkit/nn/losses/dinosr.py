"""The codes of DinoSR: each layer of the teacher has a codebook. A code is a moving mean of the tokens that chose it.

Liu et al., DinoSR: Self-Distillation and Online Clustering for Self-supervised Speech Representation Learning, arXiv
2305.10005, equations 2 to 5. For layer l with codebook E_l, x a token of the teacher's layer after `normalized`:

    code = argmin_v |x - E_lv|
    s_lv <- m s_lv + (1 - m) sum of x with code v;    n_lv <- m n_lv + (1 - m) number of them;    E_lv = s_lv / n_lv

The student's loss is that of `ecgkit.nn.losses.code_prediction`. A batch is compared with the codes from before it.
`Codebooks.update` moves them once per optimiser step, with what all parts of the batch and all processes collected.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.nn.losses.precision import precise
from ecgkit.nn.reduce import sum_over_processes

FEWEST = 1e-8


def normalized(layers: Tensor) -> Tensor:
    """Return tokens ``[..., D]`` after two layer norms without weights.

    The released code names the second an instance norm, but it acts on the width of each token as the first does.
    """
    for _ in range(2):
        layers = F.layer_norm(precise(layers), layers.shape[-1:])
    return layers


class Codebooks(nn.Module):
    """A codebook per layer.

    Args:
        layers: K, layers of the teacher.
        codes: V, codes per layer.
        width: D.
        momentum: m, share of the sums that stays in a step.
    """

    sums: Tensor
    counts: Tensor
    fresh_sums: Tensor
    fresh_counts: Tensor

    def __init__(self, layers: int, codes: int, width: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("sums", F.layer_norm(torch.randn(layers, codes, width), (width,)))
        self.register_buffer("counts", torch.ones(layers, codes))
        # What a step collects; buffers, so that whoever tries a step out can put everything back.
        self.register_buffer("fresh_sums", torch.zeros(layers, codes, width), persistent=False)
        self.register_buffer("fresh_counts", torch.zeros(layers, codes), persistent=False)

    @property
    def codes(self) -> Tensor:
        """The codes E, ``[K, V, D]``."""
        return self.sums / self.counts.clamp(min=FEWEST)[..., None]

    @torch.no_grad()
    def forward(self, tokens: Tensor, real: Tensor) -> Tensor:
        """Return the number of each token's code in each layer, int ``[K, B, N]``; in training, collect the tokens.

        Args:
            tokens: ``[K, B, N, D]``, what `normalized` made of the teacher's layers.
            real: Bool ``[B, N]``; padding moves no code.
        """
        x = tokens.flatten(1, 2).to(self.sums.dtype)  # (K, B N, D)
        with torch.autocast(x.device.type, enabled=False):  # in bf16 a neighbour may seem the nearest
            chosen = torch.cdist(x, self.codes, compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)
        if self.training:
            self._collect(x, chosen, real.flatten())
        return chosen.view(tokens.shape[:-1])

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _collect(self, x: Tensor, chosen: Tensor, real: Tensor) -> None:
        for layer in range(len(x)):
            self.fresh_sums[layer].index_add_(0, chosen[layer, real], x[layer, real])
            self.fresh_counts[layer].index_add_(0, chosen[layer, real], torch.ones_like(x[layer, real, 0]))

    @torch.no_grad()
    def update(self) -> None:
        """Move the codes by what was collected since the last update, in all processes alike."""
        for kept, fresh in ((self.sums, self.fresh_sums), (self.counts, self.fresh_counts)):
            kept.mul_(self.momentum).add_(sum_over_processes(fresh), alpha=1 - self.momentum)
            fresh.zero_()
