"""The commands that ecgkit brings along, in the order of an ECG's way through it."""

from collections.abc import Callable

from ecgkit.entries import CommandEntry
from ecgkit.hookspecs import hookimpl

COMMANDS = {
    "demo": ("run every stage on a simulated cohort and write a report", "demo:demo"),
    "simulate": ("write a synthetic 12-lead cohort in the MIMIC-IV-ECG layout", "simulate:simulate"),
    "ingest": ("take a dataset as downloaded into a store", "ingest:ingest"),
    "inspect": ("show what a store holds, or draw one of its records", "inspect:inspect"),
    "beats": ("find the R peaks of a store, or judge a detector", "beats:app"),
    "extract-knowledge": ("turn reports into cardiac entities, offline or by a model", "extract_knowledge:app"),
    "pretrain": ("train a method on a store", "pretrain:pretrain"),
    "runs": ("compare the curves of trainings", "runs:runs"),
    "import-weights": ("make a run folder from published weights", "import_weights:import_weights"),
    "probe": ("judge an encoder by a task", "probe:probe"),
    "score": ("score a program as the PhysioNet/CinC Challenges do", "score:score"),
    "export": ("write a trained encoder as ONNX, or for a model hub", "export:export"),
    "report": ("make one HTML page from results", "report:report"),
    "methods": ("list method families, what they need, and their papers", "methods:methods"),
    "plugins": ("list plugins, check one, or begin one of your own", "plugins:app"),
}


@hookimpl
def register_commands(register: Callable[[CommandEntry], None]) -> None:
    """Register the commands."""
    for name, (summary, target) in COMMANDS.items():
        register(CommandEntry(name=name, summary=summary, target=f"ecgkit.cli.{target}"))
