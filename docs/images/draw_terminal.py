"""Draws a picture of a terminal in which a command was run.

    python docs/images/draw_terminal.py terminal.png 'ecgkit probe runs/stmem --data cohort.zarr --task simulated'

What the command prints to a terminal of 96 columns is drawn as it is, colours included; progress bars, which are
on stderr, are left out. Needs a Chromium (ECGKIT_BROWSER, or on the path).
"""

import io
import os
import pty
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS = 96
PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>
body {{ background: white; margin: 0 }}
pre {{ background: {background}; color: {foreground}; font: 15px/1.165 "DejaVu Sans Mono", monospace;
  display: inline-block; margin: 0; padding: 18px 22px; border-radius: 8px }}
{stylesheet}</style><pre>{code}</pre>"""


def printed(command: str) -> str:
    """Run a command with a terminal as its output and return what it writes there."""
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    process = subprocess.Popen(shlex.split(command), stdout=slave, stderr=subprocess.DEVNULL, env=environment)
    os.close(slave)
    chunks = []
    try:
        while chunk := os.read(master, 1 << 16):
            chunks.append(chunk)
    except OSError:  # Linux says so when the other end has closed
        pass
    if process.wait():
        raise SystemExit(f"{command} failed")
    return b"".join(chunks).decode().replace("\r\n", "\n")


def draw(text: str, out: Path) -> None:
    """Draw text with its escape sequences as a PNG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(Text.from_ansi(text))
    page = console.export_html(theme=MONOKAI, code_format=PAGE, inline_styles=False)
    browser = os.environ.get("ECGKIT_BROWSER") or shutil.which("chromium") or "google-chrome"
    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder) / "terminal.html"
        html.write_text(page, encoding="utf-8")
        shot = Path(folder) / "shot.png"
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-device-scale-factor=1.5",
        ]
        size = f"--window-size={COLUMNS * 10 + 60},1400"
        subprocess.run(
            [browser, *options, size, f"--screenshot={shot}", html.as_uri()], check=True, capture_output=True
        )
        picture = Image.open(shot).convert("RGB")
        box = ImageChops.difference(picture, Image.new("RGB", picture.size, "white")).getbbox()
        picture.crop(box).quantize(64).save(out, optimize=True)


if __name__ == "__main__":
    target, *commands = sys.argv[1:]
    draw("".join(f"\x1b[1m$ {command}\x1b[0m\n{printed(command)}\n" for command in commands).rstrip(), Path(target))
