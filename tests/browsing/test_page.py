"""The page in a real browser, served by the program as a user starts it."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ecgkit
from ecgkit.evaluation.results.row import HEAD, PREDICTIONS, ROW
from ecgkit.parquet import read_frame, write_frame
from ecgkit.store.format import shard_path
from tests.api.runs import make_run
from tests.browsing.stores import EVIL, rewritten, write_predictions


@contextmanager
def started(store: Path, *options: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the program and yield it with the address that it prints; it does not outlive the block."""
    command = [sys.executable, "-P", "-m", "ecgkit", "browse", store, "--no-browser", "--port", 0, *options]
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    assert process.stdout is not None
    try:
        told = [process.stdout.readline() for _ in range(2)]
        address = re.search(r"http://127\.0\.0\.1:\d+/\S+/", "".join(told))
        assert address is not None, told
        yield process, address[0]
    finally:
        process.kill()
        process.wait()


def ended(process: subprocess.Popen[str]) -> tuple[int, float, str]:
    """Press Ctrl-C; return the exit code, the seconds that it took, and what was printed."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=10)[0]
    return process.returncode, time.monotonic() - began, told


@pytest.fixture(scope="module")
def served(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A store whose first record has hostile texts, with a result."""
    folder = tmp_path_factory.mktemp("browse")

    def spoil(table: Any) -> None:
        table.loc[0, "record_id"] = EVIL
        table.loc[0, "report"] = f"sinus rhythm {EVIL}"
        table.at[0, "labels"] = [EVIL]

    store = rewritten(cohort_store, folder / "evil.zarr", spoil)
    write_predictions(store, folder / "result", names=("AF", EVIL))
    with started(store, "--results", folder) as (process, address):
        yield store, address
        assert ended(process)[0] == 130


def opened(browser: Any, address: str, width: int, **more: Any) -> tuple[Any, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, **more)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    page.locator("#caption", has_text="mm/s").wait_for()
    return page, said


def get(address: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_hostile_texts_are_texts(browser: Any, served: tuple[Path, str]) -> None:
    page, said = opened(browser, served[1], 1440)
    assert page.locator("#record").inner_text() == EVIL
    page.locator("#report", has_text="sinus rhythm").wait_for()
    assert EVIL in page.locator("#report").inner_text()
    assert page.locator("img").count() == 0
    assert page.title() == "evil.zarr · ecgkit browse"
    assert said == []
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))")
    assert page.title() == "evil.zarr · ecgkit browse"
    assert any("Content Security Policy" in text for text in said)
    page.close()


def test_search_keys_and_caliper(browser: Any, served: tuple[Path, str]) -> None:
    page, said = opened(browser, served[1], 1440)
    page.wait_for_selector("select[name=fold] option[value='10']", state="attached")
    page.keyboard.press("ArrowRight")
    page.locator("#place", has_text="2 of").wait_for()
    box = page.locator("#canvas").bounding_box()
    scale = page.evaluate("document.querySelector('#canvas').clientWidth") / 281  # 275 mm of grid and its margins
    left, top = box["x"] + 30 * scale, box["y"] + 30 * scale
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 25 * scale, top - 10 * scale, steps=3)
    page.mouse.up()
    told = re.fullmatch(r"I · (\d+) ms · (\d+) bpm · (\S+) mV", page.locator("#reading").inner_text())
    assert told is not None
    assert 960 <= int(told[1]) <= 1200  # 25 mm is a second; the page may be drawn a little smaller than its width
    assert round(60000 / int(told[1])) == int(told[2])
    page.keyboard.press("Escape")
    assert page.locator("#reading").is_hidden()
    page.locator("#more").click()
    page.select_option("select[name=error]", "missed")
    page.locator("#found", has_text=" of 120 records").wait_for()
    assert page.locator("#error-head").is_visible()
    page.locator("input[name=where]").fill("no such thing")
    page.locator("#found.wrong").wait_for()
    assert "is unknown" in page.locator("#found").inner_text()
    assert len(said) == 1
    assert "422" in said[0]  # the browser notes the answer; the page shows its sentence
    page.close()


def test_the_caliper_is_placed_moved_and_sized_by_keys(browser: Any, served: tuple[Path, str]) -> None:
    page, said = opened(browser, served[1], 1440)
    canvas, reading = page.locator("#canvas"), page.locator("#reading")
    canvas.focus()
    page.keyboard.press("Enter")
    first = read(reading.inner_text())
    assert (first["ms"], first["bpm"], first["mV"]) == (200, 300, 0.5)
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")  # 10 ms each
    page.keyboard.press("Shift+ArrowUp")
    assert (read(reading.inner_text())["ms"], read(reading.inner_text())["mV"]) == (230, 0.55)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    moved = read(reading.inner_text())
    assert (moved["ms"], moved["mV"], moved["lead"]) == (230, 0.55, first["lead"])
    page.keyboard.press("PageDown")
    assert read(reading.inner_text())["lead"] != first["lead"]
    assert page.locator("#place").inner_text().startswith("1 of")  # the arrows did not change the record
    told = page.locator("#told")
    told.filter(has_text="beats per minute").wait_for(state="attached")
    assert "230 ms" in told.inner_text() and told.evaluate("(it) => it.tagName") == "OUTPUT"  # a live region
    for _ in range(400):
        page.keyboard.press("ArrowLeft")
    assert read(reading.inner_text())["ms"] == 230  # at the edge it is not squeezed
    page.keyboard.press("Escape")
    assert reading.is_hidden()
    page.keyboard.press("ArrowRight")
    page.locator("#place", has_text="2 of").wait_for()
    assert said == []
    page.close()


def read(text: str) -> dict[str, Any]:
    """Return what a measurement says."""
    found = re.fullmatch(r"(\w+) · (\d+) ms(?: · (\d+) bpm)? · (\S+) mV", text)
    assert found is not None, text
    return {"lead": found[1], "ms": int(found[2]), "bpm": int(found[3] or 0), "mV": float(found[4].replace("−", "-"))}


@pytest.fixture(scope="module")
def explained(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page of a store with a real result, one of whose classes has a hostile name."""
    folder = tmp_path_factory.mktemp("explained")
    run, result = make_run(folder / "run", "jepa"), folder / "result"
    ecgkit.probe(run, data=cohort_store, task="simulated", out=result, cache=False)
    for name in (ROW, HEAD):
        values = json.loads((result / name).read_text())
        for line in (values["classes"] if name == ROW else values["outputs"])[:1]:
            line["label" if name == ROW else "name"] = EVIL
        (result / name).write_text(json.dumps(values))
    frame = read_frame(result / PREDICTIONS)
    write_frame(result / PREDICTIONS, frame.rename(columns=lambda c: f"{c[:2]}{EVIL}" if c in FIRST else c))
    with started(cohort_store, "--results", result) as (_, address):
        yield address


FIRST = ("y_AF", "p_AF")


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1440])
def test_a_prediction_is_explained_on_request(browser: Any, explained: str, width: int) -> None:
    page, said = opened(browser, explained, width, has_touch=width == 390)
    page.locator("#explained-class option").first.wait_for(state="attached")
    assert page.locator("#explanation").is_hidden()
    before = coloured(page)
    page.select_option("#explained-class", EVIL)
    page.select_option("#explained-by", "gradients" if width == 390 else "attention")
    page.locator("#explain").click()
    page.locator("#explanation").wait_for(timeout=60_000)
    if width == 390:  # attention is that of no class
        assert EVIL in page.locator("#legend").inner_text()
    assert page.locator("#by-lead tbody tr").count() == 12 and page.locator("#by-part tbody tr").count() == 5
    assert page.locator("#legend").is_visible() and page.locator("#explaining").is_hidden()
    assert coloured(page) > before + 50
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").count() == 0 and page.title().endswith("ecgkit browse")
    page.locator("#unexplain").click()
    assert page.locator("#explanation").is_hidden() and coloured(page) == before
    page.locator("#explain").click()  # kept in memory, so at once
    page.locator("#explanation").wait_for(timeout=5_000)
    page.keyboard.press("j")
    page.locator("#place", has_text="2 of").wait_for()
    page.locator("#explanation").wait_for(state="hidden")
    assert [text for text in said if "willReadFrequently" not in text] == []  # of `coloured`
    page.close()


def coloured(page: Any) -> int:
    """Return the number of pixels of the paper that are violet, blue or strongly red."""
    return page.evaluate(  # type: ignore[no-any-return]
        """() => {
          const c = document.querySelector('#canvas');
          const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
          let n = 0;
          for (let i = 0; i < d.length; i += 4) if (Math.max(d[i], d[i + 2]) - d[i + 1] > 70) n += 1;
          return n;
        }"""
    )


@pytest.mark.parametrize("width", [390, 1440])
def test_the_body_never_scrolls_sideways(browser: Any, served: tuple[Path, str], width: int) -> None:
    page, said = opened(browser, served[1], width, has_touch=width == 390)
    page.locator("#more").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawn = "() => new Set(document.querySelector('#canvas').getContext('2d').getImageData(0, 0, 300, 300).data).size"
    assert page.evaluate(drawn) > 20
    if width == 390:
        page.locator("#tabs button").first.click()
        assert page.locator("#rows tr").first.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    page.close()


def test_strangers_get_nothing(served: tuple[Path, str]) -> None:
    address = served[1]
    root = address.rsplit("/", 2)[0]
    assert get(address)[0] == 200
    assert get(f"{root}/")[0] == 404
    assert get(f"{root}/api/records")[0] == 404
    assert get(f"{address}api/records", Host="evil.example")[0] == 403
    assert get(f"{address}api/records", **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert get(f"{address}static/..%2Fserver.py")[0] == 404
    request = urllib.request.Request(f"{address}api/records", data=b"", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request)


def test_damage_and_change_are_told(browser: Any, cohort_store: Path, tmp_path: Path) -> None:
    store = rewritten(cohort_store, tmp_path / "copy.zarr", lambda table: None)
    with started(store) as (process, address):
        page, _ = opened(browser, address, 1440)
        (store / shard_path(0)).unlink()
        page.keyboard.press("j")
        page.wait_for_selector("#damage:visible")
        assert "is damaged" in page.locator("#damage").inner_text()
        assert page.locator("#canvas").is_hidden()
        about = json.loads((store / "zarr.json").read_text())
        (store / "zarr.json").write_text(json.dumps(about))
        page.wait_for_selector("#notice:visible")
        assert "has changed" in page.locator("#notice").inner_text()
        assert get(f"{address}api/records")[0] == 422
        shutil.rmtree(store / "signal")
        shutil.copytree(cohort_store / "signal", store / "signal")
        page.locator("#reload").click()
        page.locator("#caption", has_text="mm/s").wait_for()
        assert page.locator("#notice").is_hidden()
        page.close()
        code, seconds, told = ended(process)
        assert code == 130
        assert seconds < 1
        assert "the store was only read" in told
        assert "sinus" not in told  # no report is logged


def test_a_port_in_use_is_one_line(ecgkit, cohort_store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = ecgkit("browse", cohort_store, "--no-browser", "--port", port)
    assert said.code == 2
    assert said.err == f"error: port {port} is in use. Choose another: --port N, or --port 0 for any.\n"
