"""``ecgkit.probe``: judge encoders by tasks, from one result to a grid of tasks, lead sets and amounts of labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ecgkit.config import build
from ecgkit.errors import ConfigError, EcgkitError, TaskError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.protocols.lead_sets import parse_lead_sets
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.suites.file import Suite, SuiteHead, SuiteTask, learns_nothing, read_suite, requests_of
from ecgkit.evaluation.suites.places import Places
from ecgkit.evaluation.suites.run import SuiteResult, run_requests, run_suite
from ecgkit.report.tables.lead_matrix import draw_matrix

PathLike = str | Path
Settings = Sequence[str]
Amounts = str | float | Sequence[float]
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ProbeResults:
    """What `probe` returns.

    Args:
        rows: Folder and row of each result, by task, lead set, amount of labels and seed.
        skipped: Number of results that were there already.
        failed: Why a probe has no result, by what was asked for.
        heat_map: Picture of the results by lead set, where lead sets were asked for.
    """

    rows: list[tuple[Path, ResultRow]]
    skipped: int = 0
    failed: Mapping[str, str] | None = None
    heat_map: Path | None = None
