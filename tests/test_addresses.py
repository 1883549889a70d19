"""Addresses of remote places: told apart from paths, and shown without what may be secret."""

from pathlib import Path

import pytest

from ecgkit.addresses import address_of, check_local_output, local_path, shown
from ecgkit.errors import OutputError


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("s3://bucket/a/x.zarr", "s3://bucket/a/x.zarr"),
        (Path("s3://bucket/a/x.zarr"), "s3://bucket/a/x.zarr"),  # a `Path` writes two slashes as one
        ("S3://bucket/x.zarr/", "s3://bucket/x.zarr"),
        ("memory://x.zarr", "memory://x.zarr"),
        ("x.zarr", None),
        ("/data/s3:/x.zarr", None),
        ("C:/data/x.zarr", None),
        ("s3:x.zarr", None),
        ("file:///data/x.zarr", None),
    ],
)
def test_an_address_is_told_from_a_path(place: str | Path, address: str | None) -> None:
    assert address_of(place) == address


def test_a_file_address_is_a_path() -> None:
    assert local_path("file:///data/x.zarr") == local_path(Path("file:///data/x.zarr")) == Path("/data/x.zarr")
    assert local_path("data/x.zarr") == Path("data/x.zarr")


@pytest.mark.parametrize(
    ("address", "without"),
    [
        ("https://me:secret@host/x.zarr", "https://host/x.zarr"),
        ("https://host/x.zarr?X-Amz-Signature=secret", "https://host/x.zarr"),
        ("https://host/x.zarr#secret", "https://host/x.zarr"),
        ("s3://bucket/a@b/x.zarr", "s3://bucket/a@b/x.zarr"),
    ],
)
def test_secrets_are_not_shown(address: str, without: str) -> None:
    assert shown(address) == without


def test_outputs_are_local() -> None:
    check_local_output(Path("runs/a"))
    for path in (Path("s3://bucket/x.zarr"), Path("s3://bucket/x.zarr").absolute()):
        with pytest.raises(OutputError, match=r"^s3://bucket/x.zarr is a remote address.* such as x.zarr, and copy it"):
            check_local_output(path)


def test_a_folder_whose_name_ends_with_a_colon_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "at 10:").mkdir()
    check_local_output(tmp_path / "at 10:" / "x.zarr")
    (tmp_path / "s3:").mkdir()
    check_local_output(tmp_path / "s3:" / "x.zarr")
