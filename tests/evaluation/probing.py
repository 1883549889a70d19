"""One probe in one call, for tests that hand the encoder in."""

from pathlib import Path

from ecgkit.evaluation.features.encoder import ProbedEncoder
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.store.reader import Store


def probe(
    encoder: ProbedEncoder, store: Store | Path, task: str, out: Path, head: str = "linear", **options: object
) -> ResultRow:
    data = str(store.path if isinstance(store, Store) else store)
    return Probe(ProbeRequest(data, task, head=head, **options), encoder).run(out)
