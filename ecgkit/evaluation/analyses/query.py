"""Similarity of one patch of one lead to all patches of all leads of the same record, in every layer of an encoder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError, LeadError, RunError, StoreError
from ecgkit.evaluation.analyses.blocks import run_layers
from ecgkit.leads import LEADS, parse_lead
from ecgkit.methods import Batch, Encoder, Features
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.supply import Supply


@dataclass(frozen=True)
class Query:
    """The patch that a map starts from.

    Args:
        record: Id of the record; empty for the first test record.
        lead: The lead.
        time: Seconds from the start of the record. The patch is the one that holds this sample.
    """

    record: str
    lead: str
    time: float


@dataclass(frozen=True)
class QueryMap:
    """Cosine similarity of one patch to all patches of a record.

    Args:
        record: Id of the record.
        lead: Lead of the query patch.
        place: Index of the query patch among that lead's tokens.
        seconds: Start and end of the query patch in the record; None if the encoder does not say.
        leads: The L leads of the record.
        similarity: ``[depth, L, n]``, NaN for padding tokens.
    """

    record: str
    lead: str
    place: int
    seconds: tuple[float, float] | None
    leads: tuple[str, ...]
    similarity: NDArray[np.float64]


def parse_query(text: str) -> Query | None:
    """Read ``LEAD:SECONDS`` or ``RECORD:LEAD:SECONDS``, such as ``V1:2.5`` or ``V1:2.5s``; None if it is empty.

    Raises:
        ConfigError: The text has another form.
        LeadError: The lead has no known name.
    """
    if not text:
        return None
    *before, seconds = text.split(":")
    *record, lead = before or [""]
    try:
        time = float(seconds.removesuffix("s"))
    except ValueError:
        time = math.nan
    if not lead or not 0 <= time < math.inf:
        raise ConfigError(f"query {text!r}", "LEAD:SECONDS or RECORD:LEAD:SECONDS, such as V1:2.5")
    return Query(":".join(record), parse_lead(lead), time)


def refuse_query(entry: MethodEntry) -> None:
    """Raise if a family's encoder does not give the lead of each token.

    Raises:
        RunError: It does not.
    """
    if not _has_leads(entry):
        able = ", ".join(name for name, other in host().entries(MethodEntry).items() if _has_leads(other))
        raise RunError(
            f"a query with {entry.name}, whose encoder does not give the lead of each token", f"one of {able}"
        )


def _has_leads(entry: MethodEntry) -> bool:
    return {"tokens", "token_leads"} <= set(entry.features)


@torch.no_grad()
def query_map(
    encoder: Encoder,
    view: View,
    store: Store,
    supplies: Mapping[str, Supply],
    query: Query | None,
    first: int,
) -> QueryMap | None:
    """Return the map of a query, or of the middle patch of lead II (of the first lead, if there is no II) of a record.

    Args:
        encoder: The encoder.
        view: The store under its contract.
        store: The store.
        supplies: What the encoder needs besides the signal.
        query: The query; None for the middle patch.
        first: Row of the record where the query names none.

    Returns:
        None if there is no query and the encoder's tokens have no leads.

    Raises:
        StoreError: The record does not exist, or cannot be used.
        LeadError: The encoder reads no such lead of the record.
        ConfigError: The encoder does not read that time of the record, or has no patch there.
        RunError: The encoder's tokens have no leads, or it does not say which samples they hold.
    """
    row = first if query is None or not query.record else _usable_row(store, view, query.record)
    record = str(store.table["record_id"].iloc[row])
    if query is not None:
        _check_place(view, row, record, query)
    starts = evaluation_starts(view, view.spec.eval_offsets[0])
    batch = Windows(view, starts, supplies)[np.array([row])].to(next(encoder.parameters()).device)
    encoder.eval()
    features = encoder.encode(batch)
    outputs, tokens, real = run_layers(encoder, batch)
    if tokens is None or features.token_leads is None or not outputs:
        if query is not None:
            raise RunError("a query with an encoder whose tokens have no lead, or none of whose blocks reads all leads")
        return None
    leads = tuple(LEADS[i] for i in batch.lead_ids.tolist())
    lead = query.lead if query is not None else "II" if "II" in leads else leads[0]
    of_lead = torch.nonzero(features.token_leads == leads.index(lead)).flatten().cpu()
    spans = _token_spans(encoder, batch, features, asked=query is not None)
    if spans is not None:
        spans = (spans.cpu().double() + int(starts[row])) / view.spec.fs
    place = _middle(real[0, of_lead]) if query is None or spans is None else _place_at(spans[of_lead], query, record)
    if place is None:
        return None
    token = int(of_lead[place])
    held = None if spans is None else (float(spans[token, 0]), float(spans[token, 1]))
    cosine = _cosines([x[0] for x in outputs.values()], token).masked_fill(~real[0], torch.nan)
    by_lead = torch.stack([cosine[:, features.token_leads == i] for i in range(len(leads))], dim=1)
    return QueryMap(record, lead, place, held, leads, by_lead.double().cpu().numpy())


def _usable_row(store: Store, view: View, record: str) -> int:
    row = store.row(record)
    if not view.usable[row]:
        raise StoreError(f"record {record} has none of the model's leads, or hardly any signal", "another record")
    return row


def _check_place(view: View, row: int, record: str, query: Query) -> None:
    """Raise if the encoder does not read a lead of a record, or does not read it at that time.

    Raises:
        LeadError: It does not read the lead.
        ConfigError: It does not read that time.
    """
    leads = [lead for lead, there in zip(view.spec.leads, view.present[row], strict=True) if there]
    if query.lead not in leads:
        raise LeadError(f"the encoder reads no lead {query.lead} of record {record}", f"one of {', '.join(leads)}")
    start = int(evaluation_starts(view, view.spec.eval_offsets[0])[row])
    end = min(start + view.spec.samples, int(view.lengths[row]))
    if not start <= query.time * view.spec.fs < end:
        fs = view.spec.fs
        raise ConfigError(
            f"the encoder does not read record {record} at {query.time:g} s", f"{start / fs:g} s to {end / fs:g} s"
        )


def _token_spans(encoder: Encoder, batch: Batch, features: Features, *, asked: bool) -> Tensor | None:
    """Return the samples that each token holds, int ``[N, 2]``, negative for padding; None if the encoder cannot say.

    Raises:
        RunError: The encoder cannot say, and it is `asked`.
    """
    assert features.tokens is not None
    assert features.token_leads is not None
    N, leads = features.tokens.shape[1], features.token_leads
    real = torch.arange(N, device=leads.device)
    real = real if features.token_real is None else real[features.token_real[0]]
    try:
        layout = encoder.token_layout(batch, features)
        order = layout.token.argsort()
        if len(order) != len(real) or not torch.equal(layout.leads[order], leads[real]):
            raise RunError(f"encoder {type(encoder).__name__} does not say which samples its tokens hold")
    except RunError:
        if asked:
            raise
        return None
    return torch.full((N, 2), -1, device=leads.device).index_copy(0, real, layout.spans[order])


def _middle(real: Tensor) -> int | None:
    """Return the middle one of the real tokens; None if there is none."""
    places = torch.nonzero(real).flatten()
    return int(places[len(places) // 2]) if len(places) else None


def _place_at(spans: Tensor, query: Query, record: str) -> int:
    """Return the token that holds a time; of several, the one whose middle is nearest.

    Args:
        spans: Start and end of each token of the lead in seconds, ``[n, 2]``.
        query: The query.
        record: Id of the record.

    Raises:
        ConfigError: No token holds the time, as where a beat-wise encoder found no beat.
    """
    start, end = spans.unbind(1)
    holds = (start <= query.time) & (query.time < end)
    away = (spans.mean(dim=1) - query.time).abs()
    if bool(holds.any()):
        return int(away.masked_fill(~holds, torch.inf).argmin())
    real = end > 0
    if not bool(real.any()):
        raise ConfigError(f"the encoder has no patch of lead {query.lead} of record {record}", "another record")
    near = int(away.masked_fill(~real, torch.inf).argmin())
    raise ConfigError(
        f"the encoder has no patch of lead {query.lead} of record {record} at {query.time:g} s",
        f"such as {float(start[near]):g} s to {float(end[near]):g} s, the nearest patch",
    )


def _cosines(layers: list[Tensor], token: int) -> Tensor:
    """Return the cosines between one token and all tokens in each layer, ``[depth, N]`` from ``[N, D]`` each."""
    unit = torch.stack([F.normalize(x.float(), dim=-1) for x in layers])
    return torch.matmul(unit, unit[:, token, :, None]).squeeze(-1)
