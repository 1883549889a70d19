"""``ecgkit doctor`` lists what is installed. For each missing part it names the commands that need it."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

import ecgkit
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.render import JsonOption, next_is, print_facts, print_json, print_table, say, warn
from ecgkit.distribution import install_extra

if TYPE_CHECKING:
    from ecgkit.workspace.doctor import Checkup

GIB = 2**30


def doctor(as_json: JsonOption = False) -> None:
    """Check the installation: versions, devices, memory, disk, optional parts, and what is missing for which command.

    Exit code 3 means that something is wrong.
    """
    found = ecgkit.doctor()
    next_is("ecgkit demo" if not found.problems else "ecgkit doctor, after the remedy")
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)
    if found.problems:
        raise typer.Exit(Exit.INCOMPLETE)


def _show(found: "Checkup") -> None:
    print_facts("Versions", found.versions)
    machine = {
        "system": found.system,
        "CPU cores": str(found.cores),
        "memory": "unknown" if found.memory is None else f"{found.memory / GIB:.1f} GiB",
        "GPUs": ", ".join(found.gpus) or "none that torch sees: training runs on the CPU",
        "free disk space": f"{found.disk_free / GIB:.1f} GiB in this folder",
    }
    print_facts("Machine", machine)
    rows = [
        {
            "part": extra.name,
            "state": f"missing {', '.join(extra.missing)}" if extra.missing else "installed",
            "needed for": extra.what_for + (f". {install_extra(extra.name)}" if extra.missing else ""),
        }
        for extra in found.extras
    ]
    print_table("Optional parts", rows)
    for problem in found.problems:
        warn(problem)
    if not found.problems:
        say("everything that is needed is there")
