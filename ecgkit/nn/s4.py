"""S4: a state-space layer with a diagonal plus low-rank state matrix.

Gu et al., Efficiently Modeling Long Sequences with Structured State Spaces, arXiv 2111.00396, as Mehari and Strodthoff,
arXiv 2308.15291, use it for ECGs. H channels, state size N; of each conjugate pair of states one is stored, as a pair
of real numbers on the last axis.

    A = diag(w) - P Q^T,  dt = exp(log_dt)
    dA = (I - dt/2 A)^-1 (I + dt/2 A),  dB = (I - dt/2 A)^-1 dt B
    k[l] = Re(C dA^l dB);  stored is C (I - dA^R), where R is the reach: the longest input without further work

The kernel comes from its generating function at the R-th roots of unity (section 3.3 and appendix C.3 of the paper).
"""

import math
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["layer", "batch", "batch-alone"]
RANGE = (0.001, 0.1)  # of dt at the start


def legs(states: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return w, P and B of HiPPO-LegS in the basis of the eigenvectors, each complex ``[states / 2]``.

    One of each conjugate pair of eigenvalues is kept. Their real parts are all -1/2.
    """
    n = np.arange(states, dtype=np.float64)
    root = np.sqrt(2 * n + 1)
    A = -np.tril(root[:, None] * root, -1) - np.diag(n + 1)
    P = np.sqrt(n + 0.5)
    # A + P P^T is -1/2 plus a skew-symmetric matrix, so i times the latter is Hermitian.
    skew = A + P[:, None] * P + 0.5 * np.eye(states)
    values, vectors = np.linalg.eigh(-1j * skew)
    kept = values > 0
    w, V = -0.5 + 1j * values[kept], vectors[:, kept]
    device = torch.get_default_device()  # so that sizes can be counted without memory for weights
    made = (torch.from_numpy(x).to(device) for x in (w, V.conj().T @ P, V.conj().T @ root))
    return tuple(made)  # type: ignore[return-value]


class S4Kernel(nn.Module):
    """The kernels of one layer.

    Args:
        width: Channels H.
        states: State size N.
        reach: Longest input in samples for which the stored C is made; even.
        directions: 1 for a causal layer, 2 for one that also looks ahead.

    Raises:
        ValueError: `reach` or `states` is odd.
    """

    B: Tensor
    P: Tensor
    Q: Tensor
    w: Tensor
    log_dt: Tensor

    def __init__(self, *, width: int, states: int, reach: int, directions: int) -> None:
        super().__init__()
        if reach % 2 or states % 2:
            # The inverse Fourier transform of an odd length would return one sample less, and a wrong kernel.
            raise ValueError(f"reach {reach} and states {states} must be even")
        self.reach = reach
        w, P, B = (torch.view_as_real(x.to(torch.complex64)) for x in legs(states))
        low, high = (math.log(x) for x in RANGE)
        self.register_buffer("log_dt", torch.rand(width) * (high - low) + low)
        self.register_buffer("w", w.expand(width, -1, -1).clone())
        self.register_buffer("P", P.expand(1, width, -1, -1).clone())
        self.register_buffer("Q", (P * torch.tensor([1.0, -1.0])).expand(1, width, -1, -1).clone())  # conjugate of P
        self.register_buffer("B", B.expand(1, width, -1, -1).clone())
        true = torch.randn(directions, width, states // 2, dtype=torch.complex64)
        self.C = nn.Parameter(torch.view_as_real(self._corrected(true.to(torch.complex128), 0, reach)).float())

    def forward(self, length: int) -> Tensor:
        """Return the kernels ``[directions, H, length]``. A length beyond the reach costs matrix powers."""
        C, reach = torch.view_as_complex(self.C), self.reach
        while reach < length:
            reach *= 2
        if reach != self.reach:
            C = self._corrected(C.to(torch.complex128), self.reach, reach).to(C.dtype)
        return self._generated(C, reach)[..., :length]

    def _generated(self, C: Tensor, reach: int) -> Tensor:
        """Return the kernels ``[directions, H, reach]`` from their generating function."""
        B, P, Q, w = (torch.view_as_complex(x) for x in (self.B, self.P, self.Q, self.w))
        # The last root is -1, where z is infinite: its value is the limit.
        angle = torch.arange(reach // 2, device=C.device, dtype=torch.float64) * (-2 * math.pi / reach)
        turn = torch.polar(torch.ones_like(angle), angle)
        z = (2 * (1 - turn) / (1 + turn)).to(C.dtype)
        scale = (2 / (1 + turn)).to(C.dtype)
        dt = self.log_dt.exp()[:, None]
        left = torch.cat([B, P])[:, None]  # (2, 1, H, N/2)
        right = torch.cat([C, Q])[None]  # (1, directions + 1, H, N/2)
        r = dt * _cauchy(left * right, z, w * dt)  # (2, directions + 1, H, F)
        r_bc, r_bq, r_pc, r_pq = r[:1, :-1], r[:1, -1:], r[1:, :-1], r[1:, -1:]
        spectrum = (r_bc - r_bq * r_pc / (1 + r_pq)) * scale
        limit = dt * (B * C).sum(-1, keepdim=True).real
        return torch.fft.irfft(torch.cat([spectrum[0], limit.to(C.dtype)], dim=-1), n=reach)

    def step(self) -> tuple[Tensor, Tensor]:
        """Return dA ``[H, N, N]`` and dB ``[H, N]`` in double precision, with both states of each pair."""
        w, P, Q, B = (_paired(torch.view_as_complex(x.double())) for x in (self.w, self.P[0], self.Q[0], self.B[0]))
        A = torch.diag_embed(w) - P[..., None] * Q[:, None]
        half = self.log_dt.double().exp()[:, None, None] / 2 * A
        eye = torch.eye(w.shape[-1], dtype=A.dtype, device=A.device)
        back = torch.linalg.inv(eye - half)
        dB = (back @ B[..., None])[..., 0] * self.log_dt.double().exp()[:, None]
        return back @ (eye + half), dB

    def plain_output(self) -> Tensor:
        """Return C without the factor ``I - dA^R``, complex ``[directions, H, N]`` in double precision."""
        return self._undone(torch.view_as_complex(self.C.double()), self.reach)

    def _undone(self, C: Tensor, reach: int) -> Tensor:
        full = _paired(C)
        if not reach:
            return full
        dA, _ = self.step()
        factor = torch.eye(dA.shape[-1], dtype=dA.dtype, device=dA.device) - torch.linalg.matrix_power(dA, reach)
        return torch.linalg.solve(factor.mT, full[..., None])[..., 0]  # row vector times the inverse

    def _corrected(self, C: Tensor, reach: int, longer: int) -> Tensor:
        """Return C ``[directions, H, N/2]`` made for one reach as it is for another; 0 is none."""
        dA, _ = self.step()
        true = self._undone(C, reach)
        power = torch.linalg.matrix_power(dA, longer)
        made: Tensor = (true - (true[..., None, :] @ power)[..., 0, :])[..., : C.shape[-1]]
        return made


def _paired(x: Tensor) -> Tensor:
    """Append the other state of each conjugate pair on the last axis."""
    return torch.cat([x, x.conj()], dim=-1)


def _cauchy(v: Tensor, z: Tensor, w: Tensor) -> Tensor:
    """Return the sum over n of ``v / (z - w)`` and its conjugate pair: ``[..., H, N/2], [F], [H, N/2] -> [..., H, F]``.

    Both terms of a pair have one real denominator.
    """
    real = v.real[..., None] * z - (v * w.conj()).real[..., None]
    return (2 * real / (z * z - 2 * z * w.real[..., None] + w.abs().square()[..., None])).sum(dim=-2)


class S4(nn.Module):
    """One layer: convolution with the kernels, plus D times the input, GELU, and a gated linear unit.

    Args:
        width: Channels H.
        states: State size N.
        reach: See `S4Kernel`.
        bidirectional: Whether the layer also looks ahead.
        dropout: Share of channels that is dropped before the linear unit.
    """

    def __init__(self, *, width: int, states: int, reach: int, bidirectional: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.kernel = S4Kernel(width=width, states=states, reach=reach, directions=1 + bidirectional)
        self.D = nn.Parameter(torch.randn(width))
        self.dropout = nn.Dropout1d(dropout)
        self.output = nn.Linear(width, 2 * width)
        self._kept: tuple[tuple[Any, ...], Tensor] | None = None

    def train(self, mode: bool = True) -> "S4":
        """See `torch.nn.Module.train`. What was kept for evaluation is dropped."""
        self._kept = None
        return super().train(mode)

    def forward(self, u: Tensor) -> Tensor:
        """``[B, H, T] -> [B, H, T]``."""
        y = F.gelu(self.convolve(u.float()) + self.D[:, None] * u).to(u.dtype)
        return F.glu(self.output(self.dropout(y).mT), dim=-1).mT

    def convolve(self, u: Tensor) -> Tensor:
        """Convolve ``[B, H, T]`` with the kernels, over the past and, with two directions, over the future."""
        T = u.shape[-1]
        with torch.autocast(u.device.type, enabled=False):  # Fourier transforms need single precision
            spectrum = torch.fft.rfft(u, n=2 * T) * self._kernel_spectrum(T)
            return torch.fft.irfft(spectrum, n=2 * T)[..., :T]

    def _kernel_spectrum(self, T: int) -> Tensor:
        """Return the transform of the kernels of length T. In evaluation it is kept while the weights stay the same."""
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self._made_spectrum(T)
        weights = (*self.kernel.parameters(), *self.kernel.buffers())
        if any(x.is_inference() for x in weights):  # these do not count their changes
            return self._made_spectrum(T)
        state = (T, *((x.data_ptr(), x.dtype, x.device, x._version) for x in weights))
        if self._kept is None or self._kept[0] != state:
            self._kept = state, self._made_spectrum(T)
        return self._kept[1]

    def _made_spectrum(self, T: int) -> Tensor:
        k = self.kernel(T)
        both = F.pad(k[0], (0, T))
        if len(k) == 2:
            both = both + F.pad(k[1].flip(-1), (T, 0))
        return torch.fft.rfft(both, n=2 * T)


class S4Stack(nn.Module):
    """Layers ``x = LayerNorm(S4(x) + x)``, over channels.

    Args:
        width: Channels H.
        depth: Number of layers.
        states: State size N.
        reach: See `S4Kernel`.
        bidirectional: Whether layers also look ahead.
        dropout: Dropout of channels, twice per layer.
        norm: ``layer``; ``batch`` for BatchNorm in its place; ``batch-alone`` for ``x = BatchNorm(S4(x))``, which is
            what the released code of ECG-MIMIC computes with BatchNorm.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        states: int,
        reach: int,
        bidirectional: bool,
        dropout: float = 0.0,
        norm: Norm = "layer",
    ) -> None:
        super().__init__()
        self.norm = norm
        self.layers = nn.ModuleList(
            S4(width=width, states=states, reach=reach, bidirectional=bidirectional, dropout=dropout)
            for _ in range(depth)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(width) if norm == "layer" else nn.BatchNorm1d(width) for _ in range(depth)
        )
        self.dropout = nn.Dropout1d(dropout)

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Return the output of every layer, each ``[B, H, T]``."""
        found = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            out = self.dropout(layer(x))
            out = out if self.norm == "batch-alone" else out + x
            x = norm(out.mT).mT if self.norm == "layer" else norm(out)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """``[B, H, T] -> [B, H, T]``."""
        return self.outputs(x)[-1]
