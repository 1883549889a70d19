"""``ecgkit inspect`` and ``ecgkit ingest`` as a user types them: quality, its page, what two stores share."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ecgkit.ingestion import ingest
from ecgkit.reporting.page.quality import trace_path
from tests.conftest import synthetic_signal, write_wfdb


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three records, one of an evil name with a flat lead."""
    folder = tmp_path_factory.mktemp("inspect")
    flat = synthetic_signal(2000)
    flat[7] = 0.3
    for name, signal in (("a", synthetic_signal(2000, seed=1)), ("b", flat), ("c", synthetic_signal(2000, seed=1))):
        write_wfdb(folder / "src", name, signal)
    rows = ["subject_id,study_id,path", "1,<script>alert(1)</script>,b", "2,a,a", "2,c,c"]
    (folder / "src" / "record_list.csv").write_text("\n".join(rows) + "\n")
    ingest(folder / "src", folder / "s.zarr")
    return folder / "s.zarr"


def test_quality_as_a_table_and_as_json(ecgkit, store: Path) -> None:
    flags = {row["flag"]: row for row in json.loads(ecgkit("inspect", store, "--quality", "--json").out)["flags"]}
    assert flags["lead-off"]["leads"] == {"V2": 1}
    assert flags["missing"]["records"] == 0
    table = ecgkit("inspect", store, "--quality")
    assert table.code == 0
    assert "lead-off" in table.out


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_shows_the_worst_records_escaped_and_needs_nothing_else(ecgkit, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "quality.html"
    done = ecgkit("inspect", store, "--html", out)
    assert done.code == 0, done.err
    page = out.read_text()
    tags = Tags()
    tags.feed(page)
    names = [tag for tag, _ in tags.seen]
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not [value for _, attrs in tags.seen for key, value in attrs.items() if key in ("src", "href")]
    assert "&lt;script&gt;alert(1)" in page
    assert names.count("svg") >= 1
    assert page.index("&lt;script&gt;") < len(page)
    assert names.count("path") == 12 * names.count("svg")
    assert ecgkit("inspect", store, "--html", tmp_path / "notes.txt").code == 2


def test_a_trace_keeps_every_spike_and_breaks_at_a_gap() -> None:
    signal = np.zeros(10_000)
    signal[4321] = 1.0
    heights = [float(y) for y in re.findall(r"[ML]\d+ ([\d.]+)", trace_path(signal, 100, 20))]
    assert (min(heights), max(heights)) == (0, 20)
    signal[2000:4000] = np.nan
    assert trace_path(signal, 100, 20).count("M") == 2
    assert trace_path(np.full(50, np.nan), 100, 20) == ""
    assert set(re.findall(r"[ML]\d+ ([\d.]+)", trace_path(np.ones(50), 10, 20))) == {"10.0"}


def test_what_two_stores_share(ecgkit, store: Path) -> None:
    found = json.loads(ecgkit("inspect", store, "--overlap", store, "--json").out)
    assert found["patients"] == ["mimic-iv-ecg:1", "mimic-iv-ecg:2"]
    assert ["a", "c"] in found["waveforms"]
    assert "same waveform" in ecgkit("inspect", store, "--overlap", store).out
    assert json.loads(ecgkit("inspect", store, "--json").out)["duplicates"] == 1
    assert ecgkit("inspect", store, "--overlap", store, "--quality").code == 2


def test_ingest_sums_up_and_tells_too_many_rejects_by_its_code(ecgkit, tmp_path: Path) -> None:
    for n in range(4):
        write_wfdb(tmp_path / "src", f"r{n}", synthetic_signal(2000, seed=n))
    (tmp_path / "src" / "r3.dat").unlink()
    done = ecgkit("ingest", tmp_path / "src", "--out", tmp_path / "a.zarr")
    assert done.code == 3
    assert "rejected (header)" in done.out
    done = ecgkit("ingest", tmp_path / "src", "--out", tmp_path / "b.zarr", "--max-rejected", 30)
    assert done.code == 0
    done = ecgkit("ingest", tmp_path / "src", "--out", tmp_path / "c.zarr", "--drop", "bad-mood")
    assert done.code == 2
    assert "no flag 'bad-mood'; expected one of missing, flat" in done.err
    assert not (tmp_path / "c.zarr.partial").exists()
