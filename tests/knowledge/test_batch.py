"""Questions and answers in files: the same cache, and the same result as from a live server."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecgkit.errors import BatchWaitingError, EndpointError
from ecgkit.knowledge.extract import ExtractOptions, Summary, extract_knowledge
from ecgkit.knowledge.reports import Reports
from tests.knowledge.server import reader, serving, stage_of

ALL = ExtractOptions(min_count=1, keep_children=True, overwrite=True)
NEW = "benign wobble", "unseen wobble"


def answerer(stage: str, payload: dict) -> dict:
    """The perfect reader, which also finds something that must be verified, merged and folded."""
    answer = reader(stage, payload)
    if stage == "extract" and payload["text"] == "normal ecg":
        answer["entities"] += [{"name": name, "polarity": "present"} for name in NEW]
    if stage == "verify":
        for verdict in answer["verdicts"]:
            verdict["supported"] = verdict["name"] != NEW[1]
    return answer


def run_batch(folder: Path, name: str, spoil=lambda key, text: text) -> int:
    """Answer the questions of a folder, in any order, as a batch interface does."""
    lines = []
    for path in folder.glob("questions-*.jsonl"):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            assert row["method"] == "POST" and row["url"] == "/v1/chat/completions" and row["body"]["model"] == "m"
            text = spoil(row["custom_id"], json.dumps(answerer(*stage_of(row["body"]))))
            choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            body = {"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
            response = {"status_code": 200, "request_id": "r", "body": body}
            lines.append(json.dumps({"id": "i", "custom_id": row["custom_id"], "response": response, "error": None}))
    (folder / name).write_text("\n".join(reversed(lines)) + "\n")
    return len(lines)


def through_batches(reports: Reports, make, folder: Path, **how) -> tuple[Summary, list[tuple[str, int]]]:
    rounds: list[tuple[str, int]] = []
    for number in range(10):
        waiting = None
        try:
            return extract_knowledge(reports, make(), ALL), rounds
        except BatchWaitingError as error:
            waiting = error
        rounds.append((waiting.stage, waiting.count))
        assert not (reports.folder / "labels").exists()
        assert run_batch(folder, f"answers-{number}.jsonl", **how) == waiting.count
    raise AssertionError("no end")


def test_batches_give_the_labels_of_a_live_server(reports, model, tmp_path) -> None:
    folder = tmp_path / "batch"
    own = Reports(reports.ids, reports.texts, tmp_path / "batched", reports.content_hash)
    done, rounds = through_batches(own, lambda: model(batch=folder, folder=own.folder), folder)
    assert [stage for stage, _ in rounds] == ["extract", "verify", "merge", "fold"]
    assert rounds[0][1] == done.texts
    with serving(answerer) as server:
        live = extract_knowledge(reports, model(server.url), ALL)
        again = extract_knowledge(own, model(server.url, folder=own.folder), ALL)
        assert len(server.bodies) > done.texts
        asked = len(server.bodies)
        extract_knowledge(own, model(server.url, folder=own.folder), ALL)
        assert len(server.bodies) == asked, "a live server is not asked what a batch answered"
    for other in (live, again):
        assert other.entities.names == done.entities.names
        assert np.array_equal(other.entities.values, done.entities.values)
    assert NEW[0] in done.entities.names and NEW[1] not in done.entities.names
    assert done.counters["prompt_tokens"] == 10 * sum(count for _, count in rounds)
    assert done.entities.provenance["host"] == "batch files"


def test_bad_answers_are_repaired_once_and_then_quarantined(reports, model, tmp_path) -> None:
    folder = tmp_path / "batch"
    spoiled: list[str] = []

    def spoil(key: str, text: str) -> str:
        if "inferior myocardial infarction" in text and '"entities"' in text:
            spoiled.append(key)
            return "I would rather not"
        return text

    done, rounds = through_batches(reports, lambda: model(batch=folder), folder, spoil=spoil)
    assert rounds[:2] == [("extract", done.texts), ("extract", 1)]
    assert spoiled[1] == f"{spoiled[0]}:repair"
    assert dict(done.problems) == {"extract: no complete JSON object": 1} and done.incomplete == 3


def test_failed_requests_are_written_again_and_other_files_refused(reports, model, tmp_path) -> None:
    folder = tmp_path / "batch"
    with pytest.raises(BatchWaitingError) as first:
        extract_knowledge(reports, model(batch=folder), ALL)
    run_batch(folder, "answers.jsonl")
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    lines[0]["response"] = {"status_code": 500, "body": {}}
    lines[1]["error"] = {"code": "expired"}
    lines[2]["response"]["body"] = {"choices": []}
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(BatchWaitingError) as second:
        extract_knowledge(reports, model(batch=folder), ALL)
    assert (first.value.count, second.value.count) == (15, 3)
    (folder / "notes.jsonl").write_text("not JSON\n")
    with pytest.raises(EndpointError, match=r"notes.jsonl, line 1 is no answer of a batch"):
        extract_knowledge(reports, model(batch=folder), ALL)


def test_many_questions_are_cut_into_files(reports, model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("ecgkit.knowledge.endpoint.batch.MOST_LINES", 4)
    with pytest.raises(BatchWaitingError) as waiting:
        extract_knowledge(reports, model(batch=tmp_path / "batch"), ALL)
    sizes = [len(Path(path).read_text().splitlines()) for path in waiting.value.paths]
    assert sizes == [4, 4, 4, 3]


def test_a_file_of_questions_that_a_killed_process_left_holds_no_answers(reports, model, tmp_path) -> None:
    folder = tmp_path / "batch"
    with pytest.raises(BatchWaitingError):
        extract_knowledge(reports, model(batch=folder, folder=tmp_path / "k"), ALL)
    (questions,) = folder.glob("questions-*.jsonl")
    (folder / ".questions-1.123.partial.jsonl").write_bytes(questions.read_bytes()[:-9])
    with pytest.raises(BatchWaitingError):
        extract_knowledge(reports, model(batch=folder, folder=tmp_path / "k"), ALL)
