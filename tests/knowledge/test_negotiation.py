"""What servers differ in, found out at the start; and several servers as one."""

import json
import threading
import time
from pathlib import Path

import pytest

from ecgkit.errors import ConfigError, EndpointError
from ecgkit.knowledge.endpoint.cache import FILE
from ecgkit.knowledge.endpoint.prompts import load_prompt, write_prompts
from ecgkit.knowledge.endpoint.servers import Load
from ecgkit.knowledge.endpoint.settings import ModelSettings
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.reports import Reports
from tests.knowledge.raw_server import http, raw_server
from tests.knowledge.server import reader, serving, stage_of
from tests.knowledge.test_safety import completion, honest

ALL = ExtractOptions(min_count=1, keep_children=True, overwrite=True)


class Picky:
    """A server that refuses some fields of a request, and keeps the requests that it answered.

    Args:
        refuses: Returns the server's words if it refuses a request.
    """

    def __init__(self, refuses) -> None:
        self.refuses, self.taken, self.refused = refuses, [], 0

    def __call__(self, body: bytes, send) -> None:
        request = json.loads(body)
        if words := self.refuses(request):
            self.refused += 1
            send(http(json.dumps({"error": {"message": words}}).encode(), status=b"400 Bad Request"))
        else:
            self.taken.append(request)
            send(honest(body))


def extracted(model, reports, picky, **settings):
    with raw_server(picky) as port:
        return extract_knowledge(reports, model(f"http://127.0.0.1:{port}/v1", timeout=10, **settings), ALL)


def thinker(request) -> str:
    if "max_tokens" in request:
        return "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    return "Unsupported value: 'temperature' does not support 0." if request.get("temperature", 1) != 1 else ""


def silent(request) -> str:
    return "bad request" if "temperature" in request or "max_tokens" in request else ""


@pytest.mark.parametrize("refuses", [thinker, silent])
def test_a_server_that_refuses_fields_is_asked_without_them(reports, model, refuses) -> None:
    picky = Picky(refuses)
    done = extracted(model, reports, picky, max_tokens=777)
    assert done.incomplete == 0
    assert {r.get("max_completion_tokens") for r in picky.taken} <= {777, None}
    assert not any("temperature" in r or "max_tokens" in r for r in picky.taken)
    assert picky.refused <= 6, "at the start only"
    (kept,) = done.entities.provenance["requests"].values()
    assert "temperature" not in kept and done.entities.provenance["settings"]["max_tokens"] == 777


@pytest.mark.parametrize(
    ("refuses", "sent"),
    [
        (lambda r: "", {"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": False}}),
        (lambda r: "unknown chat_template_kwargs" if "chat_template_kwargs" in r else "", {"reasoning_effort": "none"}),
        (
            lambda r: "reasoning_effort none" if r.get("reasoning_effort", "minimal") != "minimal" else "",
            {"chat_template_kwargs": {"enable_thinking": False}},
        ),
    ],
)
def test_thinking_is_turned_off_in_the_way_that_the_server_takes(reports, model, refuses, sent) -> None:
    picky = Picky(refuses)
    assert extracted(model, reports, picky, reasoning="off").incomplete == 0
    fields = ("reasoning_effort", "chat_template_kwargs", "reasoning")
    assert all({k: r[k] for k in fields if k in r} == sent for r in picky.taken)


def test_a_server_that_refuses_everything_is_shown_with_its_own_words(reports, model) -> None:
    with pytest.raises(EndpointError, match='says "model is warming up"') as refused:
        extracted(model, reports, Picky(lambda _: "model is warming up"))
    assert "made-up statement" in str(refused.value)


def test_the_words_about_a_report_are_not_shown(reports, model) -> None:
    def refuses(request) -> str:
        text = request["messages"][-1]["content"]
        return "" if "left bundle" in text and "no left" in text else f"cannot read {text}"

    with pytest.raises(Exception, match="status 400") as refused:
        extracted(model, reports, Picky(refuses))
    assert "sinus" not in str(refused.value) and "cannot read" not in str(refused.value)


def test_an_answer_that_needs_more_tokens_is_told_at_the_start(reports, model) -> None:
    asked = []

    def cut(body: bytes, send) -> None:
        asked.append(body)
        choice = {"finish_reason": "length", "message": {"content": "", "reasoning": "let me think"}}
        send(http(json.dumps({"choices": [choice]}).encode()))

    with raw_server(cut) as port, pytest.raises(EndpointError, match="within 50 tokens.*--max-tokens.*--reasoning off"):
        extract_knowledge(reports, model(f"http://127.0.0.1:{port}/v1", timeout=10, max_tokens=50), ALL)
    assert len(asked) == 3


def test_a_longer_limit_asks_again_what_was_cut_and_nothing_else(reports, model) -> None:
    def serve(body: bytes, send) -> None:
        request = json.loads(body)
        if "inferior" in request["messages"][-1]["content"] and request["max_tokens"] < 900:
            choice = {"finish_reason": "length", "message": {"content": "", "reasoning": "hm"}}
            send(http(json.dumps({"choices": [choice]}).encode()))
        elif any(message["role"] == "assistant" for message in request["messages"]):
            choice = {"finish_reason": "length", "message": {"content": ""}}
            send(http(json.dumps({"choices": [choice]}).encode()))
        else:
            asked.append(request["messages"][-1]["content"])
            send(honest(body))

    asked: list[str] = []
    with raw_server(serve) as port:
        url = f"http://127.0.0.1:{port}/v1"
        short = extract_knowledge(reports, model(url, timeout=10, max_tokens=100), ALL)
        assert dict(short.problems) == {"extract: cut short": 1}
        asked.clear()
        assert extract_knowledge(reports, model(url, timeout=10, max_tokens=900), ALL).incomplete == 0
    assert len(asked) == 2  # the made-up statement, and the one that was cut


def test_settings_that_change_answers_are_part_of_the_key() -> None:
    plain = ModelSettings("m")
    assert plain.key == "" == ModelSettings("m", max_tokens=9).key
    others = [
        ModelSettings("m", temperature=0.5),
        ModelSettings("m", reasoning="low"),
        ModelSettings("m", extra_body={"top_p": 0.9}),
    ]
    assert len({plain.key, *(other.key for other in others)}) == 4
    for wrong in ({"reasoning": "much"}, {"max_tokens": 0}, {"temperature": 3}, {"samples": 2, "temperature": 0}):
        with pytest.raises(ConfigError):
            ModelSettings("m", **wrong)


def test_further_fields_are_sent_and_null_leaves_one_out(reports, model) -> None:
    picky = Picky(lambda _: "")
    extracted(model, reports, picky, extra_body={"top_p": 0.9, "temperature": None})
    assert all(r["top_p"] == 0.9 and "temperature" not in r for r in picky.taken)


def test_prompts_examples_and_language_of_the_user(reports, model, tmp_path) -> None:
    folder = tmp_path / "prompts"
    assert len(write_prompts(folder)) == 5
    assert load_prompt("extract", folder) == load_prompt("extract"), "unchanged prompts meet the same answers"
    (folder / "extract.md").write_text("Find what stands there.")
    example = {
        "user": {"text": "af"},
        "assistant": {"entities": [{"name": "atrial fibrillation", "polarity": "present"}]},
    }
    (folder / "extract.examples.jsonl").write_text(json.dumps(example) + "\n")
    load_prompt.__globals__["_of_user"].cache_clear()
    picky = Picky(lambda _: "")
    done = extracted(model, reports, picky, prompts=folder, language="German")
    request = next(r for r in picky.taken if "sinus" in r["messages"][-1]["content"])
    roles = [message["role"] for message in request["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert request["messages"][0]["content"] == "Find what stands there.\n\nThe reports are written in German."
    assert done.entities.provenance["prompts"]["extract"].startswith("extract.user ")
    assert done.entities.provenance["prompts"]["merge"].startswith("merge.v")
    (folder / "verify.examples.jsonl").write_text('{"user": {}, "assistant": {"verdict": 1}}\n')
    load_prompt.__globals__["_of_user"].cache_clear()
    with pytest.raises(ConfigError, match=r"verify.examples.jsonl, line 1 is no example \(missing at key\)"):
        load_prompt("verify", folder)
    with pytest.raises(ConfigError, match="holds no prompt"):
        load_prompt("extract", tmp_path)


def many(count: int, tmp_path: Path) -> Reports:
    texts = tuple(f"sinus rhythm {i}" for i in range(count))
    return Reports(texts, texts, tmp_path / "knowledge", "h")


def test_several_servers_share_the_work(model, tmp_path) -> None:
    with serving(delay=0.02) as one, serving(delay=0.02) as two:
        done = extract_knowledge(many(60, tmp_path), model(one.url, two.url, timeout=10), ALL)
        assert done.incomplete == 0 and min(len(one.bodies), len(two.bodies)) > 10
        asked = [json.dumps(body["messages"]) for body in (*one.bodies, *two.bodies)]
    assert len(asked) - len(set(asked)) == 1, "only the made-up statement goes to both"


@pytest.mark.parametrize("when", ["from the start", "in the middle", "not allowed in"])
def test_a_dead_server_among_several_is_told_and_the_rest_goes_on(model, tmp_path, when) -> None:
    told: list[str] = []
    with serving(delay=0.01) as good, serving(delay=0.01) as bad:
        if when == "from the start":
            bad.dead = True
        elif when == "not allowed in":
            bad.fault = lambda *_: "401"
        else:

            def die() -> None:
                while len(bad.bodies) < 8:
                    time.sleep(0.002)
                bad.dead = True

            threading.Thread(target=die, daemon=True).start()
        backend = model(bad.url, good.url, timeout=10, retries=2, notify=told.append)
        done = extract_knowledge(many(80, tmp_path), backend, ALL)
        assert done.incomplete == 0 and done.problems == {}
        assert len(told) == 1 and f"goes on with {good.url[7:-3]}" in told[0] and bad.url[7:-3] in told[0]
        assert list(done.lost_servers) == [bad.url] == list(done.to_dict()["lost_servers"])
        assert bad.url[7:-3] in done.lost_servers[bad.url]


def test_the_labels_have_the_same_bytes_whatever_the_servers(model, tmp_path) -> None:
    """Servers that answer in another order, and one that dies, change nothing but the servers in the provenance."""

    def written(name: str, *urls: str) -> dict[str, object]:
        many_reports = many(40, tmp_path / name)
        done = extract_knowledge(many_reports, model(*urls, folder=many_reports.folder, timeout=10, retries=2), ALL)
        files = {str(p.relative_to(done.path)): p.read_bytes() for p in done.path.rglob("*") if p.is_file()}
        about = json.loads(files.pop("zarr.json"))
        for where in ("host", "requests"):
            assert about["attributes"]["provenance"].pop(where)
        assert (many_reports.folder / FILE).stat().st_mode & 0o777 == 0o600
        return {**files, "zarr.json": about}

    def dies(content: str, before: int) -> str:
        dying.dead = len(dying.bodies) > 8
        return ""

    with serving() as one, serving(delay=0.02) as slow, serving(fault=dies) as dying:
        alone = written("alone", one.url)
        assert len(alone) > 5
        assert written("two", slow.url, one.url) == alone
        assert written("dying", dying.url, slow.url) == alone
        assert dying.dead


def test_every_address_is_checked_before_any_server_is_asked(model) -> None:
    with serving() as one:
        for remote in ("https://8.8.8.8/v1", "http://nobody.invalid/v1"):
            with pytest.raises(ConfigError, match="--allow-remote"):
                model(one.url, remote)
        with pytest.raises(ConfigError, match="unencrypted"):
            model(one.url, "http://8.8.8.8/v1", allow_remote=True)
        assert not one.bodies


def test_a_text_that_kills_its_connection_kills_no_server_of_several(reports, model) -> None:
    fault = lambda content, before: "reset" if "pvc" in content else ""  # noqa: E731
    told: list[str] = []
    with serving(fault=fault) as one, serving(fault=fault) as two:
        done = extract_knowledge(reports, model(one.url, two.url, timeout=10, notify=told.append), ALL)
    assert dict(done.problems) == {"extract: connection lost": 1} and done.incomplete == 3 and told == []


def test_the_load_grows_while_it_brings_more_and_stops_where_it_does_not() -> None:
    def settle(capacity: int, most: int = 256) -> int:
        """Simulate a server that answers at most `capacity` requests at a time, each in 1 s."""
        load, now = Load(most), 0.0
        load._began, clock = 0.0, time.monotonic
        try:
            for _ in range(5000):
                now += 1 / min(load.limit, capacity)
                time.monotonic = lambda: now  # noqa: B023
                load.answered(full=True)
        finally:
            time.monotonic = clock
        return load.limit

    assert settle(64) == 64 and settle(10) in (8, 16) and settle(1) <= 4 and settle(1000, most=100) == 100
    load = Load(256)
    load.limit = 64
    load.slow_down()
    assert load.limit == 32


def test_attributes_and_quotes_are_kept_and_false_quotes_counted(model, tmp_path) -> None:
    from ecgkit.knowledge.mention_table import read_mentions
    from ecgkit.knowledge.statements import text_hash

    text = "mild st depression in v5, new since 2019"

    def answer(stage: str, payload: dict) -> dict:
        if stage != "extract" or payload["text"] != text:
            return reader(stage, payload)
        entity = {"polarity": "present", "certainty": "certain", "severity": "MILD", "location": "V5", "change": "new"}
        return {
            "entities": [
                {"name": "st depression", "quote": "Mild  ST depression", **entity},
                {"name": "st elevation", "quote": "st elevation", **entity},
            ]
        }

    reports = Reports(("1",), (text,), tmp_path / "knowledge", "h")
    with serving(answer) as server:
        done = extract_knowledge(reports, model(server.url, timeout=10), ALL)
        assert [p["candidates"] for s, p in map(stage_of, server.bodies) if s == "verify"] == [["st elevation"]]
    assert done.counters["quotes_not_in_text"] == 1
    found = {m.name: m for m in read_mentions(done.path)[text_hash(text)]}
    mention = found["st depression"]
    assert (mention.severity, mention.location, mention.change, mention.certainty) == ("mild", "v5", "new", "certain")
    assert mention.spans == ((0, len("mild st depression")),) and found["st elevation"].spans == ()


def test_samples_vote(model, tmp_path) -> None:
    seen: dict[str, int] = {}

    def answer(body: bytes, send) -> None:
        text = json.loads(json.loads(body)["messages"][-1]["content"]).get("text", "")
        seen[text] = seen.get(text, 0) + 1
        names = {"wobble": ["wobble"], "flutter?": ["wobble", "atrial flutter"][: seen[text] % 2 + 1]}.get(text)
        if names is None:
            send(honest(body))
        else:
            entities = [{"name": name, "polarity": "present"} for name in names]
            send(http(completion(json.dumps({"entities": entities}))))

    reports = Reports(("1", "2", "3"), ("wobble", "flutter?", "sinus rhythm"), tmp_path / "knowledge", "h")
    with raw_server(answer) as port:
        backend = model(f"http://127.0.0.1:{port}/v1", timeout=10, samples=3, concurrency=1, verify=False)
        done = extract_knowledge(reports, backend, ALL)
    assert (seen["wobble"], seen["flutter?"]) == (3, 3)
    assert done.counters["samples_differ"] == 1
    assert done.entities.values[1, done.entities.names.index("wobble")] == 1
    assert done.entities.provenance["settings"]["temperature"] == 0.7
