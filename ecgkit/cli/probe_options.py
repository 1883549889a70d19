"""The options of ``ecgkit probe``: encoder, data, head, amounts of labels, output, suites and analyses."""

from pathlib import Path
from typing import Annotated

import typer

from ecgkit.cli import completion

# Encoder
Run = Annotated[
    Path | None,
    typer.Argument(
        help="Run folder of a pretrained model, or hf://ORG/NAME. Default: the run in this folder that finished last.",
        autocompletion=completion.runs,
    ),
]
Models = Annotated[
    str,
    typer.Option(
        rich_help_panel="Encoder",
        help="Several encoders for one table, joined by commas: run folders, patterns such as runs/*, 'all' for every "
        "finished run of this folder, and 'random' for the same encoders with random weights.",
        autocompletion=completion.models,
    ),
]
Baselines = Annotated[
    bool,
    typer.Option(
        "--baselines",
        rich_help_panel="Encoder",
        help="Add the baselines without deep learning to the table: class prevalence, age and sex, and measurements "
        "of the signal.",
    ),
]
Method = Annotated[
    str,
    typer.Option(
        rich_help_panel="Encoder",
        help="Method family to evaluate without a run. Needs --random-init or --scratch. List them with: "
        "ecgkit methods",
        autocompletion=completion.methods,
    ),
]
RandomInit = Annotated[
    bool, typer.Option("--random-init", rich_help_panel="Encoder", help="Probe the untrained encoder of --method.")
]
Scratch = Annotated[
    bool,
    typer.Option(
        "--scratch", rich_help_panel="Encoder", help="Train the encoder of --method from scratch on the task's labels."
    ),
]
Epochs = Annotated[int | None, typer.Option(rich_help_panel="Encoder", min=1, help="With --scratch, number of epochs.")]

# Data
Data = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel="Data",
        help="Store with the task's labels. Default: the store of the run, or the only store in this folder.",
        autocompletion=completion.stores,
    ),
]
Task = Annotated[
    str,
    typer.Option(
        "--task",
        "--tasks",
        rich_help_panel="Data",
        help="Name or YAML file of a task, such as ptbxl-super or my.yaml. Join several by commas. Default: the only "
        "task that fits the store. List them with: ecgkit tasks",
        autocompletion=completion.tasks,
    ),
]
TaskSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--task-set", rich_help_panel="Data", help="One setting of the task, such as icd10.count_on=train. Repeatable."
    ),
]
EvalData = Annotated[
    Path | None,
    typer.Option(rich_help_panel="Data", help="Other store to test on. Only classes that both stores have are tested."),
]

# Evaluation
Head = Annotated[
    str,
    typer.Option(
        rich_help_panel="Evaluation",
        help="Head to fit on the encoder's features. List them with: ecgkit heads",
        autocompletion=completion.heads,
    ),
]
Leads = Annotated[
    list[str] | None,
    typer.Option(
        "--leads",
        rich_help_panel="Evaluation",
        help="Lead set to test, such as 12, limb, I,II, all-single or random:3:20. A comma joins the leads of one set. "
        "Repeat the option for several sets; each set gives one result. Default: all leads.",
    ),
]
Prompts = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel="Evaluation", help="With --head zero-shot, JSON file that holds a prompt for each class."
    ),
]
IndependentQueries = Annotated[
    bool,
    typer.Option(
        "--independent-queries",
        rich_help_panel="Evaluation",
        help="With --head zero-shot, predict each class independently of the others.",
    ),
]
Protocol = Annotated[
    str,
    typer.Option(
        rich_help_panel="Evaluation",
        help="Evaluation protocol to follow. List them with: ecgkit plugins list",
        autocompletion=completion.protocols,
    ),
]
Splits = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel="Evaluation",
        help="Published split tables to follow: their folder, or the part that their file names share.",
    ),
]
LabelSet = Annotated[
    str,
    typer.Option(
        rich_help_panel="Evaluation",
        help="With --splits, source of the labels: exact (the store's codes) or shipped (the labels in the tables).",
    ),
]
AllowOverlap = Annotated[
    bool,
    typer.Option(
        "--allow-overlap",
        rich_help_panel="Evaluation",
        help="Probe even if pretraining saw test records or their patients. The result states the overlap.",
    ),
]

KeepHead = Annotated[
    bool,
    typer.Option(
        "--keep-head/--no-keep-head",
        rich_help_panel="Output",
        help="Keep the fitted head with each result, for 'ecgkit predict'. After --scratch or --head fine-tune it "
        "holds the whole encoder.",
    ),
]

# Amounts of labels
Fraction = Annotated[
    str,
    typer.Option(
        rich_help_panel="Amounts of labels",
        help="Percentages of the training records to use, such as 1,10,100. Each percentage and each random draw "
        "gives one result.",
    ),
]
LabelCounts = Annotated[
    str,
    typer.Option(
        rich_help_panel="Amounts of labels",
        help="Numbers of labelled training records to use, such as 50,100,500. Each number and each random draw "
        "gives one result.",
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        rich_help_panel="Amounts of labels",
        min=1,
        help="Number of random draws per amount of labels. Their seeds count up from --seed. Default: set by the "
        "protocol.",
    ),
]

# Output
Out = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel="Output",
        help="Folder of the result, or the folder above several results. Default: below the run.",
    ),
]
Cache = Annotated[
    Path | None, typer.Option(rich_help_panel="Output", help="Folder of the feature cache. Default: below the run.")
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", rich_help_panel="Output", help="Neither read nor write the feature cache.")
]

# Where records are encoded
ENCODING = "Where records are encoded"
Workers = Annotated[
    int,
    typer.Option(rich_help_panel=ENCODING, min=1, help="Number of processes that encode records."),
]
Gpus = Annotated[
    int,
    typer.Option(
        rich_help_panel=ENCODING,
        min=0,
        help="Number of GPUs that encode records, instead of --device. Each has one process.",
    ),
]
Dask = Annotated[
    str,
    typer.Option(
        rich_help_panel=ENCODING,
        help="Address of a Dask scheduler whose workers encode records, such as tcp://host:8786.",
    ),
]

# Suites and analyses
Suite = Annotated[
    str,
    typer.Option(
        rich_help_panel="Suites and analyses",
        help="Run a grid of probes instead of one: a YAML file, or the name of a shipped suite, such as six.",
    ),
]
Stores = Annotated[
    list[str] | None,
    typer.Option(
        "--store",
        rich_help_panel="Suites and analyses",
        help="With --suite, path of a store that the suite names: NAME=PATH. Repeatable.",
    ),
]
Jobs = Annotated[
    int, typer.Option(rich_help_panel="Suites and analyses", min=1, help="Number of processes for a grid of probes.")
]
Layers = Annotated[
    str,
    typer.Option(
        rich_help_panel="Suites and analyses",
        help="Analyse the layers of the encoder instead: all, or numbers such as 3,6. One head per layer.",
    ),
]
Query = Annotated[
    str,
    typer.Option(
        rich_help_panel="Suites and analyses",
        help="With --layers, the patch whose similarity to all patches of its record is drawn: LEAD:SECONDS or "
        "RECORD:LEAD:SECONDS, such as V1:2.5. Default: the middle of lead II of the first test record.",
    ),
]
Perturb = Annotated[
    str,
    typer.Option(
        rich_help_panel="Suites and analyses",
        help="Analyse perturbed test records instead, such as lead-shift=0,10,50ms, lead-off=0,1,3 or "
        "noise=em,bw,ma:24,12,0dB.",
    ),
]


def named_paths(stores: list[str]) -> dict[str, Path]:
    """Return the path of each named store, from texts ``NAME=PATH``.

    Raises:
        ConfigError: A text has another form.
    """
    from ecgkit.errors import ConfigError

    pairs = [text.partition("=") for text in stores]
    for text, (name, _, path) in zip(stores, pairs, strict=True):
        if not name or not path:
            raise ConfigError(
                f"--store {text!r} is not of the form NAME=PATH", remedy="Such as --store ptbxl=ptbxl.zarr"
            )
    return {name: Path(path) for name, _, path in pairs}
