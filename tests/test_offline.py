"""No command uses the network without being asked: all run in a network namespace of their own, which has none.

What a command tries is counted as well: a connection that fails quietly is a connection.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# A program that runs commands one after the other, and notes each attempt to reach another machine.
PROGRAM = """
import json, sys
from pathlib import Path

tried = []

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        tried.append((event, str(arguments[:2])))
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        tried.append((event, str(arguments[1])))

sys.addaudithook(watch)
from ecgkit.cli import main

codes = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["ecgkit", *words]
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    codes.append(int(code))
Path("outcome.json").write_text(json.dumps({"codes": codes, "tried": tried}))
"""
SMALL = ("width=16", "depth=1", "heads=1", "head_width=16", "decoder_width=16", "decoder_heads=1")
SET = [word for setting in SMALL for word in ("--set", setting)]
COMMANDS = [
    *(["--help"], ["--version"], ["status"], ["doctor"], ["methods"], ["encoders"], ["tasks"], ["heads"]),
    *(["datasets"], ["datasets", "ptb-xl"], ["plugins", "list"]),
    ["simulate", "cohort", "--records", "160"],
    ["ingest", "cohort", "--out", "cohort.zarr"],
    ["inspect", "cohort.zarr"],
    ["beats", "cohort.zarr"],
    ["extract-knowledge", "cohort.zarr"],
    ["prepare", "cohort.zarr", "--for", "stmem"],
    ["pretrain", "--method", "stmem", "--preset", "tiny", "--data", "cohort.zarr", "--epochs", "1", "--out", "r", *SET],
    ["probe", "r", "--data", "cohort.zarr", "--task", "simulated", "--out", "p"],
    ["report", "p", "--out", "report.html"],
    ["export", "r", "--hub", "hub"],
    ["runs"],
    ["runs", "show", "r"],
    ["status"],
]


@pytest.mark.slow
def test_no_command_uses_the_network(tmp_path: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here (unshare -rn)")
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
    failed = [words for words, code in zip(COMMANDS, outcome["codes"], strict=True) if code]
    assert not failed, done.stderr
