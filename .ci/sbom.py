"""Write the software bill of materials of the container, in CycloneDX's JSON form.

    pip install cyclonedx-bom
    python .ci/sbom.py ecgkit.cdx.json            # CPU
    python .ci/sbom.py ecgkit-gpu.cdx.json --gpu

It lists every package of containers/ with its version and hashes, by the tool of the CycloneDX project.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--gpu", action="store_true")
    given = parser.parse_args()
    lists = ["requirements.txt", "torch-gpu.txt" if given.gpu else "torch-cpu.txt"]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "requirements.txt"
        whole.write_text("".join((ROOT / "containers" / name).read_text("utf-8") for name in lists), "utf-8")
        command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(whole)]
        command += ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--of", "JSON"]
        subprocess.run([*command, "-o", str(given.out.resolve())], check=True)


if __name__ == "__main__":
    main()
