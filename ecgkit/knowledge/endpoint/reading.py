"""The words of a model, and the JSON in them. One rule reads every answer.

**The rule.** The answer is the last complete JSON object of the asked form. It is looked for in what stands outside the
model's thoughts. Only if there is none, and the model was not cut short, it is looked for in the thoughts too: between
tags, or in the field for reasoning. Nothing else matters: words and code fences around it, further keys, and the reason
that the server gives for the end of the answer. A list stands for the object whose only field it is, and a comma before
a closing bracket is forgiven.

Reading takes time in proportion to the length of the answer.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Tags around thoughts: <think>, <thinking>, [THINK], ◁think▷ and the like.
_NAMES = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis)"
_OPENING = re.compile(rf"[<\[◁]{_NAMES}[>\]▷]", re.IGNORECASE)
_CLOSING = re.compile(rf"[<\[◁]/{_NAMES}[>\]▷]", re.IGNORECASE)
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_CUT = ("length", "max_tokens", "model_length")
_DECODER = json.JSONDecoder(strict=False, parse_int=float)  # Python refuses whole numbers of 5,000 digits
_START = re.compile(r"[{\[]")
_LAST_COMMA = re.compile(r",\s*(?=[}\]])")
AGAIN = 200  # characters behind the start of what is no JSON that are searched once more
WINDOW = 256  # characters that are tried first
LONGEST_WORD = 16  # characters at the end of a window that may be half a word, such as ``-Infinity``
MOST_VALUES = 1000  # JSON values of one answer that are compared with the form, from the last


class AnswerError(Exception):
    """An answer that cannot be read; its message says why and holds no word of it."""


@dataclass(frozen=True)
class Answer:
    """The words of a model.

    Args:
        text: Content of the message.
        thoughts: Content of the field for reasoning.
        cut: Whether the answer was cut short at its longest length.
        refused: Whether the model or the server refused to answer.
    """

    text: str
    thoughts: str = ""
    cut: bool = False
    refused: bool = False

    @property
    def raw(self) -> str:
        """All words, in a form that can be stored; characters that UTF-8 lacks are escaped."""
        both = f"{self.thoughts}\n\n{self.text}" if self.thoughts else self.text
        return both.encode("utf-8", "backslashreplace").decode()


def read_completion(body: Mapping[str, Any]) -> Answer:
    """Take the words out of a chat completion.

    Raises:
        ValueError, KeyError, IndexError, TypeError, AttributeError: It is none.
    """
    choice = body["choices"][0]
    message = choice["message"]
    text, thoughts = _content(message.get("content"))
    field = next((message[name] for name in _REASONING_FIELDS if isinstance(message.get(name), str)), "")
    finish = choice.get("finish_reason")
    refused = bool(message.get("refusal")) or (finish == "content_filter" and not text)
    return Answer(text, thoughts or field, finish in _CUT, refused)


def _content(content: Any) -> tuple[str, str]:
    """Return text and thoughts of a message, which may be text, a list of parts, or the JSON itself."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if isinstance(content, dict):
        return json.dumps(content), ""
    said: dict[bool, list[str]] = {False: [], True: []}
    for part in content:
        kind = "text" if isinstance(part, str) else str(part.get("type", "text"))
        words = part if isinstance(part, str) else part.get("text") or part.get("thinking") or part.get("content") or ""
        said["think" in kind or "reason" in kind].append(words if isinstance(words, str) else json.dumps(words))
    return "".join(said[False]), "".join(said[True])


def json_values(answer: Answer) -> Iterator[Any]:
    """Yield the JSON values of an answer in the order in which they are tried.

    Raises:
        AnswerError: A value is nested too deeply.
    """
    thoughts, said = _split(answer.text)
    places = (said, _LAST_COMMA.sub("", said), *(() if answer.cut else (thoughts, answer.thoughts)))
    for place in dict.fromkeys(places):
        values = list(_values(place))[-MOST_VALUES:][::-1]
        yield from (value for value in values if isinstance(value, dict))
        yield from (value for value in values if isinstance(value, list))


def _split(text: str) -> tuple[str, str]:
    """Return the thoughts between tags, and what stands outside them. The opening tag may be missing."""
    end = 0
    for closing in _CLOSING.finditer(text):
        end = closing.end()
    opening = _OPENING.search(text, end)
    start = opening.start() if opening else len(text)
    return text[:end] + text[start:], text[end:start]


def _values(text: str) -> Iterator[Any]:
    """Yield every JSON object and list of a text that no other contains.

    What lies between the start of a broken value and the place where it breaks was read as part of it, so the search
    goes on behind that place. A stray brace in a sentence breaks after a few characters, and costs nothing.
    """
    at = 0
    while start := _START.search(text, at):
        found, end = _decode(text, start.start())
        if found is not None:
            yield found
            at = end
        else:
            at = start.end() if end - start.start() < AGAIN else end


def _decode(text: str, start: int) -> tuple[Any, int]:
    """Return the value that begins at a place, and its end; or None, and where it breaks.

    Python counts the lines before a broken place, so the text is given to it in windows that grow only as needed.
    """
    size = WINDOW
    while True:
        try:
            value, end = _DECODER.raw_decode(text[start : start + size])
            return value, start + end
        except json.JSONDecodeError as error:
            whole = start + size >= len(text)
            if whole or (error.pos < size - LONGEST_WORD and not error.msg.startswith("Unterminated")):
                return None, start + error.pos
        except RecursionError:
            raise AnswerError("JSON nested too deeply") from None
        size *= 4
