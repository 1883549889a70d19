"""Every shell and Python block of the pages is run, or the page says why not."""

from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.docs.blocks import Block, read_blocks
from tests.docs.running import clear_the_way, run_block, smaller

PAGES = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
    *sorted((PROJECT / "examples").rglob("*.md")),
]


def name(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


def runnable(page: Path) -> list[Block]:
    return [block for block in read_blocks(page) if block.not_run is None and block.run_by is None]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=name)
def test_every_block_runs(page: Path, sandbox: Path) -> None:
    names: dict[str, object] = {"__name__": page.stem}
    clear_the_way(runnable(page), sandbox)
    for block in runnable(page):
        run_block(block, sandbox, names)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_block_that_another_test_runs_is_named_there(page: Path) -> None:
    for block in read_blocks(page):
        if block.run_by is not None:
            assert page.name in (PROJECT / block.run_by).read_text(), f"{page.name}:{block.line}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- not run: -->\n```sh\nls\n```\n", "needs a reason"),
        ("<!-- not run: no GPU -->\n\n```sh\nls\n```\n", "block in the next line"),
        ("```\necgkit methods\n```\n", "make it"),
    ],
)
def test_a_page_that_hides_a_block_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_blocks(page)


def test_blocks_are_read_with_their_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: no GPU -->\n```sh\na \\\n  b\n# c\nd\n```\n\n```console\n$ e\nf\n```\n```yaml\ng: 1\n```\n"
    )
    first, second = read_blocks(page)
    assert (first.not_run, first.commands) == ("no GPU", ["a    b", "d"])
    assert (second.not_run, second.line, second.commands) == (None, 9, ["e"])


@pytest.mark.slow
def test_a_failing_block_fails(sandbox: Path) -> None:
    for code in ("ecgkit inspect absent.zarr\n", "false | true\n"):
        with pytest.raises(AssertionError, match=r"page.md:1"):
            run_block(Block(Path("page.md"), 1, "sh", code), sandbox, {})


def test_only_sizes_are_made_smaller() -> None:
    line = "ecgkit pretrain --method stmem --preset base --data a.zarr --epochs 20 --set depth=4"
    assert smaller(line) == "ecgkit pretrain --method stmem --preset tiny --data a.zarr --epochs 1 --set depth=4"
