"""What the page is answered: searches against plain loops, errors of a result, pictures, and what strangers get."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from ecgkit.browsing.catalogue import Catalogue
from ecgkit.browsing.guard import is_loopback
from ecgkit.browsing.picture import picture
from ecgkit.browsing.record import details, listed
from ecgkit.browsing.search import Search, Searcher
from ecgkit.errors import ConfigError, ResultsError, StoreError
from ecgkit.store.format import shard_path
from ecgkit.store.reader import Store
from tests.browsing.stores import rewritten, write_predictions


def found(catalogue: Catalogue, **asked: str) -> list[int]:
    answer = Searcher(catalogue).find(Search(**asked))
    return [line["row"] for line in listed(catalogue, answer, 0, answer.records)]


def test_filters_find_what_a_loop_over_the_table_finds(cohort_store: Path) -> None:
    table, catalogue = Store(cohort_store).table, Catalogue(cohort_store)
    label = table["labels"].explode().value_counts().index[1]
    assert found(catalogue) == list(range(len(table)))
    assert found(catalogue, label=label) == [i for i, held in enumerate(table["labels"]) if label in held]
    assert found(catalogue, fold="10", where="age > 60") == [
        i for i, (fold, age) in enumerate(zip(table["fold"], table["age"], strict=True)) if fold == 10 and age > 60
    ]
    assert found(catalogue, text=str(table["record_id"][7])) == [7]
    assert found(catalogue, text="SINUS R") == [i for i, r in enumerate(table["report"]) if "sinus r" in r.lower()]
    assert found(catalogue, text="no report says this") == []
    with pytest.raises(ConfigError, match="is unknown"):
        found(catalogue, where="nothing of this name")


def test_errors_of_a_result_are_found_and_ordered(cohort_store: Path, tmp_path: Path) -> None:
    frame = write_predictions(cohort_store, tmp_path / "result")
    catalogue = Catalogue(cohort_store, [tmp_path])
    row_of = {record: i for i, record in enumerate(Store(cohort_store).table["record_id"])}
    missed = frame["record_id"][(frame["y_AF"] == 1) & (frame["p_AF"] < 0.5)]
    assert found(catalogue, result="0", target="AF", error="missed") == sorted(row_of[record] for record in missed)
    alarms = frame["record_id"][
        (frame[["y_AF", "y_PVC"]].eq(0).to_numpy() & (frame[["p_AF", "p_PVC"]] >= 0.5)).any(axis=1)
    ]
    assert found(catalogue, result="0", error="false-alarm") == sorted(row_of[record] for record in alarms)
    worst = (frame["y_PVC"] - frame["p_PVC"]).abs().sort_values(ascending=False)
    wanted = [row_of[record] for record in frame["record_id"][worst.index]]
    assert found(catalogue, result="0", target="PVC", order="error") == wanted
    shown = details(catalogue, wanted[0], "0")["prediction"]["lines"][1]
    assert shown["predicted"] == pytest.approx(frame["p_PVC"][worst.index[0]])
    with pytest.raises(ConfigError, match="no result"):
        found(catalogue, result="1", error="missed")
    with pytest.raises(ResultsError, match="none of 1 results was made on"):
        other = rewritten(cohort_store, tmp_path / "other.zarr", lambda table: None)
        about = json.loads((other / "zarr.json").read_text())
        about["attributes"]["content_sha256"] = "0" * 64
        (other / "zarr.json").write_text(json.dumps(about))
        Catalogue(other, [tmp_path / "result"])


@pytest.mark.parametrize("layout", ["clinical", "strips"])
def test_a_picture_holds_the_samples_of_the_record(cohort_store: Path, layout: str) -> None:
    answer = picture(Catalogue(cohort_store), 3, layout, 0.0)
    length = struct.unpack_from("<I", answer)[0]
    page = json.loads(answer[4 : 4 + length])
    traces = np.frombuffer(answer, "<f4", offset=4 + length)
    recording = Store(cohort_store).recording(3)
    assert len(page["panels"]) == (13 if layout == "clinical" else 12)
    assert page["mm_per_second"] == 25
    for panel in page["panels"]:
        first = round(panel["start"] * recording.fs)
        signal = recording.signal[recording.leads.index(panel["lead"]), first : first + panel["samples"]]
        drawn = traces[panel["offset"] : panel["offset"] + panel["samples"]] / page["mm_per_unit"]
        np.testing.assert_allclose(drawn, signal - np.nanmedian(signal), atol=1e-5)


def test_a_damaged_record_is_an_error_and_never_a_picture(cohort_store: Path, tmp_path: Path) -> None:
    store = rewritten(cohort_store, tmp_path / "copy.zarr", lambda table: None)
    catalogue = Catalogue(store)
    (store / shard_path(0)).unlink()
    with pytest.raises(StoreError, match="is damaged"):
        picture(catalogue, 0, "clinical", 0.0)
    for row, start in ((10**6, 0.0), (0, 11.0)):
        with pytest.raises(ConfigError):
            picture(Catalogue(cohort_store), row, "clinical", start)


@pytest.mark.parametrize(
    ("host", "let_in"),
    [
        ("127.0.0.1:8765", True),
        ("localhost:1", True),
        ("[::1]:80", True),
        ("", False),
        ("evil.com:8765", False),
        ("127.0.0.1.evil.com", False),
        ("localhost@evil.com", False),
        ("[::1", False),
        ("127.0.0.1, evil.com", False),
    ],
)
def test_only_loopback_names_are_let_in(host: str, let_in: bool) -> None:
    assert is_loopback(host) == let_in
