"""Runs an extraction twenty times and kills it, then lets it finish; prints what happened as JSON.

Half of the kills come at a random moment, the others after a random number of requests.

Forks after the imports, so that a kill falls into the work and not into the start.
"""

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np

from ecgkit.knowledge.endpoint import schemas
from ecgkit.knowledge.endpoint.backend import OpenAIBackend
from ecgkit.knowledge.endpoint.cache import FILE
from ecgkit.knowledge.endpoint.prompts import load_prompt
from ecgkit.knowledge.endpoint.questions import Question
from ecgkit.knowledge.endpoint.settings import ModelSettings, OpenAISettings, ServerSettings
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import read_labels
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import Reports

KILLS, WORKERS = 20, 4
port, folder, log = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
texts = tuple(f"sinus rhythm\natrial fibrillation {i}\nno pvc {i}" for i in range(150))
reports = Reports(tuple(map(str, range(150))), texts, folder / "killed", "h")
servers = ServerSettings((f"http://127.0.0.1:{port}/v1",), concurrency=WORKERS, backoff=0.02)
settings = OpenAISettings(ModelSettings("m"), servers)
options = ExtractOptions(min_count=1, overwrite=True)
statements = ["sinus rhythm", *(t for i in range(150) for t in (f"atrial fibrillation {i}", f"no pvc {i}"))]
questions = [Question(load_prompt("extract"), schemas.EXTRACT, {"text": text}) for text in statements]
content_of = {question.key(settings.model): question.content for question in questions}


def requests() -> list[str]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def wait_for_requests(count: int) -> None:
    """Wait until the server has seen `count` requests, so that a kill hits a working run on a slow machine too."""
    end = time.monotonic() + 10
    while len(requests()) < count and time.monotonic() < end:
        time.sleep(0.005)


def kept() -> set[str]:
    """The questions whose answers the cache holds; nobody has it open."""
    if not (reports.folder / FILE).exists():
        return set()
    with contextlib.closing(sqlite3.connect(reports.folder / FILE)) as db:
        try:
            return {content_of[key] for (key,) in db.execute("SELECT key FROM answers") if key in content_of}
        except sqlite3.OperationalError:  # killed before the table was made
            return set()


while True:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            break
    time.sleep(0.05)
# Once in this process, so that what is imported on first use is there before the forks.
warm = Reports(("w",), ("sinus rhythm",), folder / "warm", "w")
extract_knowledge(warm, OpenAIBackend(settings, warm.folder), options)
warmed = len(requests())
random.seed(5)
asked_again = progressed = 0
for kill in range(KILLS):
    before, seen = kept(), len(requests())
    child = os.fork()
    if child == 0:
        extract_knowledge(reports, OpenAIBackend(settings, reports.folder), options)
        os._exit(0)
    if kill % 2:
        wait_for_requests(seen + random.randint(8, 24))
    else:
        time.sleep(random.uniform(0.0, 0.25))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    time.sleep(0.06)  # what was in flight reaches the server's log
    asked_again += len(before & set(requests()[seen:]))
    progressed += kept() > before
before, seen = kept(), len(requests())
extract_knowledge(reports, OpenAIBackend(settings, reports.folder), options)
asked_again += len(before & set(requests()[seen:]))
mine = requests()[warmed:]
offline = Reports(reports.ids, texts, folder / "offline", "h")
expected = extract_knowledge(offline, LexiconBackend(), options).entities
labels = read_labels(reports.folder / "labels")
complete = labels.names == expected.names and np.array_equal(labels.values, expected.values) and labels.complete.all()
wanted = set(content_of.values())
print(
    json.dumps(
        {
            "kills": KILLS,
            "complete": bool(complete) and wanted <= set(mine),
            "asked_again_although_kept": asked_again,
            "repeats": len([c for c in mine if c in wanted]) - len(wanted),
            "progressed_kills": progressed,
        }
    )
)
