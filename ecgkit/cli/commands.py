"""The commands that ecgkit ships, in the order in which a user needs them."""

from collections.abc import Callable

from ecgkit.entries import CommandEntry
from ecgkit.hookspecs import hookimpl

COMMANDS = {
    "status": ("show what this folder holds, and the next command", "status:status"),
    "demo": ("run every stage on a simulated cohort and write a report", "demo:demo"),
    "simulate": ("write a synthetic 12-lead cohort in the MIMIC-IV-ECG layout", "simulate:simulate"),
    "datasets": ("list published archives: size, leads, licence, citation", "datasets:datasets"),
    "download": ("download an archive from PhysioNet, and verify it", "download:download"),
    "ingest": ("convert a downloaded dataset into a store", "ingest:ingest"),
    "inspect": ("show what a store holds, or draw one of its records", "inspect:inspect"),
    "browse": ("look through the records of a store on a local page", "browse:browse"),
    "relabel": ("change labels or other facts of a store, with a log", "relabel:relabel"),
    "beats": ("find the R peaks of a store, or evaluate a detector", "beats:app"),
    "extract-knowledge": ("extract cardiac entities from reports", "extract_knowledge:app"),
    "prepare": ("make what a method reads from a store, before a training", "prepare:prepare"),
    "pretrain": ("pretrain a method on a store", "pretrain:pretrain"),
    "runs": ("list, compare, tag and delete runs", "runs:app"),
    "import-weights": ("make a run folder from published weights", "import_weights:import_weights"),
    "probe": ("evaluate an encoder on a task", "probe:probe"),
    "study": ("pretrain and probe a grid from one file", "study:study"),
    "embed": ("write the features of the records of a store, folder or file", "embed:embed"),
    "predict": ("predict the records of a store, folder or file with fitted probes", "predict:predict"),
    "explain": ("show which leads and moments make a result's classifier decide", "explain:explain"),
    "score": ("compute PhysioNet/CinC Challenge scores", "score:score"),
    "export": ("export a trained encoder to ONNX or a model hub folder", "export:export"),
    "report": ("make one HTML page from results", "report:report"),
    "methods": ("list method families with their inputs, presets and papers", "methods:methods"),
    "encoders": ("list the presets of each method: input, size, epochs", "listing:encoders"),
    "tasks": ("list tasks, and which of them fit a store", "listing:tasks"),
    "heads": ("list heads, and which of them fit a run", "listing:heads"),
    "doctor": ("check the installation, and what is missing for which command", "doctor:doctor"),
    "plugins": ("list plugins, check one, or create a new one", "plugins:app"),
}


@hookimpl
def register_commands(register: Callable[[CommandEntry], None]) -> None:
    """Register the commands."""
    for name, (summary, target) in COMMANDS.items():
        register(CommandEntry(name=name, summary=summary, target=f"ecgkit.cli.{target}"))
