"""``--slurm``: a command that many workers share, submitted as a Slurm job array."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ecgkit.choices import typed_command
from ecgkit.cli.render import next_is, print_json, say

PANEL = "Cluster"
FLAGS, VALUED = ("--slurm", "--no-slurm"), ("--slurm-set", "--slurm-tasks")

Slurm = Annotated[
    bool,
    typer.Option(
        "--slurm/--no-slurm",
        rich_help_panel=PANEL,
        help="Submit the work as a Slurm job array, whose tasks share it. Without sbatch here, only write the script.",
    ),
]
SlurmTasks = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=PANEL,
        min=1,
        help="With --slurm, number of tasks of the array. Default: one per piece of the work, at most 16.",
    ),
]
SlurmSet = Annotated[
    list[str] | None,
    typer.Option(
        rich_help_panel=PANEL,
        help="With --slurm, option of sbatch as NAME=VALUE, such as partition=gpu or time=08:00:00. Repeatable.",
    ),
]


def submit(out: Path, pieces: int, tasks: int | None, settings: Sequence[str], *, as_json: bool) -> None:
    """Submit the typed command as an array, and say what was submitted and how to follow it.

    Args:
        out: Folder of the results.
        pieces: Number of pieces of the work that are left.
        tasks: Number of tasks; None for one per piece, at most 16.
        settings: Options of sbatch, as typed.
        as_json: Whether to print the outcome as JSON too.
    """
    from ecgkit.slurm import TASKS, SlurmArray, read_settings

    read = read_settings(settings)
    count = tasks or max(1, min(pieces, TASKS))
    # The tasks must not submit themselves, even if the environment or ecgkit.toml asks for Slurm.
    command = [*worker_command(shlex.split(typed_command())[1:]), "--no-slurm"]
    array = SlurmArray(command, out / "slurm", count, read)
    job = array.submit()
    script = shlex.quote(str(array.script))
    if job:
        say(f"job {job}: {count} tasks share {pieces} pieces of work. Script: {array.script}")
        next_is(f"squeue --job {job}")
    else:
        say(f"no sbatch on this machine. Script: {array.script}")
        next_is(f"sbatch {script}")
    if as_json:
        outcome: dict[str, Any] = {"job": job, "tasks": count, "pieces": pieces, "script": str(array.script)}
        print_json(outcome)


def worker_command(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command without those of Slurm."""
    kept, skip = [], False
    for word in arguments:
        if skip:
            skip = False
        elif word in VALUED:
            skip = True
        elif word not in FLAGS and not word.startswith(tuple(f"{name}=" for name in VALUED)):
            kept.append(word)
    return kept
