"""Cutting beats: the published vectors, a slow plain reference, and what must hold for any window."""

import numpy as np
import pytest
import torch

from ecgkit.beats import SINGLE_LEAD
from ecgkit.beats.libraries import xqrs
from ecgkit.beats.tokens import beat_tokens, regular_peaks, sentence, with_regular_peaks
from ecgkit.beats.windows import PUBLISHED, BeatWindow
from ecgkit.leads import STANDARD_LEADS
from tests.reference_vectors import Reference


def padded(lists) -> torch.Tensor:
    out = torch.full((len(lists), max([len(p) for p in lists], default=0)), -1)
    for row, peaks in enumerate(lists):
        out[row, : len(peaks)] = torch.as_tensor(np.asarray(peaks))
    return out


@pytest.fixture(scope="module")
def published(golden) -> Reference:
    return Reference(golden / "clear_qrs_tokens.npz")


@pytest.fixture(scope="module")
def sentences(golden) -> Reference:
    return Reference(golden / "heartlang_qrs_tokens.npz")


def signals(reference: Reference) -> np.ndarray:
    return np.stack([reference[f"ecg{i}"] for i in range(reference.sizes["n"])])


def window_of(reference: Reference) -> BeatWindow:
    half = reference.sizes["token_len"] // 2
    return BeatWindow(before=half, after=half, max_beats=reference.sizes.get("beats"))


def seconds(peaks: torch.Tensor, reference: Reference) -> torch.Tensor:
    return torch.where(peaks > 0, peaks // reference.sizes["fs"] + 1, 0)  # the published id of peak 0 is 0


def test_published_tokens_exactly(published) -> None:
    signal, n = torch.from_numpy(signals(published)), published.sizes["n"]
    own = [published[f"qrs{i}"] if published[f"found{i}"] else [] for i in range(n)]
    peaks, found = with_regular_peaks(padded(own), signal.shape[-1])
    beats = beat_tokens(signal, peaks, window_of(published))
    assert beats.tokens.shape == (*signal.shape[:2], published.sizes["beats"], published.sizes["token_len"])
    for i in range(n):
        L = signal.shape[1]
        assert bool(found[i]) == bool(published[f"found{i}"])
        assert np.array_equal(peaks[i][peaks[i] >= 0], published[f"qrs{i}"])
        assert np.array_equal(beats.tokens[i].flatten(0, 1), published[f"tok{i}"])
        assert np.array_equal(beats.real[i].repeat(L), published[f"real{i}"].astype(bool))
        assert np.array_equal(seconds(beats.peaks[i], published).repeat(L), published[f"time{i}"])


def test_published_peaks_exactly(published) -> None:
    rows = [STANDARD_LEADS.index(lead) for lead in SINGLE_LEAD]
    for i, peaks in enumerate(xqrs(signals(published)[:, rows], float(published.sizes["fs"]), SINGLE_LEAD)):
        expected = published[f"qrs{i}"] if published[f"found{i}"] else []
        assert np.array_equal(peaks, expected)


def test_published_sentences_exactly(sentences) -> None:
    signal = signals(sentences)
    found = xqrs(signal[:, :1], float(sentences.sizes["fs"]), ("I",))
    beats = beat_tokens(torch.from_numpy(signal), padded(found), window_of(sentences))
    tokens, lead, peaks = sentence(beats, sentences.sizes["max_len"])
    for i in range(len(signal)):
        assert np.array_equal(found[i], sentences[f"qrs{i}"])
        assert np.array_equal(tokens[i], sentences[f"tok{i}"])
        assert np.array_equal(lead[i] + 1, sentences[f"chan{i}"])
        assert np.array_equal(seconds(peaks[i], sentences), sentences[f"time{i}"])


def slow_tokens(signal, lists, window: BeatWindow):
    """The rule as the specification writes it, one lead of one beat at a time."""
    W, h, T = window.width, window.before, signal.shape[-1]
    S = window.max_beats or max(map(len, lists))
    tokens = np.zeros((*signal.shape[:2], S, W))
    for b, peaks in enumerate(lists):
        chosen = list(range(len(peaks)))
        if len(peaks) > S:
            chosen = chosen[:S]
            if window.too_many == "spread" and S > 1:
                chosen = [int(np.floor(k * (len(peaks) - 1) / (S - 1) + 0.5)) for k in range(S)]
        for slot, i in enumerate(chosen):
            r = int(peaks[i])
            if window.cut == "fixed":
                start, stop = r - h, r + window.after
            else:
                start = max(r - h, 0) if i == 0 else (peaks[i - 1] + r) // 2
                if i == len(peaks) - 1:
                    stop = min(start + W, T) if i == 0 else min(r + window.after, T)
                else:
                    stop = (r + peaks[i + 1]) // 2
                start, stop = min(max(start, 0), T), min(max(stop, 0), T)
                if stop - start > W:
                    start, stop = max(r - h, 0), min(max(r - h, 0) + W, T)
            offset = max(h - (r - start), 0)
            for lead in range(signal.shape[1]):
                for t in range(max(start, 0), min(stop, T)):
                    if 0 <= offset + t - start < W:
                        tokens[b, lead, slot, offset + t - start] = signal[b, lead, t]
    return tokens


@pytest.mark.parametrize("too_many", ["first", "spread"])
@pytest.mark.parametrize("cut", ["midpoint", "fixed"])
@pytest.mark.parametrize(("before", "after", "most"), [(48, 48, 15), (20, 70, 4), (0, 5, None), (90, 10, 1)])
def test_any_window_equals_the_slow_reference(before, after, most, cut, too_many) -> None:
    window = BeatWindow(before, after, most, too_many, cut)
    rng = np.random.default_rng(before + after)
    T = 400
    lists = [np.sort(rng.choice(T, n, replace=False)) for n in (0, 1, 2, 7, 23, 30)]
    lists += [np.array([0, T - 1]), np.array([T - 1]), np.array([0])]
    signal = rng.normal(size=(len(lists), 3, T))
    beats = beat_tokens(torch.from_numpy(signal), padded(lists), window)
    assert np.array_equal(beats.tokens.numpy(), slow_tokens(signal, lists, window))
    for row, peaks in enumerate(lists):
        S = beats.real.shape[1]
        assert int(beats.real[row].sum()) == min(len(peaks), S)
        kept = beats.peaks[row][beats.real[row]]
        assert set(kept.tolist()) <= set(peaks.tolist())
        assert torch.all(beats.peaks[row][~beats.real[row]] == -1)
        assert torch.all(beats.tokens[row][:, ~beats.real[row]] == 0)


def test_spread_keeps_the_first_and_the_last() -> None:
    peaks = torch.arange(10, 400, 13)[None]
    chosen = beat_tokens(torch.zeros(1, 1, 500), peaks, BeatWindow(max_beats=6, too_many="spread")).peaks[0]
    assert chosen[0] == peaks[0, 0] and chosen[-1] == peaks[0, -1]
    assert int(chosen.diff().max() - chosen.diff().min()) <= 13


def test_the_peak_lies_at_its_index() -> None:
    signal = torch.arange(1000.0).expand(1, 1, 1000)
    beats = beat_tokens(signal, torch.tensor([[100, 190, 280, 380]]))
    assert beats.tokens[0, 0, :4, PUBLISHED.before].tolist() == [100, 190, 280, 380]


@pytest.mark.parametrize("most", [15, None])
def test_a_batch_without_beats(most) -> None:
    beats = beat_tokens(torch.ones(2, 3, 100), torch.full((2, 0), -1), BeatWindow(max_beats=most))
    assert beats.tokens.shape == (2, 3, most or 0, 96)
    assert not beats.real.any() and not beats.tokens.any()
    tokens, lead, peaks = sentence(beats, 7)
    assert tokens.shape == (2, 7, 96) and not tokens.any() and (lead == -1).all() and (peaks == -1).all()


def test_padding_more_changes_nothing_and_gradients_flow() -> None:
    signal = torch.randn(2, 3, 500, requires_grad=True)
    peaks = padded([[40, 130, 250], [60]])
    wider = torch.nn.functional.pad(peaks, (0, 9), value=-1)
    one, two = beat_tokens(signal, peaks), beat_tokens(signal, wider)
    assert torch.equal(one.tokens, two.tokens) and torch.equal(one.real, two.real)
    one.tokens.sum().backward()
    assert signal.grad is not None and signal.grad[0, 0, 130] == 1 and signal.grad[1, 0, 400] == 0


def test_regular_peaks_are_the_published_ones() -> None:
    for samples in (1000, 999, 500, 30):
        assert np.array_equal(regular_peaks(samples), np.linspace(0, samples - 1, 15).astype(int))


@pytest.mark.parametrize("values", [{"before": -1}, {"after": 0}, {"max_beats": 0}])
def test_impossible_windows_are_refused(values) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        BeatWindow(**values)
