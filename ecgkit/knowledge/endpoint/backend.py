"""The model as a backend: extract, verify, merge synonyms, fold subtypes (steps of K-MERL, arXiv 2502.17900).

A name that stands in the text, or that the lexicon finds there under another term, needs no verification by the model;
a name that the lexicon knows needs no merging. What a single record alone mentions never stands in a question about
other records' names, so a report that gives orders changes nothing but its own row.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import ecgkit
from ecgkit.interrupt import Left, keeps
from ecgkit.knowledge.backends import Cost, Notify, Readings, Watch
from ecgkit.knowledge.consensus import consensus
from ecgkit.knowledge.endpoint import schemas
from ecgkit.knowledge.endpoint.address import check_address
from ecgkit.knowledge.endpoint.batch import BatchDesk
from ecgkit.knowledge.endpoint.cache import Cache
from ecgkit.knowledge.endpoint.client import Counters, Endpoint
from ecgkit.knowledge.endpoint.live import LiveDesk
from ecgkit.knowledge.endpoint.negotiate import made_up
from ecgkit.knowledge.endpoint.prompts import load_prompt
from ecgkit.knowledge.endpoint.questions import Desk, Problem, Question
from ecgkit.knowledge.endpoint.reading import AnswerError
from ecgkit.knowledge.endpoint.settings import OpenAISettings
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.lexicon.terms import load_lexicon
from ecgkit.knowledge.mentions import Mention, merge_mentions, normalise_name
from ecgkit.knowledge.statements import clean
from ecgkit.knowledge.vocabulary import Vocabulary, make_vocabulary

T = TypeVar("T")
NAMES_A_QUESTION = 40
LETTERS_A_TOKEN, TOKENS_AN_ANSWER = 4, 90  # rough, for an estimate before anything is measured
SHARED = 3  # records that must mention a name before it may stand in a question about others


class OpenAIBackend:
    """Asks a model behind OpenAI-compatible servers, or by files of a batch.

    Args:
        settings: Model and servers.
        folder: Where the cache of answers lies.
        notify: Called with what a person should know.

    Raises:
        ConfigError: An address is not allowed, or a prompt cannot be used.
    """

    def __init__(self, settings: OpenAISettings, folder: Path, notify: Notify = lambda _: None) -> None:
        self.settings, self._folder, self._notify = settings, folder, notify
        self.model = settings.model
        self._retry = settings.retry_quarantined
        servers = settings.servers
        urls = dict.fromkeys(servers.base_urls) if servers else ()
        allow = bool(servers and servers.allow_remote)
        self.addresses = tuple(check_address(url, allow_remote=allow) for url in urls)
        names = settings.closed.entities if settings.closed else ()
        self._extract = replace(schemas.EXTRACT, names=names)
        self._prompts = {
            stage: load_prompt(stage, self.model.prompts, self.model.language, names)
            for stage in ("extract", "verify", "merge", "fold", "repair")
        }
        self.counters = Counters()
        self.asked_again = self.dropped = self.misquoted = self.disputed = self.unlisted = 0
        self.dialects: dict[str, dict[str, Any]] = {}
        self.lost_servers: dict[str, str] = {}
        self._lexicon = LexiconBackend()
        self._entity_of: dict[str, str] = {}

    @property
    def host(self) -> str:
        """Hosts and ports of the servers."""
        return ", ".join(address.shown for address in self.addresses)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Model, hosts, prompts, settings, and the form of the requests."""
        stages = ("extract", *(["verify"] if self.settings.verify else []), "merge", "fold")
        prompts = {stage: self._prompts[stage] for stage in stages}
        modes = dict.fromkeys(dialect["response_format"] for dialect in self.dialects.values())
        return {
            "backend": "openai",
            "model": self.model.model,
            "host": self.host or "batch files",
            "settings": self.model.to_dict(),
            "response_format": ", ".join(modes),
            "requests": self.dialects,
            "prompts": {stage: f"{prompt.version} {prompt.digest[:16]}" for stage, prompt in prompts.items()},
            "verified": self.settings.verify,
            **({"closed": len(self._extract.names)} if self._extract.names else {}),
            "ecgkit": ecgkit.__version__,
        }

    def estimate(self, texts: Sequence[str]) -> Cost:
        """Return how many of these texts must be asked about, and what that costs.

        Tokens and time are those of the answers that were measured with the same model, prompt and settings, if there
        are any. Otherwise the tokens are a rough guess, and the time is not known.
        """
        questions = self._extractions(list(dict.fromkeys(texts)))
        by_key = {question.key(self.model): question for question in questions}
        with Cache(self._folder) as cache:
            known = cache.get(list(by_key)).keys()
            measured = cache.measured(self._measure_key)
        todo = [question for key, question in by_key.items() if key not in known]
        if measured.answers:
            each = len(todo) / measured.answers
            tokens = (round(measured.prompt_tokens * each), round(measured.completion_tokens * each))
            return Cost(len(todo), *tokens, measured.seconds * each, measured.answers)
        asked = sum(len(message["content"]) for question in todo for message in question.messages())
        return Cost(len(todo), asked // LETTERS_A_TOKEN, len(todo) * TOKENS_AN_ANSWER)

    @property
    def _measure_key(self) -> str:
        return Question(self._prompts["extract"], self._extract, {"measured": True}).key(self.model)

    def _extractions(self, texts: Sequence[str]) -> list[Question[schemas.Extracted]]:
        """Return the questions about some texts, all samples of a text one after another."""
        prompt, samples = self._prompts["extract"], range(self.model.samples)
        return [Question(prompt, self._extract, {"text": t}, sample=sample) for t in texts for sample in samples]

    def read(self, texts: Sequence[str], watch: Watch) -> Readings:
        """Extract from each text, and verify what it does not hold literally; see `Backend`."""
        return self._with_desk(partial(self._read, texts, watch))

    def vocabulary(self, counts: Mapping[str, int], watch: Watch) -> Vocabulary:
        """Merge and fold what the lexicon does not know; see `Backend`."""
        return self._with_desk(partial(self._vocabulary, counts, watch))

    def _with_desk(self, work: Callable[[Desk], Awaitable[T]]) -> T:
        result: list[T] = []  # not the task's own, which asyncio would write out in words when it ends

        async def run() -> None:
            with Cache(self._folder) as cache:
                if self._retry:
                    cache.release()
                    self._retry = False
                async with AsyncExitStack() as opened:
                    result.append(await work(await self._desk(cache, opened)))

        with keeps(lambda: Left(f"the answers so far are kept in {self._folder}")):
            asyncio.run(run())
        return result[0]

    async def _desk(self, cache: Cache, opened: AsyncExitStack) -> Desk:
        servers, repair = self.settings.servers, self._prompts["repair"]
        if self.settings.batch or servers is None:
            assert self.settings.batch is not None
            return BatchDesk(self.settings.batch, self.model, cache, repair)
        endpoints = [
            await opened.enter_async_context(Endpoint(address, servers, self.counters, self._notify))
            for address in self.addresses
            if address.url not in self.lost_servers  # in an earlier stage
        ]
        question = made_up(self._prompts["extract"], self._extract)
        desk = LiveDesk(endpoints, servers, self.model, cache, made_up=question, repair=repair, notify=self._notify)
        opened.callback(self._note, desk, cache)
        return desk

    def _note(self, desk: LiveDesk, cache: Cache) -> None:
        """Keep what the servers took, what their answers cost, and which of them were lost."""
        self.lost_servers |= desk.left_out
        self.dialects |= {url: dialect.to_dict(self.model) for url, dialect in desk.dialects.items()}
        if desk.spent.answers:
            cache.measure(self._measure_key, desk.spent)

    async def _read(self, texts: Sequence[str], watch: Watch, desk: Desk) -> Readings:
        answers = await desk.answers(self._extractions(texts), partial(watch, "extract"))
        each = self.model.samples
        mentions: list[tuple[Mention, ...] | None] = []
        problems: dict[int, str] = {}
        misquoted: dict[int, set[str]] = {}
        for i, text in enumerate(texts):
            own = answers[i * each : (i + 1) * each]
            read = [a for a in own if not isinstance(a, Problem)]
            if 2 * len(read) <= each:
                problems[i] = f"extract: {next(a.reason for a in own if isinstance(a, Problem))}"
                mentions.append(None)
                continue
            found, wrong = zip(*(self._mentions(answer, text) for answer in read), strict=True)
            self.disputed += len({frozenset((m.name, m.polarity) for m in one) for one in found}) > 1
            mentions.append(found[0] if each == 1 else consensus(found))
            misquoted[i] = set().union(*wrong)
            self.misquoted += sum(map(len, wrong))
        if self.settings.verify:
            await self._check(texts, mentions, problems, misquoted, watch, desk)
        return Readings(mentions, problems, self._counted(desk))

    def _mentions(self, answer: schemas.Extracted, text: str) -> tuple[tuple[Mention, ...], set[str]]:
        """Return the mentions of an answer, and the names whose quote does not stand in the text."""
        mentions, misquoted = list[Mention](), set[str]()
        for found in answer.entities:
            name = self._name(found.name)
            if not name:
                continue
            spans = _place(found.quote, text)
            if found.quote.strip() and not spans:
                misquoted.add(name)
            location = normalise_name(found.location)
            mentions.append(
                Mention(name, found.polarity, spans, found.certainty, found.severity, location, found.change)
            )
        return merge_mentions(mentions), misquoted

    def _name(self, found: str) -> str:
        """Return the name to keep of one that the model gave; nothing if it is none, or not in a closed list."""
        name = normalise_name(found)
        if name and self.settings.closed:
            entity = self.settings.closed.entity_of.get(name, "")
            self.unlisted += not entity
            return entity
        return next(iter(self._known_entities(name)), name) if name and self.model.samples > 1 else name

    async def _check(
        self,
        texts: Sequence[str],
        mentions: list[tuple[Mention, ...] | None],
        problems: dict[int, str],
        misquoted: Mapping[int, set[str]],
        watch: Watch,
        desk: Desk,
    ) -> None:
        """Ask about findings that are not in the text by name, and drop those that it does not support."""
        doubtful = {
            i: names
            for i, found in enumerate(mentions)
            if found and (names := self._doubtful(texts[i], found, misquoted[i]))
        }
        prompt = self._prompts["verify"]
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

    def _doubtful(self, text: str, mentions: Sequence[Mention], misquoted: set[str]) -> tuple[str, ...]:
        """Return the findings that the text does not hold, neither by name nor under another term of the lexicon."""
        names = [m.name for m in mentions if m.polarity != "absent"]
        unsaid = [name for name in names if name in misquoted or not _stands_in(name, text)]
        if misquoted.issuperset(unsaid):
            return tuple(unsaid)
        known = {mention.name for mention in self._lexicon.read_text(text)}
        return tuple(name for name in unsaid if name in misquoted or not self._known_entities(name) & known)

    def _known_entities(self, name: str) -> set[str]:
        """Return the lexicon's entity that a whole name stands for, if there is one."""
        if name not in self._entity_of:
            found = self._lexicon.read_text(name)
            whole = len(found) == 1 and (0, len(name)) in found[0].spans
            self._entity_of[name] = found[0].name if whole else ""
        entity = self._entity_of[name]
        return {entity} if entity else set()

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
        prompt, entity_of = self._prompts["merge"], dict[str, str]()
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
        prompt = self._prompts["fold"]
        batches = [names[start : start + NAMES_A_QUESTION] for start in range(0, len(names), NAMES_A_QUESTION)]
        questions = [Question(prompt, schemas.FOLD, {"names": list(b), "known": list(known)}) for b in batches]
        answers = await desk.answers(questions, partial(watch, "fold"))
        pairs = [k for answer in answers if not isinstance(answer, Problem) for k in answer.parents]
        return {k.name: k.parent for k in pairs if k.name in names and k.parent in known and k.parent != k.name}

    def _counted(self, desk: Desk) -> dict[str, Any]:
        asked = desk.counters if isinstance(desk, BatchDesk) else asdict(self.counters)
        return {
            **asked,
            "from_cache": desk.cached,
            "verify_asked": self.asked_again,
            "verify_dropped": self.dropped,
            "quotes_not_in_text": self.misquoted,
            **({"names_not_in_list": self.unlisted} if self.settings.closed else {}),
            **({"samples_differ": self.disputed} if self.model.samples > 1 else {}),
        }


def _place(quote: str, text: str) -> tuple[tuple[int, int], ...]:
    """Return where a quote stands in a cleaned text; nothing if it does not."""
    words = clean(quote)
    start = text.find(words) if words else -1
    return ((start, start + len(words)),) if start >= 0 else ()


def _covers(names: Sequence[str], answer: schemas.Verified) -> None:
    """Refuse verdicts about anything but the candidates, each once."""
    if Counter(v.name for v in answer.verdicts) != Counter(names):
        raise AnswerError("verdicts on other candidates")


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
