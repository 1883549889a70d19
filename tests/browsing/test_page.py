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

from ecgkit.store.format import shard_path
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
