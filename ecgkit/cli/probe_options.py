"""The options of ``ecgkit probe``: what is judged, on what, how, with how many labels; studies and suites instead."""

from pathlib import Path
from typing import Annotated

import typer

from ecgkit.cli import completion

# What is judged
Run = Annotated[Path | None, typer.Argument(help="Run folder of a pretrained model.")]
Method = Annotated[
    str,
    typer.Option(
        help="Instead of a run: a method family, with one of the next two.", autocompletion=completion.methods
    ),
]
RandomInit = Annotated[bool, typer.Option("--random-init", help="Probe the untrained encoder.")]
Scratch = Annotated[bool, typer.Option("--scratch", help="Train the encoder on the task's labels.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Epochs of --scratch.")]

# On what
Data = Annotated[Path | None, typer.Option(help="A store with labels.")]
Task = Annotated[
    str,
    typer.Option(
        help="Task, such as ptbxl-super or my.yaml; several joined by commas.", autocompletion=completion.tasks
    ),
]
TaskSettings = Annotated[
    list[str] | None, typer.Option("--task-set", help="One setting of the task, such as icd10.count_on=train.")
]
EvalData = Annotated[Path | None, typer.Option(help="Test on this store instead, on the classes that both have.")]

# How
Head = Annotated[str, typer.Option(help="What is put on the features.", autocompletion=completion.heads)]
Leads = Annotated[str, typer.Option(help="Lead sets, a result each: 12,6,3,2,1, limb, I+II, all-single, random:3:20.")]
Prompts = Annotated[Path | None, typer.Option(help="For zero-shot: JSON file, class to prompt.")]
IndependentQueries = Annotated[
    bool, typer.Option("--independent-queries", help="For zero-shot: no class sees the others.")
]
Protocol = Annotated[
    str, typer.Option(help="Whose choices; 'ecgkit plugins list' lists them.", autocompletion=completion.protocols)
]
Splits = Annotated[
    Path | None, typer.Option(help="Published split tables: their folder, or the part that their names share.")
]
LabelSet = Annotated[
    str, typer.Option(help="With --splits: exact for the store's codes, shipped for the tables' labels.")
]
AllowOverlap = Annotated[
    bool, typer.Option("--allow-overlap", help="Go on where pretraining saw test records; the result says so.")
]

# With how many labels
Fraction = Annotated[
    str, typer.Option(help="Shares of the training records in per cent, such as 1,10,100: a result each and draw.")
]
LabelCounts = Annotated[
    str, typer.Option(help="Numbers of labelled training records, such as 50,100,500: a result each and draw.")
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Draws, from --seed on; default: what the protocol has.")]

# Where it is kept
Out = Annotated[Path | None, typer.Option(help="Folder of the result; default: below the run.")]
Cache = Annotated[Path | None, typer.Option(help="Folder of kept features; default: below the run.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep no features, and use no kept ones.")]

# What runs instead
Suite = Annotated[str, typer.Option(help="Instead: a grid of probes, from a YAML file or by name: six.")]
Stores = Annotated[list[str] | None, typer.Option("--store", help="Of a suite: NAME=PATH, repeatable.")]
Jobs = Annotated[int, typer.Option(min=1, help="Of a suite: processes.")]
Layers = Annotated[str, typer.Option(help="Instead: study these layers of the encoder; all, or such as 3,6.")]
Perturb = Annotated[
    str,
    typer.Option(
        help="Instead: disturb the test records: lead-shift=0,10,50ms, lead-off=0,1,3, noise=em,bw,ma:24,12,0dB."
    ),
]
