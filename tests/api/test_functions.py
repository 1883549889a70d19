"""Every command is a function of the library: with the command's options, their names and their defaults."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import ecgkit
from ecgkit.cli import build_app
from tests.conftest import PROJECT

# Each command, and the functions that do its work.
FUNCTIONS = {
    "demo": ("run_demo",),
    "simulate": ("simulate_cohort",),
    "datasets": ("list_datasets",),
    "download": ("download_dataset",),
    "inspect": (
        "inspect_store",
        "inspect_record",
        "inspect_quality",
        "inspect_overlap",
        "inspect_reconstruction",
        "inspect_lead_worth",
        "find_records",
        "verify_store",
    ),
    "probe": ("probe", "analyse_layers", "analyse_perturbations", "probe_suite", "probe_table"),
    "report": ("report",),
    "browse": ("browse",),
    "relabel": ("relabel",),
    "status": ("status",),
    "doctor": ("doctor",),
    "runs": ("compare_runs", "list_runs"),
    "runs show": ("show_run",),
    "runs best": ("best_run",),
    "runs tag": ("tag_run",),
    "runs delete": ("delete_runs",),
    "import-weights": ("import_weights",),
    "predict": ("predict",),
    "embed": ("embed",),
    "score": ("score_challenge",),
    "export": ("export_encoder",),
    "methods": ("list_methods",),
    "encoders": ("list_encoders",),
    "tasks": ("list_tasks",),
    "heads": ("list_heads",),
    "plugins list": ("list_plugins",),
    "plugins check": ("check_plugin",),
    "plugins new": ("new_plugin",),
    "extract-knowledge run": ("extract_knowledge",),
    "extract-knowledge compare": ("compare_knowledge",),
    "extract-knowledge audit": ("audit_knowledge", "score_knowledge"),
    "extract-knowledge export": ("export_knowledge",),
    "extract-knowledge vote": ("vote_knowledge",),
    "extract-knowledge mentions": ("write_mentions",),
    "extract-knowledge prompts": ("write_prompts",),
    "beats": ("find_beats",),
    "beats score": ("score_beats",),
    "ingest": ("ingest",),
    "prepare": ("prepare",),
    "explain": ("explain", "explain_cohort"),
    "study": ("study", "plan_study"),
    "pretrain": ("pretrain", "resume_pretraining", "estimate_pretraining"),
}
# Options that only a program has: what is printed, when the exit code is 3, and which function is called.
OF_THE_PROGRAM = {"as_json", "dry_run", "errors", "help", "lead_worth", "quality", "reconstruct", "yes"} | {
    "max_rejected",
    "max_unread",
    "price_in",
    "price_out",
    "slurm",  # it submits the command that was typed
    "slurm_set",
    "slurm_tasks",
    "yes",
}
# The same, of one command alone.
OF_A_PROGRAM = {("inspect", "verify")}
# Arguments whose option has another name, for it chooses the function too.
RENAMED = {("pretrain", "run"): "resume", ("inspect", "run"): "store"}
# Options that choose a function by being given; the function has a default of its own.
CHOOSING = {("probe", "layers"): "all"}
# Arguments that only a function has.
OF_PYTHON = {"announce", "confirm", "notify", "progress", "say", "watcher"}


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command and subcommand by its name, such as ``beats score``."""
    program: Any = typer.main.get_command(build_app())
    for name, command in program.commands.items():
        yield name, command
        for below, subcommand in getattr(command, "commands", {}).items():
            yield f"{name} {below}", subcommand


def plain(value: Any) -> Any:
    """Return a default in a form in which the command's and the function's can be compared."""
    if value is inspect.Parameter.empty or (isinstance(value, str | list | tuple | dict) and not value):
        return None
    return str(value) if isinstance(value, Path) else value


def function(name: str) -> Callable[..., Any]:
    return getattr(ecgkit, name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("command", FUNCTIONS)
def test_a_function_has_the_options_of_its_command(command: str) -> None:
    options_of = dict(commands())[command].params
    given = [p for p in options_of if p.name not in OF_THE_PROGRAM and (command, p.name) not in OF_A_PROGRAM]
    options = {p.name: CHOOSING.get((command, p.name), plain(p.default)) for p in given}
    found: set[str] = set()
    for name in FUNCTIONS[command]:
        parameters = inspect.signature(function(name)).parameters.values()
        taken = [p for p in parameters if p.name not in OF_PYTHON]
        arguments = {RENAMED.get((command, p.name), p.name): plain(p.default) for p in taken}
        assert arguments == {name: options.get(name, "no such option") for name in arguments}
        found |= set(arguments)
    assert found == set(options)


@pytest.mark.parametrize("name", [name for names in FUNCTIONS.values() for name in names])
def test_a_function_says_what_it_does(name: str) -> None:
    text = inspect.getdoc(function(name)) or ""
    described = text.partition("Args:\n")[2]
    for parameter in inspect.signature(function(name)).parameters:
        assert f"    {parameter}: " in described, parameter


def test_the_page_names_the_functions_of_every_command() -> None:
    page = (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z -]+)` \| (`.*`) \|$", page, flags=re.MULTILINE)
    listed = {command: tuple(re.findall(r"`(\w+)`", names)) for command, names in rows}
    assert {command: names for command, names in listed.items() if command in FUNCTIONS} == FUNCTIONS
    groups = {name.split()[0] for name, _ in commands() if " " in name} - set(FUNCTIONS)
    assert {name for name, _ in commands()} - groups == set(FUNCTIONS)


def test_all_names_can_be_imported() -> None:
    for name in ecgkit.__all__:
        assert getattr(ecgkit, name) is not None
    assert set(ecgkit._LAZY) <= set(ecgkit.__all__)


def test_no_module_takes_the_name_of_a_function() -> None:
    """Importing ``ecgkit.NAME`` would put the module in the function's place."""
    folder = Path(ecgkit.__file__).parent
    taken = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert not taken & set(ecgkit._LAZY)


def test_importing_ecgkit_imports_nothing_heavy() -> None:
    code = "import sys, ecgkit; print([m for m in ('numpy', 'torch', 'pandas', 'zarr') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
