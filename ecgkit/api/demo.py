"""The demo: every stage of ecgkit on a simulated cohort, up to one HTML report, without a network.

Each stage is the library call of one command. A stage whose output exists is skipped, so a stopped demo continues where
it stopped. A method family takes part through the `demo` field of its `MethodEntry`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ecgkit.api.arguments import PathLike
from ecgkit.config import override, read_yaml, write_yaml
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError, OutputError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.row import ROW, find_rows
from ecgkit.evaluation.suites.places import Places
from ecgkit.ingestion import ingest
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import DEFAULT_NAME
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import of_store
from ecgkit.methods import method_config
from ecgkit.plugins import host
from ecgkit.progress import Progress, silent
from ecgkit.reporting.page.write import write_report
from ecgkit.reporting.pictures.ecg import plot_ecg
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store
from ecgkit.training.loop import PretrainOptions, Watcher, pretrain
from ecgkit.wording import percent

SETTINGS = "demo.yaml"
TASK = "simulated"
HEAD = "linear"

Say = Callable[[str], None]


def run_demo(
    out: PathLike = "ecgkit-demo",
    *,
    records: int = 1000,
    seed: int = 0,
    say: Say = lambda line: None,
    progress: Progress = silent,
) -> Path:
    """Run every stage on a simulated cohort and write a report.

    The demo needs no network and takes a few minutes on two CPU cores. If it is stopped, the same call continues where
    it stopped.

    Args:
        out: Folder for all output of the demo.
        records: Number of simulated ECGs.
        seed: Seed of all random numbers.
        say: Called with one line per stage.
        progress: Called with stage, units done and units in all.

    Returns:
        The report, an HTML page.

    Raises:
        OutputError: `out` holds something else, or a demo with other arguments.
    """
    out = Path(out)
    _claim(out, {"records": records, "seed": seed})
    cohort, store_path, runs = out / "cohort", out / "cohort.zarr", out / "runs"
    if not cohort.exists():
        say(f"simulate {records} ECGs with reports -> {cohort}")
        simulate_cohort(cohort, records=records, seed=seed, progress=lambda d, n: progress("simulate", d, n))
    if not store_path.exists():
        say(f"ingest -> {store_path}")
        ingest(cohort, store_path, progress=progress)
    store = Store(store_path)
    _extract_entities(store, say, progress)
    say(f"draw a record of every kind -> {out / 'ecg'}")
    _draw_examples(store, out / "ecg")
    for entry in host().entries(MethodEntry).values():
        if entry.demo is not None:
            _run_method(entry, entry.demo, store, runs, seed, say, progress)
    report = out / "report.html"
    say(f"report -> {report}")
    write_report(find_rows([runs]), report, title="ecgkit demo: simulated ECGs")
    return report


def _claim(out: Path, wanted: dict[str, int]) -> None:
    """Claim a new or empty folder for these settings, or continue in a folder of the same settings."""
    file = out / SETTINGS
    if file.exists() and read_yaml(file) != wanted:
        raise OutputError(f"{out} holds a demo with other settings", f"{wanted}", "Use another --out.")
    if not file.exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is not empty", "", "Use a new folder for --out.")
    out.mkdir(parents=True, exist_ok=True)
    write_yaml(file, wanted)


def _extract_entities(store: Store, say: Say, watch: Progress) -> None:
    """Extract entities by the offline lexicon, and keep those present in at least 1 % of the reports."""
    reports = of_store(store)
    if (reports.folder / DEFAULT_NAME).exists():
        return
    done = extract_knowledge(reports, LexiconBackend(), ExtractOptions(min_count=max(1, len(reports) // 100)), watch)
    say(f"read {done.texts} unique statements of {done.with_report} reports: {len(done.entities.names)} entities")


def _draw_examples(store: Store, folder: Path) -> None:
    """Draw the first record of every label."""
    drawn = set()
    for row, labels in enumerate(store.table["labels"]):
        new = [code for code in labels if code not in drawn]
        drawn.update(new)
        file = folder / f"{store.table['record_id'].iloc[row]}.png"
        if new and not file.exists():
            recording = store.recording(row)
            report = str(store.table["report"].iloc[row]).replace("\n", "; ")
            plot_ecg(recording, file, title=f"simulated {file.stem}", subtitle=report, rpeaks=recording.rpeaks)


def _run_method(
    entry: MethodEntry, demo: Mapping[str, Any], store: Store, runs: Path, seed: int, say: Say, watch: Progress
) -> None:
    """Pretrain a family, and probe it and its random initialisation."""
    unknown = set(demo) - {"preset", "set"}
    if unknown:
        raise ConfigError(
            f"the demo field of method {entry.name} has unknown keys {', '.join(sorted(unknown))}", "preset and set"
        )
    preset, config = method_config(entry, str(demo["preset"]))
    config = override(config, demo.get("set", ()))
    run = runs / f"{entry.name}-{preset}"
    if not run.exists():
        say(f"pretrain {entry.name} ({preset}, {config.recipe.epochs} epochs) -> {run}")
        watcher = Watcher(
            prepare=lambda stage, done, total: watch(f"{entry.name} {stage}", done, total),
            step=lambda done, total: watch(f"{entry.name} steps", done, total),
        )
        pretrain(entry, config, store, run, PretrainOptions(preset, seed, resume=True), watcher)
    for encoder, parent in (
        (EncoderChoice(run=str(run)), run),
        (
            EncoderChoice(method=entry.name, weights="random-init", preset=preset, settings=tuple(demo.get("set", ()))),
            runs / f"{entry.name}-{preset}-random-init",
        ),
    ):
        _probe(ProbeRequest(str(store.path), TASK, encoder, head=HEAD, seed=seed, cache=None), parent, say, watch)


def _probe(request: ProbeRequest, parent: Path, say: Say, watch: Progress) -> None:
    folder = parent / "probes" / Places().name(request)
    if (folder / ROW).exists():
        return
    say(f"probe {parent.name} on {TASK}")
    row = Probe(request, progress=lambda stage, done, total: watch(f"{parent.name} {stage}", done, total)).run(folder)
    if row.macro_auroc is not None and row.macro_interval is not None:
        low, high = row.macro_interval
        say(f"    macro AUROC {percent(row.macro_auroc)} (95 % interval {percent(low)} to {percent(high)})")
