"""A command as a Slurm job array: each task of the array is one worker of a shared folder, see `ecgkit.cells`.

    FOLDER/array.sh           the script, which can be read, changed and submitted by hand
    FOLDER/JOB-TASK.log       what each task printed

Without ``sbatch`` on this machine the script is written all the same.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ecgkit.atomic import atomic_file
from ecgkit.errors import ConfigError, EcgkitError

SCRIPT = "array.sh"
TASKS = 16  # workers that are started if nobody says how many


@dataclass(frozen=True)
class SlurmArray:
    """A job array whose tasks all run one command.

    Args:
        command: Arguments of ``ecgkit``; every task runs them in the folder in which the array was written.
        folder: Folder of the script and of the tasks' output.
        tasks: Number of tasks.
        settings: Options of ``sbatch`` by their long names, such as ``partition``, ``time`` or ``gpus``. They replace
            those that the script sets itself.
    """

    command: Sequence[str]
    folder: Path
    tasks: int
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def script(self) -> Path:
        """The script's file."""
        return self.folder / SCRIPT

    def write(self) -> Path:
        """Write the script and return its path.

        Raises:
            OutputError: It cannot be written.
        """
        own = {
            "job-name": "ecgkit",
            "array": f"1-{self.tasks}",
            "output": str(self.folder.absolute() / "%A-%a.log"),
            "open-mode": "append",
            "requeue": "",
        }
        lines = [f"#SBATCH --{name}{f'={value}' if value else ''}" for name, value in {**own, **self.settings}.items()]
        run = shlex.join([sys.executable, "-m", "ecgkit", *self.command])
        text = (
            "#!/usr/bin/env bash\n"
            "# Written by ecgkit. Every task is one worker: it takes what nobody else has taken, until all is done.\n"
            f"{chr(10).join(lines)}\n\n"
            f"cd {shlex.quote(str(Path.cwd()))} || exit 1\n"
            f"exec {run}\n"
        )
        with atomic_file(self.script) as staging:
            staging.write_text(text, encoding="utf-8")
        self.script.chmod(0o755)
        return self.script

    def submit(self) -> str:
        """Write and submit the script. Return the job's number; empty if this machine has no ``sbatch``.

        Raises:
            EcgkitError: Slurm refuses the job.
            OutputError: The script cannot be written.
        """
        script = self.write()
        if shutil.which("sbatch") is None:
            return ""
        done = subprocess.run(["sbatch", "--parsable", str(script)], capture_output=True, text=True, check=False)
        if done.returncode:
            why = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise EcgkitError(f"sbatch refuses {script}: {why}", remedy="Change --slurm-set, or the script.")
        return done.stdout.strip().partition(";")[0]


def read_settings(given: Sequence[str]) -> dict[str, str]:
    """Return options of ``sbatch`` from texts such as ``time=08:00:00``; one without a value is a flag.

    Raises:
        ConfigError: A text is not of that form.
    """
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        if not re.fullmatch(r"[a-z][a-z-]*", name) or not re.fullmatch(r"[ -~]*", value):
            raise ConfigError(
                f"--slurm-set {text!r}", "NAME=VALUE with the long name of an option of sbatch", "Such as time=08:00:00"
            )
        found[name] = value
    return found
