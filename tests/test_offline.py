"""No command uses the network without being asked: all run in a network namespace of their own, which has none.

What a command tries is counted as well: a connection that fails quietly is a connection.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ecgkit.cli import build_app

# A program that runs commands one after the other, and notes each attempt to reach another machine.
PROGRAM = """
import fcntl, json, os, signal, socket, struct, sys, threading
from pathlib import Path

with socket.socket() as lo:  # a page of this machine is no network
    fcntl.ioctl(lo, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
tried = []

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto"):
        tried.append((event, str(arguments[:2])))
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        tried.append((event, str(arguments[1])))

sys.addaudithook(watch)
from ecgkit.cli import main

codes = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["ecgkit", *words]
    print("$", *sys.argv, file=sys.stderr, flush=True)
    stop = threading.Timer(20, os.kill, (os.getpid(), signal.SIGINT))
    if words[0] in ("browse", "demo"):  # Ctrl-C ends them; the demo runs commands that are in this list
        stop.start()
    try:
        main()
        code = 0
    except SystemExit as done:
        code = done.code or 0
    except KeyboardInterrupt:
        code = 130
    stop.cancel()
    codes.append(int(code))
Path("outcome.json").write_text(json.dumps({"codes": codes, "tried": tried}))
"""
SMALL = ("width=16", "depth=1", "heads=1", "head_width=16", "decoder_width=16", "decoder_heads=1")
SET = [word for setting in SMALL for word in ("--set", setting)]
EXTRACTIONS = [f"cohort.zarr/knowledge/{name}" for name in ("labels", "again")]
TRAINED = ["pretrain", "--method", "stmem", "--preset", "tiny", "--data", "cohort.zarr", "--epochs", "1", *SET]
STUDY = Path(__file__).parents[1] / "examples" / "studies" / "merl.yaml"
COMMANDS = [
    *(["--help"], ["--version"], ["status"], ["doctor"], ["methods"], ["encoders"], ["tasks"], ["heads"]),
    *(["datasets"], ["datasets", "ptb-xl"], ["plugins", "list"]),
    ["simulate", "cohort", "--records", "160"],
    ["ingest", "cohort", "--out", "cohort.zarr"],
    ["inspect", "cohort.zarr"],
    ["inspect", "cohort.zarr", "--record", "40369523", "--out", "ecg.png"],
    ["beats", "cohort.zarr"],
    ["beats", "score", "cohort", "--against", "xqrs"],
    ["extract-knowledge", "run", "cohort.zarr"],
    ["extract-knowledge", "prompts", "prompts"],
    ["extract-knowledge", "mentions", "cohort.zarr"],
    ["extract-knowledge", "audit", "cohort.zarr"],
    ["extract-knowledge", "export", "cohort.zarr", "entities.csv"],
    ["extract-knowledge", "run", "cohort.zarr", "--name", "again"],
    ["extract-knowledge", "compare", *EXTRACTIONS],
    ["extract-knowledge", "vote", *EXTRACTIONS, "--name", "voted"],
    ["prepare", "cohort.zarr", "--for", "stmem:tiny"],
    [*TRAINED, "--out", "r"],
    ["probe", "r", "--data", "cohort.zarr", "--task", "simulated", "--out", "p"],
    ["probe", "--method", "kmerl", "--preset", "tiny", "--random-init", "--data", "cohort.zarr", "--task", "simulated"],
    ["embed", "r", "--data", "cohort.zarr", "--out", "features.npz"],
    ["predict", "p", "--data", "cohort"],
    ["explain", "p", "--data", "cohort.zarr", "--record", "40369523", "--out", "why.png"],
    ["browse", "cohort.zarr", "--no-browser", "--port", "0"],
    ["report", "p", "--out", "report.html"],
    ["study", str(STUDY), "--scale", "tiny", "--dry-run"],
    ["export", "r", "--hub", "hub"],
    ["import-weights", "official.pth", "--method", "stmem", "--out", "imported"],
    ["score", "p", "--task", "cinc2021"],
    ["relabel", "cohort.zarr", "labels.csv"],
    *(["runs"], ["runs", "show", "r"], ["runs", "best"], ["runs", "tag", "r", "good"]),
    [*TRAINED, "--out", "runs/gone"],
    ["runs", "delete", "gone", "--yes"],
    ["plugins", "new", "mine", "--out", "mine"],
    ["plugins", "check", "stmem", "--only", "features"],
    ["demo", "--records", "100"],
    ["status"],
]
ENDS = {"browse": {0, 130}, "demo": {0, 130}, "import-weights": {2}, "score": {2}}  # exit codes other than 0
ASKED = {"download"}  # what is there to use the network


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every command of the program that does something, such as ``runs show``."""
    below = getattr(command, "commands", {})
    for name, inner in below.items():
        yield from leaves(inner, (*words, name))
    if words and (not below or command.invoke_without_command):
        yield " ".join(words)


def test_no_command_is_forgotten() -> None:
    known = set(leaves(typer.main.get_command(build_app())))
    run = {name for name in known for words in COMMANDS if words[: name.count(" ") + 1] == name.split()}
    assert run | ASKED == known


@pytest.mark.slow
def test_no_command_uses_the_network(tmp_path: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here (unshare -rn)")
    (tmp_path / "labels.csv").write_text("record_id,report\n40369523,Sinus rhythm.\n")
    (tmp_path / "official.pth").write_bytes(b"no weights")
    done = subprocess.run(
        [*alone, sys.executable, "-P", "-c", PROGRAM, json.dumps(COMMANDS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (tmp_path / "outcome.json").exists(), done.stderr
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert outcome["tried"] == []
    codes = zip(COMMANDS, outcome["codes"], strict=True)
    failed = [(words, code) for words, code in codes if code not in ENDS.get(words[0], {0})]
    assert not failed, done.stderr
