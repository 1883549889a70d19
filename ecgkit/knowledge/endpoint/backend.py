"""The model as a backend: extract, verify, merge synonyms, fold subtypes (steps of K-MERL, arXiv 2502.17900).

A name that stands in the text, or that the lexicon finds there under another term, needs no verification by the model;
a name that the lexicon knows needs no merging. What a single record alone mentions never stands in a question about
other records' names, so a report that gives orders changes nothing but its own row.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import ecgkit
from ecgkit.interrupt import Left, keeps
from ecgkit.knowledge.backends import Readings, Watch
from ecgkit.knowledge.endpoint import schemas
from ecgkit.knowledge.endpoint.address import check_address
from ecgkit.knowledge.endpoint.cache import Cache
from ecgkit.knowledge.endpoint.client import Counters, Endpoint, EndpointSettings
from ecgkit.knowledge.endpoint.prompts import load_prompt
from ecgkit.knowledge.endpoint.questions import Desk, Problem, Question
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.lexicon.terms import load_lexicon
from ecgkit.knowledge.mentions import Mention, merge_mentions, normalise_name
from ecgkit.knowledge.vocabulary import Vocabulary, make_vocabulary

T = TypeVar("T")
NAMES_A_QUESTION = 40
LETTERS_A_TOKEN, TOKENS_AN_ANSWER = 4, 40  # rough, for an estimate before the run
SHARED = 3  # records that must mention a name before it may stand in a question about others


class OpenAIBackend:
    """Asks a model behind an OpenAI-compatible endpoint.

    Args:
        settings: Server and model.
        folder: Where the cache of answers lies.
        verify: Whether findings that the text does not hold literally are asked about again.
        retry_quarantined: Whether answers that could not be read before are asked for again.

    Raises:
        ConfigError: The address is not allowed.
    """

    def __init__(
        self, settings: EndpointSettings, folder: Path, *, verify: bool = True, retry_quarantined: bool = False
    ) -> None:
        self.settings, self._folder, self._verify = settings, folder, verify
        self._retry = retry_quarantined
        self.host = check_address(settings.base_url, allow_remote=settings.allow_remote)
        self.counters = Counters()
        self.asked_again = self.dropped = 0
        self.mode = ""
        self._lexicon = LexiconBackend()

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Model, host, prompts and settings."""
        stages = ("extract", *(["verify"] if self._verify else []), "merge", "fold")
        return {
            "backend": "openai",
            "model": self.settings.model,
            "host": self.host,
            "response_format": self.mode,
            "prompts": {stage: f"{load_prompt(stage).version} {load_prompt(stage).digest[:16]}" for stage in stages},
            "verified": self._verify,
            "ecgkit": ecgkit.__version__,
        }

    def estimate(self, texts: Sequence[str]) -> tuple[int, int, int]:
        """Return how many of these texts must be asked about, and roughly how many tokens go out and come back."""
        prompt = load_prompt("extract")
        questions = [Question(prompt, schemas.EXTRACT, {"text": text}) for text in dict.fromkeys(texts)]
        keys = {question.key(self.settings.model): question for question in questions}
        with Cache(self._folder) as cache:
            known = cache.get(list(keys)).keys() | cache.refused(list(keys)).keys()
        todo = [question for key, question in keys.items() if key not in known]
        letters = sum(len(prompt.text) + len(question.content) for question in todo)
        return len(todo), letters // LETTERS_A_TOKEN, len(todo) * TOKENS_AN_ANSWER

    def read(self, texts: Sequence[str], watch: Watch) -> Readings:
        """Extract from each text, and verify what it does not hold literally; see `Backend`."""
        return self._with_desk(partial(self._read, texts, watch))

    def vocabulary(self, counts: Mapping[str, int], watch: Watch) -> Vocabulary:
        """Merge and fold what the lexicon does not know; see `Backend`."""
        return self._with_desk(partial(self._vocabulary, counts, watch))

    def _with_desk(self, work: Callable[[Desk], Awaitable[T]]) -> T:
        async def run() -> T:
            with Cache(self._folder) as cache:
                if self._retry:
                    cache.release()
                    self._retry = False
                async with Endpoint(self.settings, self.counters) as endpoint:
                    desk = Desk(endpoint, cache)
                    try:
                        return await work(desk)
                    finally:
                        self.mode = desk.mode or self.mode

        with keeps(lambda: Left(f"the answers so far are kept in {self._folder}")):
            return asyncio.run(run())

    async def _read(self, texts: Sequence[str], watch: Watch, desk: Desk) -> Readings:
        prompt = load_prompt("extract")
        questions = [Question(prompt, schemas.EXTRACT, {"text": text}) for text in texts]
        answers = await desk.answers(questions, partial(watch, "extract"))
        mentions = [None if isinstance(a, Problem) else _mentions(a) for a in answers]
        problems = {i: f"extract: {a.reason}" for i, a in enumerate(answers) if isinstance(a, Problem)}
        if self._verify:
            await self._check(texts, mentions, problems, watch, desk)
        return Readings(mentions, problems, self._counted(desk))

    async def _check(
        self,
        texts: Sequence[str],
        mentions: list[tuple[Mention, ...] | None],
        problems: dict[int, str],
        watch: Watch,
        desk: Desk,
    ) -> None:
        """Ask about findings that are not in the text by name, and drop those that it does not support."""
        doubtful = {
            i: names for i, found in enumerate(mentions) if found and (names := self._doubtful(texts[i], found))
        }
        prompt = load_prompt("verify")
        questions = [
            Question(prompt, schemas.VERIFY, {"text": texts[i], "candidates": list(names)}, partial(_covers, names))
            for i, names in doubtful.items()
        ]
        answers = await desk.answers(questions, partial(watch, "verify"))
        for (index, names), answer in zip(doubtful.items(), answers, strict=True):
            if isinstance(answer, Problem):
                mentions[index], problems[index] = None, f"verify: {answer.reason}"
                continue
            refuted = {v.name for v in answer.verdicts if not v.supported}
            self.asked_again += len(names)
            self.dropped += len(refuted)
            mentions[index] = tuple(m for m in mentions[index] or () if m.name not in refuted)

    def _doubtful(self, text: str, mentions: Sequence[Mention]) -> tuple[str, ...]:
        known = {mention.name for mention in self._lexicon.read_text(text)}
        return tuple(
            m.name
            for m in mentions
            if m.polarity != "absent" and not _stands_in(m.name, text) and not self._known_entities(m.name) & known
        )

    def _known_entities(self, name: str) -> set[str]:
        """Return the lexicon's entity that a whole name stands for, if there is one."""
        found = self._lexicon.read_text(name)
        return {found[0].name} if len(found) == 1 and (0, len(name)) in found[0].spans else set()

    async def _vocabulary(self, counts: Mapping[str, int], watch: Watch, desk: Desk) -> Vocabulary:
        entity_of = {name: next(iter(self._known_entities(name)), "") for name in counts}
        settled = {entity for entity in entity_of.values() if entity}
        lexicon = load_lexicon().vocabulary
        new = [name for name in sorted(counts, key=lambda n: (-counts[n], n)) if not entity_of[name]]
        shared = [name for name in new if counts[name] >= SHARED]
        merged = await self._merge(shared, settled, watch, desk)
        entity_of |= {name: merged.get(name, name) for name in new}
        parents = {e: lexicon.parent_of[e] for e in settled if e in lexicon.parent_of}
        for entity in list(parents.values()):
            parents |= {e: lexicon.parent_of[e] for e in (entity, *lexicon.ancestors(entity)) if e in lexicon.parent_of}
        own = sorted({entity_of[name] for name in shared} - settled)
        known = sorted({*settled, *parents.values(), *own})
        parents |= _without_circles(await self._fold(own, known, watch, desk), parents)
        return make_vocabulary(entity_of, parents, source="model")

    async def _merge(self, names: Sequence[str], settled: set[str], watch: Watch, desk: Desk) -> dict[str, str]:
        """Ask batch after batch, since each must know what the earlier ones settled."""
        prompt, entity_of = load_prompt("merge"), dict[str, str]()
        for start in range(0, len(names), NAMES_A_QUESTION):
            batch = names[start : start + NAMES_A_QUESTION]
            known = sorted(settled | set(entity_of.values()))
            question = Question(prompt, schemas.MERGE, {"names": list(batch), "known": known})
            (answer,) = await desk.answers([question], lambda *_: None)
            watch("merge", min(start + NAMES_A_QUESTION, len(names)), len(names))
            said = {} if isinstance(answer, Problem) else {s.name: s.entity for s in answer.synonyms}
            allowed = {*known, *batch}
            chosen = {name: said[name] if said.get(name) in allowed else name for name in batch}
            entity_of |= {name: _last(name, chosen) for name in batch}
        return entity_of

    async def _fold(self, names: Sequence[str], known: Sequence[str], watch: Watch, desk: Desk) -> dict[str, str]:
        prompt = load_prompt("fold")
        batches = [names[start : start + NAMES_A_QUESTION] for start in range(0, len(names), NAMES_A_QUESTION)]
        questions = [Question(prompt, schemas.FOLD, {"names": list(b), "known": list(known)}) for b in batches]
        answers = await desk.answers(questions, partial(watch, "fold"))
        pairs = [k for answer in answers if not isinstance(answer, Problem) for k in answer.parents]
        return {k.name: k.parent for k in pairs if k.name in names and k.parent in known and k.parent != k.name}

    def _counted(self, desk: Desk) -> dict[str, Any]:
        return {
            **asdict(self.counters),
            "from_cache": desk.cached,
            "verify_asked": self.asked_again,
            "verify_dropped": self.dropped,
        }


def _mentions(answer: schemas.Extracted) -> tuple[Mention, ...]:
    found = ((normalise_name(entity.name), entity.polarity) for entity in answer.entities)
    return merge_mentions(Mention(name, polarity) for name, polarity in found if name)


def _covers(names: Sequence[str], answer: schemas.Verified) -> None:
    """Refuse verdicts about anything but the candidates, each once."""
    if Counter(v.name for v in answer.verdicts) != Counter(names):
        raise schemas.AnswerError("verdicts on other candidates")


def _stands_in(name: str, text: str) -> bool:
    words = r"[\s/-]*".join(map(re.escape, re.split(r"[\s/-]+", name)))
    return re.search(rf"(?<!\w){words}(?!\w)", text) is not None


def _last(name: str, chosen: Mapping[str, str]) -> str:
    """Follow a chain of synonyms to its end; a circle ends at its first name in alphabetical order."""
    seen = [name]
    while (following := chosen.get(seen[-1], seen[-1])) not in seen:
        seen.append(following)
    return following if following == seen[-1] else min(seen[seen.index(following) :])


def _without_circles(parents: Mapping[str, str], fixed: Mapping[str, str]) -> dict[str, str]:
    """Return the parents that make nobody an ancestor of itself."""
    kept = dict(fixed)
    for child, parent in sorted(parents.items()):
        above, entity = [parent], parent
        while entity in kept:
            entity = kept[entity]
            above.append(entity)
        if child not in above and child not in kept:
            kept[child] = parent
    return kept
