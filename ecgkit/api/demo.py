"""The demo: every stage of ecgkit on a simulated cohort, up to one HTML report, without a network.

Each stage is the library call of one command, which is shown as a user would type it. A stage whose output exists is
skipped, so a stopped demo continues where it stopped. A method family takes part through the `demo` field of its
`MethodEntry`.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecgkit.api.arguments import PathLike
from ecgkit.atomic import atomic_file
from ecgkit.beats.find import find_beats
from ecgkit.beats.peaks import has_peaks
from ecgkit.config import override, read_yaml, write_yaml
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError, OutputError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.results.row import ROW, find_rows
from ecgkit.evaluation.suites.places import Places
from ecgkit.ingestion import ingest
from ecgkit.interrupt import Interrupted, Left
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import DEFAULT_NAME
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import of_store
from ecgkit.methods import method_config
from ecgkit.plugins import host
from ecgkit.progress import Progress, of_stage, silent
from ecgkit.reporting.page.write import write_report
from ecgkit.reporting.pictures.ecg import plot_ecg
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store
from ecgkit.training.loop import PretrainOptions, Watcher, pretrain
from ecgkit.wording import percent

SETTINGS = "demo.yaml"
TASK = "simulated"
HEAD, ZERO_SHOT = "linear", "zero-shot"
ONE_LEAD = "II"
LABELS = 10.0  # per cent of the training labels: with all of them, a random encoder is hard to tell from a trained one
FEWEST = 100  # records; fewer leave a fold without some of the findings

Say = Callable[[str], None]


def run_demo(
    out: PathLike = "ecgkit-demo",
    *,
    records: int = 2000,
    seed: int = 0,
    say: Say = lambda line: None,
    progress: Progress = silent,
) -> Path:
    """Run every stage on a simulated cohort and write a report.

    Two families are pretrained and probed beside their random initialisation, with a tenth of the labels. A family that
    scores classes by their names is also tested without any label, on twelve leads and on one.

    The demo needs no network and takes less than five minutes on two CPU cores. If it is stopped, the same call
    continues where it stopped.

    Args:
        out: Folder for all output of the demo.
        records: Number of simulated ECGs, at least 100.
        seed: Seed of all random numbers.
        say: Called with one line per stage: the command that does the same, then its outcome.
        progress: Called with stage, units done and units in all.

    Returns:
        The report, an HTML page.

    Raises:
        ConfigError: `records` is below 100.
        OutputError: `out` holds something else, or a demo with other arguments.
    """
    if records < FEWEST:
        raise ConfigError(f"--records {records} is too few for the demo", f"at least {FEWEST}")
    out = Path(out)
    _claim(out, {"records": records, "seed": seed})
    try:
        return _run_stages(out, records, seed, Shown(say, progress))
    except Interrupted as stop:  # the command that goes on is the demo, not that of its stage
        raise Interrupted(Left(stop.left.text)) from None


def _run_stages(out: Path, records: int, seed: int, show: "Shown") -> Path:
    store = _make_store(out, records, seed, show)
    runs, report = out / "runs", out / "report.html"
    for entry in host().entries(MethodEntry).values():
        if entry.demo is not None:
            _run_method(entry, entry.demo, store, runs, seed, show)
    show.command("report", runs, "--out", report)
    write_report(find_rows([runs]), report, title="ecgkit demo: simulated ECGs")
    return report


@dataclass(frozen=True)
class Shown:
    """What a person sees of the demo.

    Args:
        say: Called with a line.
        progress: Called with stage, units done and units in all.
    """

    say: Say
    progress: Progress

    def command(self, *words: object) -> None:
        """Show the command that does what follows."""
        self.say(f"$ {shlex.join(['ecgkit', *map(str, words)])}")

    def outcome(self, line: str) -> None:
        """Show what came of it."""
        self.say(f"    {line}")


def _claim(out: Path, wanted: dict[str, int]) -> None:
    """Claim a new or empty folder for these settings, or continue in a folder of the same settings."""
    file = out / SETTINGS
    if file.exists() and read_yaml(file) != wanted:
        raise OutputError(f"{out} holds a demo with other settings", f"{wanted}", "Use another --out.")
    if file.exists():
        return
    # A process that was killed while it claimed the folder leaves a hidden file.
    if out.exists() and (not out.is_dir() or any(not path.name.startswith(".") for path in out.iterdir())):
        raise OutputError(f"{out} is not empty", "", "Use a new folder for --out.")
    with atomic_file(file) as path:
        write_yaml(path, wanted)


def _make_store(out: Path, records: int, seed: int, show: Shown) -> Store:
    """Simulate the cohort, ingest it, look at its quality, find its beats and extract its entities."""
    cohort, path = out / "cohort", out / "cohort.zarr"
    if not cohort.exists():
        show.command("simulate", cohort, "--records", records, "--seed", seed)
        simulate_cohort(cohort, records=records, seed=seed, progress=of_stage(show.progress, "simulate"))
    if not path.exists():
        show.command("ingest", cohort, "--out", path)
        taken = ingest(cohort, path, progress=show.progress)
        flags = ", ".join(f"{name} {count}" for name, count in taken.flagged.most_common(4)) or "none"
        show.outcome(f"{taken.taken} records; quality flags: {flags}")
    store = Store(path)
    if not has_peaks(store):
        show.command("beats", path)
        find_beats(store, progress=of_stage(show.progress, "beats"))
    _extract_entities(store, show)
    _draw_examples(store, out / "ecg")
    show.outcome(f"an ECG of every kind is drawn in {out / 'ecg'}")
    return store


def _extract_entities(store: Store, show: Shown) -> None:
    """Extract the entities of the reports by the offline lexicon."""
    reports = of_store(store)
    if (reports.folder / DEFAULT_NAME).exists():
        return
    show.command("extract-knowledge", store.path)
    done = extract_knowledge(reports, LexiconBackend(), ExtractOptions(), show.progress)
    show.outcome(
        f"{len(done.entities.names)} entities from {done.texts} unique statements of {done.with_report} reports"
    )


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


def _run_method(entry: MethodEntry, demo: Mapping[str, Any], store: Store, runs: Path, seed: int, show: Shown) -> None:
    """Pretrain a family, and probe it and its random initialisation."""
    unknown = set(demo) - {"preset", "set"}
    if unknown:
        raise ConfigError(
            f"the demo field of method {entry.name} has unknown keys {', '.join(sorted(unknown))}", "preset and set"
        )
    preset, config = method_config(entry, str(demo["preset"]))
    changes = tuple(demo.get("set", ()))
    config = override(config, changes)
    run = runs / f"{entry.name}-{preset}"
    chosen = ["--method", entry.name, "--preset", preset, *(word for change in changes for word in ("--set", change))]
    seeded = ["--seed", seed] if seed else []
    if not run.exists():
        show.command("pretrain", *chosen, "--data", store.path, "--out", run, *seeded)
        watcher = Watcher(
            prepare=lambda stage, done, total: show.progress(f"{entry.name} {stage}", done, total),
            step=of_stage(show.progress, f"{entry.name} steps"),
        )
        pretrain(entry, config, store, run, PretrainOptions(preset=preset, seed=seed, resume=True), watcher)
    untrained = EncoderChoice(method=entry.name, weights="random-init", preset=preset, settings=changes)
    asked = ProbeRequest(
        str(store.path), TASK, EncoderChoice(run=str(run)), head=HEAD, amount=Amount(LABELS), seed=seed, cache=None
    )
    tail = ["--data", store.path, "--task", TASK]
    few = ["--fraction", f"{LABELS:g}"]
    _probe(asked, run, ["probe", run, *tail, *few, *seeded], "trained, linear probe", show)
    random = replace(asked, encoder=untrained)
    beside = runs / f"{entry.name}-{preset}-random-init"
    _probe(random, beside, ["probe", "--random-init", *chosen, *tail, *few, *seeded], "random, linear probe", show)
    if hasattr(entry.load(), "class_scores"):
        for leads in ("", ONE_LEAD):
            untaught = replace(asked, head=ZERO_SHOT, leads=leads, amount=Amount())
            words = ["probe", run, *tail, "--head", ZERO_SHOT, *(["--leads", leads] if leads else []), *seeded]
            _probe(untaught, run, words, f"no label, {f'lead {leads}' if leads else '12 leads'}", show)


def _probe(request: ProbeRequest, parent: Path, words: Sequence[object], title: str, show: Shown) -> None:
    folder = parent / "probes" / Places().name(request)
    if (folder / ROW).exists():
        return
    show.command(*words)
    stage = f"{parent.name} {request.head}"
    row = Probe(request, progress=lambda name, done, total: show.progress(f"{stage} {name}", done, total)).run(
        folder, request.amount, request.seed
    )
    if row.macro_auroc is not None and row.macro_interval is not None:
        low, high = row.macro_interval
        show.outcome(
            f"{title}: macro AUROC {percent(row.macro_auroc)} (95 % interval {percent(low)} to {percent(high)})"
        )
