"""Ingest is killed, stopped, starved and run twice at once, and the store is the one of an undisturbed run."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from ecgkit import ingestion as package
from ecgkit.errors import OutputError
from ecgkit.ingestion import IngestOptions, ingest
from ecgkit.interrupt import Interrupted
from ecgkit.store import format as fmt
from ecgkit.unfinished import Unfinished
from tests.conftest import synthetic_signal, write_wfdb

RECORDS, A_SHARD = 11, 4


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fmt, "_CHUNK_RECORDS", 2)
    monkeypatch.setattr(fmt, "_SHARD_CHUNKS", A_SHARD // 2)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "src"
    for n in range(RECORDS):
        write_wfdb(folder, f"r{n:02d}", synthetic_signal(200 + n, seed=n))
    bad = folder / "r05.dat"
    raw = np.frombuffer(bad.read_bytes(), np.int16).copy()
    raw[7] += 1
    bad.write_bytes(raw.tobytes())  # its checksum is wrong, which is found while reading
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "s.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fmt, "_CHUNK_RECORDS", 2)
        patch.setattr(fmt, "_SHARD_CHUNKS", A_SHARD // 2)
        report = ingest(source, out)
    assert (report.taken, report.failed) == (RECORDS - 1, 1)
    return files_of(out)


# Forks after everything is imported: each child runs the whole ingest and kills itself at one of the moments at which
# Python touches a file. The first run counts these moments.
KILLER = """
    import os, random, shutil, signal, sys
    from pathlib import Path
    from ecgkit.ingestion import ingest
    from ecgkit.store import format as fmt
    import numpy as np
    import ecgkit.datasets.wfdb_folder, ecgkit.store.reader
    from ecgkit.signal.quality import measure
    measure(np.zeros((1, 6, 50), np.int16), 500.0, ["I", "II", "III", "aVR", "aVL", "aVF"])  # loads what is compiled

    source, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    fmt._CHUNK_RECORDS, fmt._SHARD_CHUNKS = 2, {chunks}

    def child(out, fatal):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            moments = 0
            def hook(event, arguments):
                nonlocal moments
                if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"):
                    if any(str(scratch) in str(argument) for argument in arguments):
                        moments += 1
                        if moments == fatal:
                            os.kill(os.getpid(), signal.SIGKILL)
            sys.addaudithook(hook)
            try:
                ingest(source, out)
            except BaseException as error:
                print(type(error).__name__, error, file=sys.stderr)
            os.write(writer, str(moments).encode())
            os._exit(0)
        os.close(writer)
        _, status = os.waitpid(pid, 0)
        said = os.read(reader, 99).decode()
        os.close(reader)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, said

    status, moments = child(scratch / "0.zarr", 0)
    assert status == 0
    random.seed(0)
    for n, fatal in enumerate(sorted(random.sample(range(1, int(moments) + 1), {kills})), 1):
        out = scratch / f"{{n}}.zarr"
        status, _ = child(out, fatal)
        assert status == signal.SIGKILL, fatal
        child(out, 0)
        assert not out.with_name(out.name + ".partial").exists(), fatal
    print(moments)
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_the_store_is_the_same(
    source: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    script = textwrap.dedent(KILLER).format(chunks=A_SHARD // 2, kills=20)
    done = subprocess.run([sys.executable, "-c", script, source, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40
    stores = sorted(tmp_path.glob("*.zarr"))
    assert len(stores) == 21
    for store in stores:
        assert files_of(store) == undisturbed, store.name
    assert sorted(tmp_path.iterdir()) == stores, "nothing else is left"


def test_ctrl_c_finishes_the_shard_and_the_same_command_goes_on(
    ecgkit, source: Path, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = package.make_part, []

    def pressed(job, call):
        begun.append(call[0])
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(job, call)

    monkeypatch.setattr(package, "make_part", pressed)
    out = tmp_path / "s.zarr"
    stopped = ecgkit("ingest", source, "--out", out)
    assert stopped.code == 130
    assert stopped.err.endswith(
        f"stopped: 8 of 11 records are done and kept in {out}.partial. Go on with: ecgkit ingest {source} --out {out}\n"
    )
    assert begun == [0, 1]
    assert not out.exists()
    again = ecgkit("ingest", source, "--out", out, "--max-rejected", "50")
    assert again.code == 0, again.err
    assert begun == [0, 1, 2], "what was done is not done again"
    assert files_of(out) == undisturbed


def test_unfinished_work_with_other_options_is_refused_or_dropped(source: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "s.zarr"
    real = package.make_part

    def pressed(job, call):
        os.kill(os.getpid(), signal.SIGINT)
        return real(job, call)

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="4 of 11"):
        patch.setattr(package, "make_part", pressed)
        ingest(source, out)
    other = IngestOptions(limit=6)
    with pytest.raises(OutputError, match="other settings.*--overwrite"):
        ingest(source, out, other)
    assert Unfinished(out, "store").is_done("000000.rows.parquet"), "a refusal costs nothing"
    assert ingest(source, out, other, overwrite=True).found == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.zarr"]


def test_a_full_disk_is_told_and_the_same_command_goes_on(
    ecgkit, source: Path, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecgkit.store import writer

    real, out = writer.write_table, tmp_path / "s.zarr"

    def full(path, table):
        if "000001" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, table)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_table", full)
        done = ecgkit("ingest", source, "--out", out)
    assert done.code == 2
    assert "the disk is full" in done.err
    assert "continues from there" in done.err
    assert Unfinished(out, "store").is_done("000000.rows.parquet")
    ingest(source, out)
    assert files_of(out) == undisturbed


def test_what_cannot_be_read_leaves_nothing(tmp_path: Path, ecgkit, source: Path, monkeypatch) -> None:
    def denied(self, real=Path.iterdir):
        if not self.is_relative_to(source):
            return real(self)
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", denied)
        done = ecgkit("ingest", source, "--out", tmp_path / "s.zarr")
    assert done.code == 2
    assert f"Permission denied: {source}" in done.err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("ecgkit.executor.CONNECT_SECONDS", 0.5)
    done = ecgkit("ingest", source, "--out", tmp_path / "s.zarr", "--dask", "tcp://127.0.0.1:1")
    assert done.code == 2
    assert "--dask tcp://127.0.0.1:1 cannot be reached" in done.err
    assert list(tmp_path.iterdir()) == []


def test_replacing_a_store_keeps_it_until_the_new_one_is_there(source: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "s.zarr"
    ingest(source, out)
    before = files_of(out)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(package, "assemble", lambda *_, **__: (_ for _ in ()).throw(RuntimeError))
        ingest(source, out, IngestOptions(limit=2), overwrite=True)
    assert files_of(out) == before
    ingest(source, out, IngestOptions(limit=2), overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.zarr"]
