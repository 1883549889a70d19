"""The page in a real browser: opened from disk, alone, inert, sortable, and as wide as the window."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecgkit.reporting.page.write import write_report
from tests.report.rows import write_layers, write_study

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every section that rows make, and with hostile names."""
    folder = tmp_path_factory.mktemp("browser")
    rows = write_study(folder, evil=EVIL)
    write_layers(folder / "stmem-tiny")
    write_report(rows, folder / "report.html", title=f"Two models {EVIL}")
    return folder / "report.html"


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[tuple[Any, list[str], list[str]]]:
    """The page at a width of 1440 px, what the console said, and what was requested."""
    page = browser.new_page(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    yield page, said, asked
    page.close()


def column(page: Any, table: str, index: int) -> list[str]:
    script = f"""() => [...document.querySelectorAll('#{table} tbody:first-of-type tr:not(.group)')]
                       .filter(row => !row.hidden).map(row => row.cells[{index}].textContent.trim())"""
    return list(page.evaluate(script))


@pytest.mark.slow
def test_it_opens_from_disk_without_errors_or_requests(opened, report: Path) -> None:
    page, said, asked = opened
    assert said == []
    assert asked == [report.as_uri()]
    assert page.locator("section.part").count() >= 9


def test_names_are_inert(opened) -> None:
    page, said, _ = opened
    assert page.title() == f"Two models {EVIL}"
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    assert EVIL in page.locator("h1").inner_text()
    # Even a script that got in would not run.
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))")
    assert page.title() == f"Two models {EVIL}"
    assert any("Content Security Policy" in text for text in said)


def test_sorting_by_mouse_and_by_keyboard(opened) -> None:
    page, said, _ = opened
    auroc = page.locator("#all-results thead button").nth(1)
    auroc.click()
    down = [float(text.split()[0]) for text in column(page, "all-results", 1)]
    assert down == sorted(down, reverse=True)
    assert len(set(down)) > 3
    auroc.focus()
    page.keyboard.press("Enter")
    assert [float(text.split()[0]) for text in column(page, "all-results", 1)] == sorted(down)
    assert page.locator("#all-results th[aria-sort]").get_attribute("aria-sort") == "ascending"
    page.locator("#overview thead button").first.click()
    names = column(page, "overview", 0)
    assert names[0].startswith("clear")
    # Published numbers are folded away below, and never sorted among one's own.
    assert page.locator("#overview .published").count() == 0
    assert page.locator("#literature").is_hidden()
    page.locator("details.literature summary").click()
    assert page.locator("#literature tbody.published tr").first.is_visible()
    assert said == []


def test_filtering_keeps_rows_with_every_word(opened) -> None:
    page, said, _ = opened
    field = page.locator("input[data-filter=all-results]")
    assert field.is_visible()
    field.fill("clear limb")
    assert page.locator("#all-results tbody tr:visible").count() == 2  # the heading of the task and one result
    assert page.locator("p.filter", has=field).locator("output").inner_text() == "1 of 22 lines"
    field.fill("nothing has this")
    assert page.locator("#all-results tbody tr:visible").count() == 0
    field.fill("")
    assert page.locator("#all-results tbody tr:visible").count() == 23
    assert said == []


def test_numbers_of_every_figure_can_be_saved(opened, tmp_path: Path) -> None:
    page, said, _ = opened
    figures = page.locator("figure")
    assert figures.count() == page.locator("figure a[download]").count() >= 10
    with page.expect_download() as event:
        page.locator("figure a[download]").first.click()
    event.value.save_as(tmp_path / "numbers.csv")
    lines = list(csv.DictReader((tmp_path / "numbers.csv").open(encoding="utf-8")))
    assert len(lines) == 22 * 5
    assert EVIL in lines[0]["class"]
    assert said == []


def test_a_link_to_a_card_opens_it(opened) -> None:
    page, _, _ = opened
    page.locator("#overview tbody a").first.click()
    page.locator("details.card[open]").wait_for()  # the script hears of the new address a moment later
    assert page.locator("details.card[open]").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_body_never_scrolls_sideways(browser: Any, report: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    bright = [sum(map(int, text[4:-1].split(", "))) for text in (ink, paper)]
    assert (bright[0] > bright[1]) == (scheme == "dark")
    page.close()


def test_every_scrolling_part_and_figure_has_a_name(opened) -> None:
    page, _, _ = opened
    nameless = """() => [...document.querySelectorAll('.scroll, svg[role=img]')].filter(e =>
                  !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby')).length"""
    assert page.evaluate(nameless) == 0
    unreachable = "() => [...document.querySelectorAll('.scroll')].filter(e => e.tabIndex !== 0).length"
    assert page.evaluate(unreachable) == 0


@pytest.mark.slow
def test_printing_unfolds_what_is_folded(opened) -> None:
    page, _, _ = opened
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details[data-print]:not([open])").count() == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[data-print][open]").count() == 0
