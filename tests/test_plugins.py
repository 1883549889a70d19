"""The host with real entry points: packages and dist-infos written to a folder on ``sys.path``."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecgkit import hookspecs
from ecgkit.entries import CommandEntry, MethodEntry, TaskEntry
from ecgkit.errors import PluginError
from ecgkit.plugins import Host

GOOD = """
import ecgkit

@ecgkit.hookimpl
def register_methods(register):
    register(ecgkit.MethodEntry(name="{name}", summary="s", target="nowhere:X", config="n:C", presets="n:P", paper="p"))
"""
HEAD_AS_METHOD = GOOD.replace(
    'MethodEntry(name="{name}", summary="s", target="nowhere:X", config="n:C", presets="n:P", paper="p")',
    'HeadEntry(name="{name}", summary="s", target="n:H")',
)
BROKEN = {
    "raises": "raise RuntimeError('boom\\nsecond line')",
    "exits": "raise SystemExit(3)",
    "syntax": "def broken(:",
    "wrongsig": "import ecgkit\n@ecgkit.hookimpl\ndef register_methods(register, extra):\n    pass\n",
    "unknownhook": "import ecgkit\n@ecgkit.hookimpl\ndef register_nonsense(register):\n    pass\n",
    "hookraises": "import ecgkit\n@ecgkit.hookimpl\ndef register_methods(register):\n    1 / 0\n",
    "wrongkind": HEAD_AS_METHOD.format(name="x"),
    "ownexception": "class Stop(BaseException):\n    pass\nraise Stop('now')",
    "noname": GOOD.format(name=""),
    "numbername": GOOD.replace('"{name}"', "7"),
    "nosummary": GOOD.format(name="x").replace('summary="s"', 'summary=" "'),
    "nonetarget": GOOD.format(name="x").replace('target="nowhere:X"', "target=None"),
    "priority": """
import ecgkit

@ecgkit.hookimpl
def register_datasets(register):
    register(ecgkit.DatasetEntry(name="x", summary="s", target="n:D", priority="high"))
""",
    "takenname": GOOD.format(name="stmem"),
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Install a one-module plugin: its name is module and entry point, its distribution ``dist-NAME``."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def write(name: str, code: str) -> None:
        (tmp_path / f"{name}_plugin.py").write_text(code)
        info = tmp_path / f"dist_{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[ecgkit]\n{name} = {name}_plugin\n")
        made.append(f"{name}_plugin")
        importlib.invalidate_caches()

    yield write
    for module in made:
        sys.modules.pop(module, None)


def test_our_families_come_in_through_entry_points() -> None:
    host = Host()
    assert host.get(MethodEntry, "stmem").target == "ecgkit_stmem.model:StMem"
    assert host.owner(host.get(MethodEntry, "stmem")).distribution == "ecgkit-learn"
    assert [p.name for p in host.plugins if p.error] == []


def test_a_good_stranger_is_listed_with_its_distribution(install) -> None:
    install("good", GOOD.format(name="mine"))
    host = Host()
    plugin = host.owner(host.get(MethodEntry, "mine"))
    assert (plugin.distribution, plugin.version, plugin.registers) == ("dist-good", "1.2", {"method": ["mine"]})


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_named_and_nothing_else_breaks(install, kind: str) -> None:
    install(kind, BROKEN[kind])
    install("zgood", GOOD.format(name="mine"))
    host = Host()
    broken = next(p for p in host.plugins if p.name == kind)
    assert broken.distribution == f"dist-{kind}"
    assert broken.error
    assert "\n" not in broken.error
    assert broken.registers == {}
    assert {"stmem", "mine"} <= set(host.entries(MethodEntry))
    assert "zgood" in [p.name for p in host.plugins if not p.error]


def test_a_plugin_with_one_taken_name_registers_nothing(install) -> None:
    second = GOOD.format(name="stmem").splitlines()[-1]
    install("half", GOOD.format(name="fresh") + second)  # sorts before ours: a stranger must not win by its name
    host = Host()
    assert "registered already, by stmem" in next(p for p in host.plugins if p.name == "half").error
    assert "fresh" not in host.entries(MethodEntry)


def test_an_entry_of_a_kind_of_its_own_is_still_of_its_kind(install) -> None:
    code = GOOD.format(name="mine").replace("ecgkit.MethodEntry(", "Special(")
    install("special", "import ecgkit\nclass Special(ecgkit.MethodEntry):\n    pass\n" + code)
    host = Host()
    assert host.owner(host.get(MethodEntry, "mine")).name == "special"


def test_restriction_loads_only_what_it_names(install) -> None:
    install("good", GOOD.format(name="mine"))
    assert "stmem" not in Host({"good"}).entries(MethodEntry)
    assert Host(set()).entries(MethodEntry) == {}
    assert Host(set()).entries(CommandEntry)
    absent = next(p for p in Host({"good", "absent"}).plugins if p.name == "absent")
    assert "not installed" in absent.error


def test_unknown_names_get_the_nearest_one() -> None:
    with pytest.raises(PluginError, match="Did you mean 'stmem'"):
        Host().get(MethodEntry, "stmen")
    with pytest.raises(PluginError, match="Did you mean 'ptbxl-super'"):
        Host().get(TaskEntry, "ptbxl_super")


def test_every_hook_is_documented() -> None:
    hooks = [f for name, f in vars(hookspecs).items() if name.startswith("register_")]
    assert len(hooks) == 15
    for hook in hooks:
        assert hook.__doc__
        assert "register" in hook.__annotations__


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


PROGRAM = """
import sys, json
sys.argv = ["ecgkit"] + json.loads({arguments!r})
from ecgkit.cli import main
try:
    main()
except SystemExit as stop:
    print("EXIT", stop.code)
print("HEAVY", [m for m in ("torch", "neurokit2", "wfdb", "zarr", "sklearn", "aiohttp", "pandas", "scipy", "numpy",
                            "matplotlib") if m in sys.modules])
"""


@pytest.mark.parametrize("arguments", [["--help"], ["pretrain", "--help"], ["plugins", "list"], ["--version"]])
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    result = run_python(PROGRAM.format(arguments=json.dumps(arguments)))
    assert "EXIT 0" in result.stdout, result.stderr
    assert "HEAVY []" in result.stdout


def test_methods_lists_without_importing_a_model() -> None:
    result = run_python(PROGRAM.format(arguments='["methods"]'))
    assert "2402.09450" in result.stdout
    assert "torch" not in result.stdout.split("HEAVY")[1]


def test_without_plugins_the_program_still_answers() -> None:
    result = run_python(PROGRAM.format(arguments='["methods", "--json"]'), ECGKIT_PLUGINS="")
    assert "EXIT 0" in result.stdout
    assert json.loads(result.stdout.split("EXIT")[0]) == []


COMMANDS = """
import ecgkit
print("hello from a plugin")

class Weird:
    pass

def bad_signature(value: "Weird[int]"):
    pass

def fine():
    "Do it."
    print("did it")

number = 7

@ecgkit.hookimpl
def register_commands(register):
    for name, target in (
        ("fine", "fine"), ("absent", "nothing"), ("number", "number"), ("weird", "bad_signature"),
    ):
        register(ecgkit.CommandEntry(name=name, summary=f"[/red] {name} [bold", target=f"cmds_plugin:{target}"))
    register(ecgkit.CommandEntry(name="exits", summary="s", target="exiting_module:x"))
"""


def test_a_broken_command_is_left_out_and_listed(install, tmp_path: Path) -> None:
    install("cmds", COMMANDS)
    (tmp_path / "exiting_module.py").write_text("raise SystemExit(5)\n")
    path = {"PYTHONPATH": str(tmp_path)}
    helped = run_python(PROGRAM.format(arguments='["--help"]'), **path)
    assert "EXIT 0" in helped.stdout, helped.stderr
    assert "[/red] fine [bold" in helped.stdout
    listed = run_python(PROGRAM.format(arguments='["plugins", "list", "--json"]'), **path)
    plugins = {p["plugin"]: p for p in json.loads(listed.stdout.split("EXIT")[0])}
    for name in ("absent", "number", "weird", "exits"):
        assert f"command {name}: " in plugins["cmds"]["error"]
    assert "fine" not in plugins["cmds"]["error"].split("command ")[0]
    assert "hello from a plugin" in listed.stderr
    assert "did it" in run_python(PROGRAM.format(arguments='["fine"]'), **path).stdout


@pytest.mark.slow
def test_methods_lists_the_others_when_one_has_no_presets(install, tmp_path: Path) -> None:
    install("good", GOOD.format(name="mine"))
    result = run_python(PROGRAM.format(arguments='["methods", "--json"]'), PYTHONPATH=str(tmp_path))
    presets = {row["method"]: row["presets"] for row in json.loads(result.stdout.split("EXIT")[0])}
    assert "not loadable: " in presets["mine"]
    assert "not loadable" not in presets["stmem"]


@pytest.mark.parametrize("target", ["nowhere:X", "ecgkit.leads:nothing", "no path at all"])
def test_an_entry_that_does_not_load_is_named(target: str) -> None:
    entry = MethodEntry(name="mine", summary="s", target=target, config="n:C", presets="n:P", paper="p")
    with pytest.raises(PluginError, match=f"method 'mine' cannot be loaded from {target!r}"):
        entry.load()
