"""Write the lists of packages with their hashes that the containers install.

    python containers/lock.py --cpu-wheel torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl

The versions are those of constraints.txt. ``uv`` (pip install uv) asks the index for the hashes. Three files result:
``requirements.txt`` for both images, and ``torch-gpu.txt`` and ``torch-cpu.txt``, of which an image takes one. The
index of the CPU build of torch is not the usual one, so its hash is that of the wheel that you downloaded and tested.
"""

import argparse
import hashlib
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
EXTRAS = ("text", "hdf5", "vendor", "xlsx", "remote")
GPU = re.compile(r"^(torch|triton|nvidia-|cuda-)")  # torch, and what only its CUDA build needs
BUILDS = "hatchling\n"  # builds ecgkit itself
HEADER = "# Written by: python containers/lock.py\n"


def resolved() -> dict[str, str]:
    """Return an entry with hashes for each package, by name."""
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--constraint", str(HERE.parent / "constraints.txt")]
    command += ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"]
    command += [word for extra in EXTRAS for word in ("--extra", extra)]
    command += [str(HERE.parent / "pyproject.toml"), "-"]
    text = subprocess.run(command, input=BUILDS, check=True, capture_output=True, text=True).stdout
    entries = re.split(r"\n(?=\S)", text.strip())
    return {entry.partition("==")[0]: f"{entry}\n" for entry in entries}


def main() -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu-wheel", type=Path, required=True, help="wheel of torch without CUDA")
    wheel = parser.parse_args().cpu_wheel
    name, version = wheel.name.split("-")[:2]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    entries = resolved()
    own = "".join(entry for name, entry in entries.items() if not GPU.match(name))
    files = {
        "requirements.txt": own,
        "torch-gpu.txt": "".join(entry for name, entry in entries.items() if GPU.match(name)),
        "torch-cpu.txt": f"{name}=={version} \\\n    --hash=sha256:{digest}\n",
    }
    for file, content in files.items():
        (HERE / file).write_text(HEADER + content, encoding="utf-8")


if __name__ == "__main__":
    main()
