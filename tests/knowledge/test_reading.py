"""The one rule by which answers are read: every wrapping of a right answer, and time in proportion to length."""

import json
import time

import pytest

from ecgkit.knowledge.endpoint.reading import Answer, AnswerError, read_completion
from ecgkit.knowledge.endpoint.schemas import EXTRACT, FOLD, MERGE, SCHEMAS, VERIFY

RIGHT = {"entities": [{"name": "atrial fibrillation", "polarity": "present"}]}
GOOD = json.dumps(RIGHT)
DRAFT = json.dumps({"entities": [{"name": "draft", "polarity": "absent"}]})


def completion(finish: str = "stop", **message: object) -> dict:
    return {"choices": [{"finish_reason": finish, "message": message}]}


WRAPPED = {
    "plain": completion(content=GOOD),
    "thoughts with a draft": completion(content=f"<think>first {DRAFT} no, {{wait}}</think>\n{GOOD}"),
    "thoughts without an opening tag": completion(content=f"I think {DRAFT}\n</think>\n{GOOD}"),
    "another tag": completion(content=f"<Thinking>maybe {{x}} {DRAFT}</Thinking>{GOOD}"),
    "square tags": completion(content=f"[THINK]{DRAFT}[/THINK]{GOOD}"),
    "code fence and words": completion(content=f"Here you go:\n```json\n{GOOD}\n```\nHope this helps {{smile}}"),
    "two answers": completion(content=f"{DRAFT}\nNo, better:\n{GOOD}"),
    "parts": completion(content=[{"type": "thinking", "thinking": DRAFT}, {"type": "text", "text": GOOD}]),
    "an object": completion(content=RIGHT),
    "another end": completion("eos", content=GOOD),
    "filtered though whole": completion("content_filter", content=GOOD),
    "cut behind the answer": completion("length", content=f"{GOOD} and then"),
    "in the reasoning field": completion(content=None, reasoning_content=f"hm {GOOD}"),
    "in another reasoning field": completion(content="", reasoning=f"hm {GOOD}"),
    "in thoughts alone": completion(content=f"<think>{GOOD}"),
    "upper case": completion(content=GOOD.replace("present", "Present ")),
    "further keys": completion(content=json.dumps({**RIGHT, "confidence": 0.9})),
    "a bare list": completion(content=json.dumps(RIGHT["entities"])),
    "a comma too many": completion(content=GOOD.replace("]}", ",]}")),
    "raw line breaks": completion(content=GOOD.replace("atrial fibrillation", "atrial\nfibrillation")),
    "a stray brace": completion(content=f'{{"note: {GOOD}'),
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_a_right_answer_is_read_in_every_wrapping(wrapping: str) -> None:
    found = EXTRACT.find(read_completion(WRAPPED[wrapping]))
    assert [(" ".join(e.name.split()), e.polarity) for e in found.entities] == [("atrial fibrillation", "present")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(f"<think>{DRAFT} but", cut=True), "cut short"),
        (Answer("", thoughts=GOOD, cut=True), "cut short"),
        (Answer("", refused=True), "refused"),
        (Answer("no idea"), "no complete JSON object"),
        (Answer(GOOD[:-3]), "no complete JSON object"),
        (Answer(GOOD[:-2]), "missing at key"),
        (Answer('{"entities": [{"name": "x", "polarity": "maybe"}]}'), "literal_error at key.0.key"),
        (Answer('{"entities": [{"name": "\\ud800", "polarity": "present"}]}'), "half a character"),
        (Answer("[" * 100_000), "nested too deeply"),
        (Answer('{"entities": ' * 5000), "nested too deeply"),
    ],
)
def test_what_is_no_answer_says_why_without_a_word_of_it(answer: Answer, reason: str) -> None:
    with pytest.raises(AnswerError, match=reason):
        EXTRACT.find(answer)


LONG = 50_000
HOSTILE = {
    "opening tags": "<think>" * LONG,
    "closing tags": "</think>" * LONG,
    "braces": "{" * LONG,
    "open keys": '{"a' * LONG,
    "open objects": '{"a":1,' * LONG,
    "spaces": "{" + " " * LONG * 10,
    "long open string": '{"a":[' * 100 + '"' + "x" * LONG * 10,
    "many values": "{}" * LONG,
    "long number": "[" + "1" * LONG * 4,
    "commas": "," * LONG + " " * LONG + "x",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_answers_take_linear_time(kind: str) -> None:
    began = time.process_time()
    with pytest.raises(AnswerError):
        EXTRACT.find(Answer(HOSTILE[kind], HOSTILE[kind]))
    assert time.process_time() - began < 2.0


def test_details_that_no_one_knows_are_left_out_and_the_finding_stays() -> None:
    given = {"name": "x", "polarity": "ABSENT", "severity": "Marked", "change": "New", "quote": None, "certainty": 3}
    (found,) = EXTRACT.find(Answer(json.dumps({"entities": [given]}))).entities
    assert (found.polarity, found.severity, found.change, found.quote, found.certainty) == ("absent", "", "new", "", "")


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_strict_servers_take_the_schemas(schema) -> None:
    """Every key of every object is required, no other is allowed, and nothing has a default."""

    def check(part) -> None:
        if isinstance(part, dict):
            assert "default" not in part and "title" not in part
            if "properties" in part:
                assert part["required"] == list(part["properties"]) and part["additionalProperties"] is False
            for value in part.values():
                check(value)
        elif isinstance(part, list):
            for value in part:
                check(value)

    check(schema.json_schema)


def test_every_form_is_read_back_as_it_was_written() -> None:
    answers = {
        EXTRACT: {"entities": [{"name": "x", "polarity": "uncertain", "certainty": "probable", "location": "v1"}]},
        VERIFY: {"verdicts": [{"name": "x", "supported": True}]},
        MERGE: {"synonyms": [{"name": "x", "entity": "y"}]},
        FOLD: {"parents": [{"name": "x", "parent": ""}]},
    }
    for schema, values in answers.items():
        found = schema.find(Answer(json.dumps(values)))
        assert schema.read(schema.write(found)) == found
