"""A codebook on the unit sphere that moves towards what chooses it.

Van den Oord et al., Neural Discrete Representation Learning, arXiv 1711.00937, appendix A.1, for codes of unit length
as in Peng et al., BEiT v2, arXiv 2208.06366. For a code v, the m_v vectors that chose it in a step, with mean c_v:

    w_v <- u(decay w_v + (1 - decay) u(c_v));    n_v <- decay n_v + (1 - decay) m_v;    u(x) = x / |x|

A code that no vector chose keeps its place. A training step only collects; `update` moves the codes, once per optimiser
step, with what all accumulated parts and all processes collected.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.nn.reduce import sum_over_processes


class Codebook(nn.Module):
    """See the module.

    Args:
        codes: Number of codes, V.
        width: Width of a code, d.
        decay: Share of a code that stays.
    """

    weight: Tensor
    uses: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(self, codes: int, width: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("weight", F.normalize(torch.randn(codes, width), dim=1))
        self.register_buffer("uses", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, width), persistent=False)
        self.register_buffer("counts", torch.zeros(codes), persistent=False)

    def forward(self, z: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Replace vectors by their codes.

        Args:
            z: ``[B, S, d]``, of any length.
            real: Bool ``[B, S]``; the others move no code.

        Returns:
            The codes ``[B, S, d]``, through which gradients pass to `z` as if they were `z`; their numbers ``[B, S]``;
            and the commitment, the mean square of ``u(z)`` minus its code, ``[B, S]``.
        """
        unit = F.normalize(z.float(), dim=-1)
        with torch.autocast(unit.device.type, enabled=False):  # in bf16 a neighbour may seem the nearest
            chosen = (unit @ self.weight.T).argmax(dim=-1)
        code = self.weight[chosen]
        if self.training:
            self._collect(unit.detach()[real], chosen[real])
        commitment = (code - unit).square().mean(dim=-1)
        return unit + (code - unit).detach(), chosen, commitment

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _collect(self, unit: Tensor, chosen: Tensor) -> None:
        self.sums.index_add_(0, chosen, unit)
        self.counts.index_add_(0, chosen, torch.ones_like(unit[:, 0]))

    def update(self) -> None:
        """Move the codes to what was collected since the last update, in all processes alike."""
        sums, counts = sum_over_processes(self.sums), sum_over_processes(self.counts)
        towards = torch.where(counts[:, None] > 0, F.normalize(sums, dim=1), self.weight)
        self.weight.copy_(F.normalize(self.decay * self.weight + (1 - self.decay) * towards, dim=1))
        self.uses.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        sums.zero_()
        counts.zero_()
