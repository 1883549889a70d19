"""Start-up: ``ecgkit --help`` against the ``--help`` of a one-command Typer app, in turn, as whole processes.

    python benchmarks/startup.py [--runs 21]

Prints medians in ms and their ratio; the bar is a ratio of at most 2.
"""

import argparse
import statistics
import subprocess
import sys
import time

ONE_COMMAND = """
import typer
app = typer.Typer()

@app.command()
def hello(name: str, times: int = 1) -> None:
    \"\"\"Say hello.\"\"\"

app(["--help"])
"""
ECGKIT = "import sys; sys.argv = ['ecgkit', '--help']; from ecgkit.cli import main; main()"


def milliseconds(code: str) -> float:
    """Return the wall time of one fresh process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    """Time both in turn, so that a machine that drifts drifts for both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=21)
    runs = parser.parse_args().runs
    pairs = [(milliseconds(ECGKIT), milliseconds(ONE_COMMAND)) for _ in range(runs + 1)][1:]
    ours, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"ecgkit --help      {ours:6.0f} ms")
    print(f"one-command Typer  {plain:6.0f} ms")
    print(f"ratio              {ratio:6.2f}")


if __name__ == "__main__":
    main()
