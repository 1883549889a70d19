"""ECG and report in one space: projections, and the contrastive loss over the pairs that have a report.

MERL, arXiv 2403.06659, section 3.1 and released code; the loss is CLIP's, arXiv 2103.00020, figure 3, as the sum of
both directions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.nn.contrastive import info_nce

TOP = (1, 5)


def ecg_projection(width: int, hidden: int, out: int) -> nn.Sequential:
    """Return Linear, BatchNorm, ReLU, Linear, BatchNorm."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out), nn.BatchNorm1d(out)
    )


def text_projection(width: int, hidden: int, out: int) -> nn.Sequential:
    """Return Linear, GELU, Linear."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out))


def project(head: nn.Module, x: Tensor) -> Tensor:
    """Apply a projection. A batch of one record uses the running statistics of BatchNorm."""
    if len(x) > 1 or not head.training:
        projected: Tensor = head(x)
        return projected
    head.eval()
    projected = head(x)
    head.train()
    return projected


def clip_loss(a: Tensor, b: Tensor, temperature: float, paired: Tensor | None = None) -> Tensor:
    """Return ``CE(S, diag) + CE(S^T, diag)`` with S = unit(a) unit(b)^T / temperature, over all processes.

    Args:
        a: ``[B, D]``.
        b: ``[B, D]``.
        temperature: Temperature of the softmax.
        paired: Bool ``[B]``, True for records with ECG and report; others are left out. None: all have both.
    """
    return 2 * info_nce(a, b, temperature, paired)


@torch.no_grad()
def retrieval_accuracy(a: Tensor, b: Tensor, paired: Tensor | None = None) -> dict[str, Tensor]:
    """Return the percentages of pairs whose partner is the nearest, and among the five nearest.

    Each is the mean over both directions, as MERL logs it.
    """
    if paired is not None:
        a, b = a[paired], b[paired]
    logits = F.normalize(a.float(), dim=-1) @ F.normalize(b.float(), dim=-1).T
    found = {}
    for top in TOP:
        k = min(top, len(logits))
        pairs = torch.arange(len(logits), device=logits.device)[:, None]
        hits = [(s.topk(k, dim=1).indices == pairs).any(1).float() for s in (logits, logits.T)] if k else []
        found[f"top{top}"] = 100 * torch.cat(hits).mean() if k else logits.new_zeros(())
    return found
