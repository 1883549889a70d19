"""Draws the pictures of the pages: the top of a report, its figures, and the page of ``ecgkit browse``.

    python docs/images/draw_pages.py FOLDER

FOLDER holds ``cohort.zarr``, ``runs`` and ``report.html``, made by the commands of docs/report.md. Needs a Chromium
(ECGKIT_BROWSER, or on the path).
"""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
WIDTH, HEIGHT, TALL = 1440, 900, 720
COLOURS = 256
# Sections whose figures are shown, one below the other.
FIGURES = ("Over all tasks", "Subgroups", "Map of embeddings", "Example ECGs")


def main() -> None:
    """Draw the three pictures."""
    folder = Path(sys.argv[1]).resolve()
    path = os.environ.get("ECGKIT_BROWSER") or shutil.which("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto((folder / "report.html").as_uri())
        save(page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": 1750}, full_page=True), "report-page.png")
        found = [part for part in page.locator("section.part").all() if part.locator("h2").inner_text() in FIGURES]
        save(stacked([part.screenshot() for part in found]), "report-figures.png")
        with served(folder / "cohort.zarr") as address:
            draw_browse(page, address)
        browser.close()


def draw_browse(page: Any, address: str) -> None:
    """Draw the page of a store: the largest errors of a class, and a measurement of an RR interval."""
    page.goto(address)
    page.locator("select[name=fold] option[value='10']").wait_for(state="attached")
    page.locator("#more").click()
    wanted = page.locator("select[name=result] option", has_text="findings: stmem-tiny, pretrained, seed 0").first
    page.select_option("select[name=result]", wanted.get_attribute("value"))
    page.select_option("select[name=target]", "AF")
    page.select_option("select[name=order]", "error")
    page.locator("#found", has_text=" of ").wait_for()
    page.locator("#more").click()
    page.locator("#prediction tbody tr").first.wait_for()
    page.wait_for_timeout(500)
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + 0.1897 * box["width"], box["y"] + 0.844 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.248 * box["width"], box["y"] + 0.769 * box["height"], steps=4)
    page.mouse.up()
    page.set_viewport_size({"width": WIDTH, "height": 1300})
    page.wait_for_timeout(300)
    save(page.screenshot(), "browse.png")


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Serve a store, and end the program afterwards."""
    command = [sys.executable, "-P", "-m", "ecgkit", "browse", store.name, "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, cwd=store.parent, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    yield next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)))[0]
    process.send_signal(signal.SIGINT)
    process.wait(10)


def stacked(pictures: list[bytes]) -> bytes:
    """Return pictures one below the other, each cut after `TALL` pixels."""
    whole_parts = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    parts = [part.crop((0, 0, part.width, min(part.height, TALL))) for part in whole_parts]
    whole = Image.new("RGB", (max(part.width for part in parts), sum(part.height + 24 for part in parts)), "white")
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height + 24
    out = io.BytesIO()
    whole.save(out, "PNG")
    return out.getvalue()


def save(png: bytes, name: str) -> None:
    """Write a picture of few colours."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
