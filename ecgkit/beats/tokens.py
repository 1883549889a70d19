"""Beat tokens: a batch of signals, cut at its R peaks without a loop over records.

The published rule (CLEAR, arXiv 2512.24002, and HeartLang, arXiv 2502.10707; released code), with peaks r_0 < r_1 <
..., a window of W samples, h of them before the peak, and integer division:

    first beat   start = max(r - h, 0)            end = (r_0 + r_1) // 2, or min(start + W, T) if it is the only one
    middle       start = (r_{i-1} + r_i) // 2     end = (r_i + r_{i+1}) // 2
    last         start = (r_{i-1} + r_i) // 2     end = min(r + (W - h), T)
    clip to [0, T]; if end - start > W: start = max(r - h, 0), end = min(start + W, T)
    place into W zeros at offset max(h - (r - start), 0), and cut what runs past W

The peak is at index h, unless a beat of at most W samples has more than h samples before its peak.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ecgkit.beats.windows import EVEN_PEAKS, PUBLISHED, BeatWindow

NO_PEAK = -1


@dataclass(frozen=True)
class BeatTokens:
    """The beats of a batch.

    Args:
        tokens: ``[B, L, S, W]``, with zeros in empty slots, and where a beat is shorter than its window.
        real: bool ``[B, S]``, which slots hold a beat. All leads of a record share their peaks.
        peaks: ``[B, S]``, position of each beat's R peak in the signal; `NO_PEAK` in empty slots.
        spans: ``[B, S, 2]``, first sample of each beat and sample after its last; both 0 in empty slots.
    """

    tokens: Tensor
    real: Tensor
    peaks: Tensor
    spans: Tensor


def beat_tokens(signal: Tensor, peaks: Tensor, window: BeatWindow = PUBLISHED) -> BeatTokens:
    """Cut every lead of every record at its R peaks.

    Args:
        signal: ``[B, L, T]``.
        peaks: int64 ``[B, P]``, positions in the signal, ascending and then `NO_PEAK`; see `Peaks.at`.
        window: Window of a token.

    Returns:
        The tokens, on the signal's device and of its type.
    """
    start, stop, offset = _bounds(peaks, window, signal.shape[-1])
    slot = _slots(peaks, window)  # [B, S], index into P
    real = slot >= 0
    index = slot.clamp(min=0)
    padded = torch.nn.functional.pad(peaks, (0, 1), value=NO_PEAK)  # a batch without any peak has P = 0
    start, stop, offset = (torch.nn.functional.pad(x, (0, 1)).gather(1, index) for x in (start, stop, offset))
    inside = torch.arange(window.width, device=signal.device) - offset[..., None]  # [B, S, W]
    source = start[..., None] + inside
    valid = (inside >= 0) & (source < stop[..., None]) & real[..., None]
    B, L, T = signal.shape
    source = source.clamp(0, max(T - 1, 0)).flatten(1)[:, None].expand(B, L, -1)
    tokens = signal.gather(2, source).view(B, L, *valid.shape[1:])
    tokens = torch.where(valid[:, None], tokens, tokens.new_zeros(()))
    spans = torch.stack([start, torch.minimum(stop, start + window.width - offset)], dim=2) * real[..., None]
    return BeatTokens(tokens, real, torch.where(real, padded.gather(1, index), NO_PEAK), spans)


def regular_peaks(samples: int, count: int = EVEN_PEAKS) -> Tensor:
    """Return `count` evenly spaced centres, int64 ``[count]``. Published code uses them for a record without peaks."""
    return torch.arange(count) * (samples - 1) // max(1, count - 1)


def with_regular_peaks(peaks: Tensor, samples: int, count: int = EVEN_PEAKS) -> tuple[Tensor, Tensor]:
    """Give evenly spaced peaks to records without any, for methods that ask for it.

    Args:
        peaks: ``[B, P]``, `NO_PEAK` for empty places.
        samples: Length of the signal.
        count: Number of evenly spaced peaks.

    Returns:
        Peaks ``[B, max(P, count)]``; and bool ``[B]``, which records have their own peaks.
    """
    found = (peaks >= 0).any(1)
    even = regular_peaks(samples, count).to(peaks.device)
    wide = torch.nn.functional.pad(peaks, (0, max(0, count - peaks.shape[1])), value=NO_PEAK)
    even = torch.nn.functional.pad(even, (0, wide.shape[1] - count), value=NO_PEAK)
    return torch.where(found[:, None], wide, even), found


def sentence(beats: BeatTokens, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Join the real beats lead by lead, without empty slots between them (HeartLang's sentence).

    Args:
        beats: Beats of a batch, cut with ``max_beats=None``, so that no beat was left out before.
        length: Number of tokens per sentence. Longer sentences are cut, shorter ones are filled with zeros.

    Returns:
        Tokens ``[B, length, W]``; lead ``[B, length]``, index into L, and peak ``[B, length]``, both -1 where empty.
    """
    B, _, S, W = beats.tokens.shape
    lead, slot, filled = sentence_places(beats, length)
    if not S:
        empty = torch.full_like(lead, -1)
        return beats.tokens.new_zeros(B, length, W), empty, empty
    tokens = beats.tokens.flatten(1, 2).gather(1, (lead * S + slot)[..., None].expand(B, length, W))
    tokens = torch.where(filled[..., None], tokens, tokens.new_zeros(()))
    return tokens, torch.where(filled, lead, -1), torch.where(filled, beats.peaks.gather(1, slot), -1)


def sentence_places(beats: BeatTokens, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return lead and slot of each token of a `sentence`, 0 where empty, and which are filled: ``[B, length]`` each."""
    B, L = beats.tokens.shape[:2]
    count = beats.real.sum(1, keepdim=True)  # [B, 1]
    n = torch.arange(length, device=count.device).expand(B, length)
    filled = n < L * count
    return torch.where(filled, n // count.clamp(min=1), 0), torch.where(filled, n % count.clamp(min=1), 0), filled


def _bounds(peaks: Tensor, window: BeatWindow, T: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return start, stop and offset in the token of every beat, ``[B, P]`` each."""
    W, h = window.width, window.before
    whole_start = (peaks - h).clamp(min=0)
    whole_stop = (whole_start + W).clamp(max=T)
    if window.cut == "fixed":
        return whole_start, (peaks + window.after).clamp(max=T), whole_start - (peaks - h)
    there = peaks >= 0
    middle = (peaks[:, 1:] + peaks[:, :-1]).div(2, rounding_mode="floor")
    first, last = torch.zeros_like(there), torch.zeros_like(there)
    first[:, :1] = True
    last[:, :-1] = ~there[:, 1:]
    last[:, -1:] = True
    start = torch.where(first, whole_start, torch.nn.functional.pad(middle, (1, 0))[:, : peaks.shape[1]])
    stop = torch.nn.functional.pad(middle, (0, 1))[:, : peaks.shape[1]]
    stop = torch.where(last, (peaks + window.after).clamp(max=T), stop)
    stop = torch.where(first & last, (start + W).clamp(max=T), stop)
    start, stop = start.clamp(0, T), stop.clamp(0, T)
    long = stop - start > W
    start, stop = torch.where(long, whole_start, start), torch.where(long, whole_stop, stop)
    return start, stop, (h - (peaks - start)).clamp(min=0)


def _slots(peaks: Tensor, window: BeatWindow) -> Tensor:
    """Return the index of the peak in each slot of a record, ``[B, S]``, -1 for an empty slot."""
    count = (peaks >= 0).sum(1, keepdim=True)  # [B, 1]
    S = peaks.shape[1] if window.max_beats is None else window.max_beats
    slot = torch.arange(S, device=peaks.device).expand(peaks.shape[0], S)
    chosen = torch.where(slot < count, slot, -1)
    if window.too_many == "first" or S < 2:
        return chosen
    # Round half up in whole numbers, so that the result is the same on every device.
    spread = (2 * slot * (count - 1) + (S - 1)).div(2 * (S - 1), rounding_mode="floor")
    return torch.where(count > S, spread, chosen)
