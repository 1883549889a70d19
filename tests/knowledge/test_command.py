"""``ecgkit extract-knowledge`` as a user types it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.knowledge.conftest import TEXTS


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [f'{i},"{text}"' for i, text in enumerate(TEXTS * 2)]
    (tmp_path / "r.csv").write_text("id,report\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path / "r.csv"


def test_offline_audited_compared_and_relabelled(ecgkit, table: Path) -> None:
    folder = table.with_name("r.knowledge")
    done = ecgkit("extract-knowledge", table, "--min-count", 2, "--audit", 5)
    assert done.code == 0, done.err
    assert "16 records (14 with a report)" in done.out and "calls saved" in done.out
    assert (folder / "audit-labels.html").is_file() and (folder / "labels" / "zarr.json").is_file()
    again = ecgkit("extract-knowledge", table, "--min-count", 2)
    assert again.code == 2 and "--overwrite" in again.err
    vocabulary = folder / "labels" / "vocabulary.yaml"
    vocabulary.write_text(
        vocabulary.read_text().replace("atrial fibrillation:", "irregular rhythm:\n    aliases: [atrial fibrillation]")
    )
    edited = ecgkit("extract-knowledge", table, "--min-count", 2, "--vocabulary", vocabulary)
    assert edited.code == 0, edited.err
    assert "irregular rhythm" in edited.out and "atrial fibrillation" not in edited.out
    kept = folder / "labels-vocabulary-kept-1.yaml"
    assert not kept.exists(), "the edit is in the new vocabulary"
    assert ecgkit("extract-knowledge", table, "--min-count", 2, "--name", "other").code == 0
    compared = ecgkit("extract-knowledge", "compare", folder / "labels", folder / "other", "--json")
    assert compared.code == 0, compared.err
    assert json.loads(compared.out)["only_a"] == ["irregular rhythm"]
    assert "kappa" in ecgkit("extract-knowledge", "compare", folder / "labels", folder / "other").out
    assert ecgkit("extract-knowledge", "audit", table, "--sample", 2, "--name", "other").code == 0
    mine = vocabulary.read_text().replace("irregular rhythm", "flutter like")
    vocabulary.write_text(mine)
    anew = ecgkit("extract-knowledge", table, "--min-count", 2, "--overwrite")
    assert anew.code == 0, anew.err
    assert kept.read_text() == mine and str(kept) in "".join(anew.out.split("\n"))


@pytest.mark.slow  # starts processes
def test_workers_change_nothing_and_ask_no_server(ecgkit, table: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("ecgkit.knowledge.in_parts.PART_TEXTS", 3)
    files = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        done = ecgkit("extract-knowledge", table, "--min-count", 1, "--workers", workers, "--out", out)
        assert done.code == 0, done.err
        files.append({str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert files[0] == files[1] and len(files[0]) > 5
    for option in (("--workers", 2), ("--dask", "tcp://127.0.0.1:1")):
        model = ("--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--name", "other")
        done = ecgkit("extract-knowledge", table, *model, *option)
        assert done.code == 2 and f"{option[0]} {option[1]} is for a backend that computes" in done.err
        assert "--concurrency" in done.err and len(done.err.splitlines()) == 1


def test_a_server_that_is_lost_is_told_in_the_summary(ecgkit, server, table: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    command = ("--base-url", nobody, "--base-url", server.url, "--model", "m", "--min-count", 1, "--retries", 0)
    done = ecgkit("extract-knowledge", table, *command, "--json")
    assert done.code == 0, done.err
    assert f"warning: the server at {nobody[7:-3]} does not answer" in done.err
    assert "The other servers answered its questions" in done.err
    assert list(json.loads(done.out)["lost_servers"]) == [nobody]


def test_a_store_with_a_server(ecgkit, server, cohort_store: Path, tmp_path: Path) -> None:
    import shutil

    store = shutil.copytree(cohort_store, tmp_path / "s.zarr")
    command = ("extract-knowledge", store, "--base-url", server.url, "--model", "m", "--min-count", 5, "--price-in", 1)
    done = ecgkit(*command)
    assert done.code == 0, done.err
    assert "requests" in done.out and "estimate" in done.out and "cost" in done.out
    assert len(server.bodies) < 120  # one a unique statement, not one a record
    before = len(server.bodies)
    assert ecgkit(*command, "--overwrite").code == 0
    assert len(server.bodies) == before


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--base-url", "https://api.openai.com/v1", "--model", "m"], "--allow-remote"),
        (["--base-url", "http://localhost:1/v1"], "--model"),
        (["--backend", "openai"], "--base-url"),
        (["--backend", "lexikon"], "Did you mean 'lexicon'?"),
        (["--report-columns", "text"], "lacks column"),
        (["--unit", "word"], "statement or report"),
        (["--vocabulary", "nowhere.yaml"], "cannot be read"),
        (["--name", "../x"], "letters"),
    ],
)
def test_bad_input_is_one_line(ecgkit, table: Path, extra, message) -> None:
    done = ecgkit("extract-knowledge", table, *extra)
    assert done.code == 2 and message in done.err, done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not table.with_name("r.knowledge").exists()


def test_help_shows_the_options_of_the_default(ecgkit) -> None:
    done = ecgkit("extract-knowledge", "--help")
    assert done.code == 0 and "--base-url" in done.out and "compare" in done.out
    assert "--json" in ecgkit("extract-knowledge", "compare", "--help").out


NEEDED = ("transformers", "tokenizers", "accelerate", "fastapi", "openai", "uvicorn")
# Makes the model and serves it, in one process.
SERVE = """
import sys, torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
torch.manual_seed(0)
bpe = Tokenizer(models.BPE())
bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
letters = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=280, special_tokens=["<s>", "</s>"], initial_alphabet=letters)
bpe.train_from_iterator(["sinus rhythm"], trainer)
template = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}<s>assistant: "
tokens = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", chat_template=template)
config = LlamaConfig(vocab_size=len(tokens), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                     num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=16384, bos_token_id=0,
                     eos_token_id=1)
LlamaForCausalLM(config).save_pretrained(sys.argv[1])
tokens.save_pretrained(sys.argv[1])
from transformers.cli.transformers import main
sys.argv = ["transformers", "serve", sys.argv[1], "--port", sys.argv[2]]
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(any(find_spec(name) is None for name in NEEDED), reason=f"needs {', '.join(NEEDED)}")
def test_a_real_model_server_that_ignores_the_schema_is_known_by_its_answers(tmp_path: Path) -> None:
    """A random Llama behind ``transformers serve``: the real protocol, and noise in every answer."""
    from ecgkit.errors import EndpointError
    from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
    from ecgkit.knowledge.reports import Reports

    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    weights = tmp_path / "llama"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, str(weights), str(port)]
    served = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", served)
        texts = ("sinus rhythm", "atrial fibrillation")
        from ecgkit.knowledge.endpoint.backend import OpenAIBackend
        from ecgkit.knowledge.endpoint.settings import ModelSettings, OpenAISettings, ServerSettings

        servers = ServerSettings((f"http://127.0.0.1:{port}/v1",), timeout=60.0, retries=0, concurrency=1)
        backend = OpenAIBackend(OpenAISettings(ModelSettings(str(weights), max_tokens=12), servers), tmp_path / "k")
        reports = Reports(("1", "2"), texts, tmp_path / "k", "h")
        with pytest.raises(EndpointError, match="within 12 tokens"):
            extract_knowledge(reports, backend, ExtractOptions(min_count=1))
    finally:
        served.kill()
        served.wait()
    # Status 200 to every format, and no answer in any: three formats are tried, and no report is sent.
    assert (backend.counters.requests, backend.counters.answers) == (3, 3)
    assert backend.counters.prompt_tokens > 500 and backend.counters.completion_tokens > 0


def wait_for(url: str, process: subprocess.Popen) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server did not start"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not answer")
