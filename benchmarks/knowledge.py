"""What entity extraction costs: calls saved, requests a second, cache hits a second, requests in flight.

    python benchmarks/knowledge.py calls [REPORTS.csv]   unique statements a thousand reports, simulated and given
    python benchmarks/knowledge.py client                bookkeeping against an instant server in another process,
                                                         beside aiohttp and, if it is installed, the openai package
    python benchmarks/knowledge.py quality REPORTS.csv   the lexicon against SCP codes (columns patient_id, strat_fold,
                                                         report, scp_codes), halves by fold; --held-out for the second
    python benchmarks/knowledge.py speed REPORTS.csv     statements that the lexicon reads per second

The bars: at most 100 calls a thousand simulated reports; 1,000 requests/s; 20,000 cached statements/s; 64 in flight.
"""

import argparse
import ast
import asyncio
import importlib.util
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ecgkit.knowledge.codes import load_codes
from ecgkit.knowledge.endpoint.backend import OpenAIBackend
from ecgkit.knowledge.endpoint.prompts import load_prompt
from ecgkit.knowledge.endpoint.settings import ModelSettings, OpenAISettings, ServerSettings
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.lexicon.terms import load_lexicon
from ecgkit.knowledge.reports import open_reports
from ecgkit.knowledge.statements import corpus_of
from ecgkit.simulate.findings import draw_findings
from ecgkit.simulate.patient import draw_patient
from ecgkit.simulate.report import write_report

ANSWER = (
    b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"{\\"entities\\":[{\\"name\\":\\"atrial fibrillation\\",'
    b'\\"polarity\\":\\"present\\"}]}"}}],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}'
)
RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER


def simulated_reports(count: int, seed: int = 0) -> list[str]:
    """Return the reports of a simulated cohort, without its waveforms."""
    reports: list[str] = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        patient = draw_patient(rng)
        for _ in patient.times:
            findings = draw_findings(patient.conditions, rng)
            reports.append("\n".join(write_report(findings, float(rng.uniform(45, 130)), None, rng)))
        if len(reports) >= count:
            break
    return reports[:count]


def calls(table: Path | None) -> None:
    """Print unique statements, which is what a model is asked about, beside reports."""
    rows = [("simulated", n, simulated_reports(n)) for n in (1_000, 10_000, 100_000)]
    if table:
        reports = open_reports(table)
        rows.append((table.stem, len(reports), list(reports.texts)))
    print(f"{'reports':<16}{'records':>9}{'statements':>12}{'reports, unique':>17}{'calls / 1,000':>15}")
    for name, count, texts in rows:
        unique, whole = len(corpus_of(texts).texts), len(corpus_of(texts, "report").texts)
        print(f"{name:<16}{count:>9}{unique:>12}{whole:>17}{1000 * unique / count:>15.1f}")


def serve(port: "multiprocessing.connection.Connection", delay: float, peak: "multiprocessing.Value") -> None:  # type: ignore[valid-type]
    """Answer at once, or after a delay, and note the largest number in flight."""
    flying = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal flying
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                at = head.index(b"content-length:") + 15
                await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
                flying += 1
                peak.value = max(peak.value, flying)
                if delay:
                    await asyncio.sleep(delay)
                flying -= 1
                writer.write(RESPONSE)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def run() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=256)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def bare(url: str, count: int, concurrency: int) -> None:
    """Send as many requests by aiohttp alone, with nothing checked and nothing kept."""
    import aiohttp

    async def run() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

            async def ask(messages: list[dict[str, str]]) -> None:
                body = {"model": "m", "messages": messages, "temperature": 0}
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    await response.json()

            await ask_all(ask, count, concurrency)

    asyncio.run(run())


def package(url: str, count: int, concurrency: int) -> None:
    """Send as many requests by the openai package alone, with its aiohttp transport."""
    import openai

    async def run() -> None:
        http = openai.DefaultAioHttpClient()
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, http_client=http) as client:

            async def ask(messages: list[dict[str, str]]) -> None:
                await client.chat.completions.create(model="m", messages=messages, temperature=0)  # type: ignore[arg-type]

            await ask_all(ask, count, concurrency)

    asyncio.run(run())


async def ask_all(ask: Callable[[list[dict[str, str]]], Awaitable[None]], count: int, concurrency: int) -> None:
    """Ask a number of questions, so many at a time."""
    todo = iter(range(count))
    system = {"role": "system", "content": load_prompt("extract").text}

    async def work() -> None:
        for i in todo:
            await ask([system, {"role": "user", "content": f"statement {i}"}])

    await asyncio.gather(*(work() for _ in range(concurrency)))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of wall time and of this process's own time: the second is no matter of who else is busy."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - own


@dataclass(frozen=True)
class Pace:
    """Seconds (wall, own) for all texts, and the most in flight at the server. None without the openai package."""

    asked: tuple[float, float]
    cached: tuple[float, float]
    bare: tuple[float, float]
    package: tuple[float, float] | None
    peak: int


def read_all(texts: list[str], delay: float = 0.0, concurrency: int = 64) -> Pace:
    """Read all texts by asking, then from the cache, then send as many requests without any bookkeeping."""
    here, there = multiprocessing.Pipe()
    peak = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(target=serve, args=(there, delay, peak), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    settings = OpenAISettings(ModelSettings("m"), ServerSettings((url,), concurrency=concurrency), verify=False)
    with tempfile.TemporaryDirectory() as folder:
        backend = OpenAIBackend(settings, Path(folder))
        backend.read(["warm up"], lambda *_: None)
        bare(url, 1, 1)
        asked, cached = (timed(lambda: backend.read(texts, lambda *_: None)) for _ in range(2))
        alone = timed(lambda: bare(url, len(texts), concurrency))
        rival = None
        if importlib.util.find_spec("openai"):
            package(url, 1, 1)
            rival = timed(lambda: package(url, len(texts), concurrency))
    server.kill()
    return Pace(asked, cached, alone, rival, peak.value)


def client(count: int, runs: int) -> None:
    """Print medians."""
    texts = [f"statement {i}" for i in range(count)]
    done = [read_all(texts) for _ in range(runs)]
    print(f"{'':<42}{'a second':>10}{'a second of own time':>22}")
    for name, part in (
        ("requests, instant server (bar 1,000)", "asked"),
        ("aiohttp alone", "bare"),
        ("the openai package alone", "package"),
        ("statements from the cache (bar 20,000)", "cached"),
    ):
        times = [time for pace in done if (time := getattr(pace, part))]
        if not times:
            print(f"{name:<42}{'not installed':>32}")
            continue
        wall, own = (statistics.median(time[i] for time in times) for i in (0, 1))
        print(f"{name:<42}{count / wall:>10.0f}{count / own:>22.0f}")
    print(f"{'in flight of 64, answers after 0.1 s':<42}{read_all(texts[:1024], 0.1).peak:>10}")


def score(table: pd.DataFrame) -> pd.DataFrame:
    """Return precision, recall and F1 of each entity that has SCP codes.

    A mention counts if it is present or uncertain, a code at any likelihood: PTB-XL writes doubt as a likelihood. A
    subtype counts for its ancestors too.
    """
    backend, vocabulary = LexiconBackend(), load_lexicon().vocabulary
    corpus = corpus_of(list(table["report"].fillna("")))
    read = backend.read(corpus.texts, lambda *_: None).mentions
    said = [
        {
            e
            for i in record
            for m in read[i] or ()
            if m.polarity != "absent"
            for e in (m.name, *vocabulary.ancestors(m.name))
        }
        for record in corpus.records
    ]
    codes = [set(ast.literal_eval(cell)) for cell in table["scp_codes"]]
    rows = []
    for entity in load_lexicon().entities.values():
        kinds = [e for e in load_codes() if entity.name in (e, *vocabulary.ancestors(e))]
        if scp := {code for e in kinds for code in load_codes()[e].scp_ecg}:
            truth = np.array([bool(found & scp) for found in codes])
            guess = np.array([entity.name in found for found in said])
            hits = int((truth & guess).sum())
            rows.append(
                {
                    "entity": entity.name,
                    "codes": " ".join(sorted(scp)),
                    "positives": int(truth.sum()),
                    "found": int(guess.sum()),
                    "precision": hits / max(1, guess.sum()),
                    "recall": hits / max(1, truth.sum()),
                    "f1": 2 * hits / max(1, truth.sum() + guess.sum()),
                }
            )
    return pd.DataFrame(rows)


def learned(table: pd.DataFrame, scores: pd.DataFrame, least: int) -> pd.Series:
    """Return the F1 of a classifier that is fitted to the codes: what any reader of these texts could hope for.

    Logistic regression on words, pairs and triples, four folds by patient, with the best threshold in hindsight.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.model_selection import GroupKFold

    counter = CountVectorizer(ngram_range=(1, 3), min_df=2, binary=True, token_pattern=r"[^\s,.]+")
    x = counter.fit_transform(table["report"].fillna(""))
    found = [set(ast.literal_eval(cell)) for cell in table["scp_codes"]]
    best = {}
    for row in scores[scores["positives"] >= least].itertuples():
        y = np.array([bool(codes & set(str(row.codes).split())) for codes in found])
        p = np.zeros(len(y))
        for train, test in GroupKFold(4).split(x, y, table["patient_id"]):
            p[test] = LogisticRegression(solver="liblinear").fit(x[train], y[train]).predict_proba(x[test])[:, 1]
        best[row.entity] = max(f1_score(y, p > t) for t in np.linspace(0.1, 0.9, 17))
    return pd.Series(best)


def quality(path: Path, held_out: bool, least: int, with_learned: bool) -> None:
    """Print the lexicon's table on one half of the folds."""
    table = pd.read_csv(path)
    table = table[table["strat_fold"] % 2 == (0 if held_out else 1)].reset_index(drop=True)
    spoken = table["report"].fillna("").str.strip(" .").str.lower()
    mute = spoken.isin(["", "trace only requested"])
    print(
        f"{'kept aside' if held_out else 'development'}: {len(table)} reports, {mute.sum()} of them without any finding"
    )
    table = table[~mute].reset_index(drop=True)
    scores = score(table)
    if with_learned:
        scores["fitted f1"] = scores["entity"].map(learned(table, scores, least))
    print(scores.to_string(index=False, float_format=lambda v: f"{v:.2f}"))
    large = scores[scores["positives"] >= least]
    print(f"{len(scores)} entities; {len(large)} with {least} positives or more: macro F1 {large['f1'].mean():.3f},")
    print(f"  precision {large['precision'].mean():.3f}, recall {large['recall'].mean():.3f},", end=" ")
    print(f"median F1 {large['f1'].median():.3f}")
    if with_learned:
        print(f"  a classifier fitted to the codes: macro F1 {large['fitted f1'].mean():.3f}")


def speed(table: Path, runs: int) -> None:
    """Print how many unique statements the lexicon reads per second of its own time, the best of some runs."""
    texts, backend = corpus_of(open_reports(table).texts).texts, LexiconBackend()
    own = min(timed(lambda: backend.read(texts, lambda *_: None))[1] for _ in range(runs))
    print(f"{len(texts)} statements, {len(texts) / own:.0f} per second")


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["calls", "client", "quality", "speed"])
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--fitted", action="store_true")
    parser.add_argument("--least", type=int, default=20)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=3)
    a = parser.parse_args()
    if a.part == "calls":
        calls(a.table)
    elif a.part == "client":
        client(a.count, a.runs)
    elif a.table is None:
        sys.exit(f"{a.part} needs a table of reports")
    elif a.part == "speed":
        speed(a.table, a.runs)
    else:
        quality(a.table, a.held_out, a.least, a.fitted)


if __name__ == "__main__":
    main()
