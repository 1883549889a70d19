"""BYOL: a prediction from one view must equal the averaged network's projection of the other view.

Grill et al., Bootstrap Your Own Latent, arXiv 2006.07733, equation 2. With predictions p and targets t of views v, w:

    L = mean_i [ |u(p_v) - u(t_w)|^2 + |u(p_w) - u(t_v)|^2 ] = mean_i [ 4 - 2 cos(p_v, t_w) - 2 cos(p_w, t_v) ]
"""

from torch import Tensor

from ecgkit.nn.losses.cosine import paired_cosine


def byol_loss(predicted: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor]) -> Tensor:
    """Return the loss, from 0 to 8; some public codes leave out the constant 4.

    Args:
        predicted: ``[B, D]`` of the first and of the second view.
        targets: ``[B, D]`` of the first and of the second view, without gradient.
    """
    first, second = predicted
    return (4 - 2 * paired_cosine(first, targets[1]) - 2 * paired_cosine(second, targets[0])).mean()
