"""What the page is answered: searches against plain loops, errors of a result, pictures, and what strangers get."""

import json
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgkit.browsing.catalogue import Catalogue
from ecgkit.browsing.explained import shown
from ecgkit.browsing.explaining import Explainer
from ecgkit.browsing.guard import is_loopback
from ecgkit.browsing.picture import picture
from ecgkit.browsing.record import details, listed
from ecgkit.browsing.search import Search, Searcher
from ecgkit.errors import ConfigError, ResultsError, RunError, StoreError
from ecgkit.evaluation.analyses.explanation import Explanation
from ecgkit.evaluation.analyses.map_checks import MapCheck
from ecgkit.progress import Progress
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


class Slow:
    """Models that explain when they are let."""

    def __init__(self) -> None:
        self.may, self.asked = threading.Event(), []

    def explain(self, row: int, result: str, target: str, way: str, progress: Progress) -> dict[str, Any]:
        self.asked.append((row, target, way))
        progress("steps", 1, 3)
        assert self.may.wait(30)
        if target == "PVC":
            raise RunError("this model has no attention layers")
        return {"state": "done", "row": row}


def test_an_explanation_is_made_once_beside_other_answers_and_only_the_newest_wish_waits(
    cohort_store: Path, tmp_path: Path
) -> None:
    write_predictions(cohort_store, tmp_path / "result")
    catalogue, slow = Catalogue(cohort_store, [tmp_path]), Slow()
    explainer = Explainer(catalogue)
    explainer._models = slow  # type: ignore[assignment]

    def asked(row: int, target: str = "AF", begin: bool = True) -> dict[str, Any]:
        return explainer.answer(row, "0", target, "gradients", begin)

    assert asked(0, begin=False) == {"state": "none"}
    asked(0)
    until(lambda: asked(0) == {"state": "working", "done": 1, "total": 3})
    assert asked(1)["state"] == "waiting"
    assert asked(2)["state"] == "waiting"  # takes the place of row 1
    assert asked(1, begin=False) == {"state": "none"}
    assert details(catalogue, 5, "0")["row"] == 5  # nobody waits for it
    slow.may.set()
    until(lambda: asked(2)["state"] == "done")
    assert asked(0) == {"state": "done", "row": 0} and asked(2) == {"state": "done", "row": 2}
    assert [row for row, _, _ in slow.asked] == [0, 2]  # once each
    asked(3, "PVC")
    with pytest.raises(RunError, match="no attention"):
        until(lambda: asked(3, "PVC", begin=False)["state"] == "done")
    assert asked(3, "PVC", begin=False) == {"state": "none"}  # it can be tried again
    wrong = (
        (9**9, "0", "AF", "gradients"),
        (0, "1", "AF", "gradients"),
        (0, "", "AF", "gradients"),
        (0, "0", "LBBB", "gradients"),
        (0, "0", "AF", "magic"),
    )
    for row, result, target, by in wrong:
        with pytest.raises(ConfigError):
            explainer.answer(row, result, target, by, True)
    explainer.close()


def until(true: Callable[[], bool]) -> None:
    for _ in range(300):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within 15 s")


def test_a_map_is_sent_in_whole_numbers_at_a_rate_for_the_eye() -> None:
    values = np.zeros((2, 1000))
    values[1, 500:510], values[0, 100:120] = 2.0, -1.0
    found = Explanation(
        record="a", output="AF", way="gradients", probability=0.5, score=0.0, flat=-1.0, fs=500.0, leads=("I", "II"),
        values=values, parts=("P", "QRS"), part_of=np.zeros(1000, np.int64), without_lead=np.array([1.0, np.nan]),
        without_part=np.array([0.5, np.nan]), without=np.zeros((2, 2)), check=MapCheck(1.0, 0.1, 0.1, 0.2),
    )  # fmt: skip
    answer = json.loads(json.dumps(shown(found), allow_nan=False))
    sent = np.array(answer["map"])
    assert answer["fs"] == 100 and sent.shape == (2, 200)
    assert (
        sent.max() == 100 and sent[1].argmax() in (100, 101) and sent[0].min() < 0 and sent[0].argmin() in range(19, 25)
    )
    assert answer["by_lead"] == [
        {"name": "I", "share": 0.5, "fall": 1.0},
        {"name": "II", "share": 0.5, "fall": None},
    ]
    assert answer["passed"] is True
