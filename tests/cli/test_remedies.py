"""An error names only options that the command which raises it has.

Most texts are found in the source: every text of an error of `ecgkit.errors`, with the commands that reach the module.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import ecgkit as library
from ecgkit import errors
from ecgkit.cli import build_app
from tests.api.runs import make_run
from tests.cli.test_habits import ALL

SOURCE = Path(library.__file__).parent
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
EXTRACT = ("extract-knowledge",)
# The commands that raise the errors of a part of the source, by the beginnings of their names; the longest path counts.
COMMANDS: dict[str, tuple[str, ...]] = {
    "api/beats.py": ("beats",),
    "api/demo.py": ("demo",),
    "api/download.py": ("download",),
    "api/explain.py": ("explain",),
    "api/export.py": ("export",),
    "api/import_weights.py": ("import-weights",),
    "api/ingest.py": ("ingest",),
    "api/inspect.py": ("inspect",),
    "api/lead_worth.py": ("inspect",),
    "api/extractions.py": EXTRACT,
    "api/knowledge.py": EXTRACT,
    "api/pretrain.py": ("pretrain",),
    "api/training.py": ("pretrain",),
    "api/probe.py": ("probe",),
    "api/analysis.py": ("probe",),
    "api/suite.py": ("probe",),
    "api/relabel.py": ("relabel",),
    "api/report.py": ("report",),
    "api/reconstruction.py": ("inspect",),
    "api/runs.py": ("runs",),
    "api/score.py": ("score",),
    "beats": ("beats",),
    "knowledge": EXTRACT,
    "download": ("download",),
    "download/hub.py": ("export",),
    "datasets": ("ingest", "beats score", "score"),
    "ingestion": ("ingest",),
    "simulate": ("simulate",),
    "training": ("pretrain",),
    "training/hub.py": ("import-weights",),
    "training/workers.py": ("probe", "predict", "embed"),
    "text": ("pretrain", "ingest"),
    "evaluation": ("probe",),
    "evaluation/analyses/attention.py": ("explain",),
    "evaluation/analyses/attribution.py": ("explain",),
    "evaluation/analyses/explanation.py": ("explain",),
    "evaluation/analyses/lead_worth.py": ("inspect",),
    "evaluation/probe/classifier.py": ("predict", "explain"),
    "inference": ("predict", "embed"),
    "evaluation/scores/challenge": ("score",),
    "export": ("export",),
    "scaffold": ("plugins new",),
    "workspace/registry.py": ("runs",),
}
# Options of another command, which the text names with that command in words that the test does not read.
ELSEWHERE = {
    ("unfinished.py", "--overwrite"): "every command with unfinished work, but views, which are always replaced",
    ("unfinished.py", "--out"): "the default of an argument",
    ("atomic.py", "--overwrite"): "every command that does not replace its output by itself",
    ("atomic.py", "--out"): "the default of an argument",
    ("executor.py", "--workers"): "every command with worker processes",
}


def texts() -> Iterator[tuple[str, int, str]]:
    """File, line and text of every error, with the parts of a formatted text joined."""
    for file in sorted(SOURCE.rglob("*.py")):
        name = file.relative_to(SOURCE).as_posix()
        if name.startswith(("scaffold/templates", "testing/")):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = getattr(getattr(node, "func", None), "id", "")
            if isinstance(node, ast.Call) and called in ERRORS:
                for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    pieces = [
                        n.value for n in ast.walk(value) if isinstance(n, ast.Constant) and isinstance(n.value, str)
                    ]
                    yield name, node.lineno, " ".join(pieces)


def options_of(beginnings: tuple[str, ...]) -> set[str]:
    """The options of all commands whose names begin so."""
    named = [command for name, command in COMMANDS_AND_GROUPS.items() if name.startswith(beginnings)]
    return {option for command in named for parameter in command.params for option in parameter.opts}


PROGRAM = typer.main.get_command(build_app())
COMMANDS_AND_GROUPS = {**ALL, **PROGRAM.commands}  # type: ignore[attr-defined]  # a group, such as beats, has options
FOUND = [found for found in texts() if OPTION.search(found[2])]
EVERY = options_of(tuple(ALL)) | {"--help"}


def test_the_errors_that_name_options_are_found() -> None:
    assert len(FOUND) > 80
    assert all(options_of(beginnings) for beginnings in COMMANDS.values())


@pytest.mark.parametrize(("file", "line", "text"), FOUND, ids=lambda value: str(value)[:40])
def test_an_error_names_only_options_that_its_command_has(file: str, line: int, text: str) -> None:
    named = re.search(r"(?:ecgkit |')?\b(" + "|".join(sorted(ALL, key=len, reverse=True)) + r")\b[^.]*?--", text)
    places = [place for place in COMMANDS if file == place or file.startswith(f"{place}/")]
    commands = COMMANDS[max(places, key=len)] if places else tuple(ALL)
    if file.startswith("cli/"):
        commands = tuple(ALL)
    allowed = options_of((*commands, *((named.group(1),) if named else ()))) | {"--help"}
    for option in OPTION.findall(text):
        assert option in EVERY, f"no command has {option}: {text}"
        if (file, option) not in ELSEWHERE:
            assert option in allowed, f"{file}:{line}: {', '.join(commands)} has no {option}: {text}"


def test_an_output_that_exists_is_told_with_the_option_that_names_it(
    ecgkit, cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECGKIT_EXTRACT_KNOWLEDGE_RUN_MIN_COUNT", "1")
    (tmp_path / "there").mkdir()
    run = make_run(tmp_path / "run", "lamae")
    told = {
        "OUT": ecgkit("simulate", tmp_path / "there", "--records", 12),
        "--hub": ecgkit("export", run, "--hub", tmp_path / "there"),
        "--out": ecgkit("ingest", tmp_path / "there", "--out", tmp_path / "there"),
    }
    for option, done in told.items():
        assert done.code == 2
        assert (
            f"{tmp_path / 'there'} already exists. Give another {option}, or replace it with --overwrite." in done.err
        )


def test_a_method_without_labels_refuses_a_task_and_one_with_labels_says_how_to_find_it(
    ecgkit, cohort_store: Path, tmp_path: Path
) -> None:
    common = ("--preset", "tiny", "--data", cohort_store, "--out", tmp_path / "r")
    refused = ecgkit("pretrain", "--method", "stmem", "--task", "simulated", *common)
    assert refused.code == 2
    assert "--task simulated with stmem, whose training uses no labels. Leave --task out." in refused.err
    missing = ecgkit("pretrain", "--method", "hierarchical", *common)
    assert missing.code == 2
    assert "no task is named" in missing.err and f"ecgkit tasks --data {cohort_store}" in missing.err
    assert "holds no labels" not in missing.err
    assert not (tmp_path / "r").exists()


def test_an_encoder_without_a_classifier_is_not_told_of_heads_where_there_is_no_such_option(
    ecgkit, cohort_store: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", "lamae")
    done = ecgkit("inspect", run, "--lead-worth", "--task", "simulated", "--data", cohort_store)
    assert done.code == 2
    assert "head" not in done.err
