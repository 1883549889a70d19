"""The files that docs/howto/your-data.md speaks of, in small; and what its commands print for them.

``python -m tests.docs.your_data`` writes what the commands print into the page.
"""

import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.io import savemat

from ecgkit.leads import STANDARD_LEADS
from tests.conftest import PROJECT, synthetic_signal, write_wfdb
from tests.datasets import vendor_files as make
from tests.docs.blocks import CONSOLE, read_blocks
from tests.docs.running import call

PAGE = PROJECT / "docs" / "howto" / "your-data.md"
TEST = "tests/docs/test_your_data.py"
FS, SECONDS, RECORDS = 100, 10, 6
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_TOOK = re.compile(r"\bin \d+\.\d s\b")
_HOLTER_SECONDS = 60


def write_inputs(folder: Path) -> None:
    """Write all files of the page."""
    signals = np.stack([np.rint(_beating(FS * SECONDS, seed=n) * 1000) for n in range(RECORDS)])
    stack = signals.astype(np.int16)
    _write_arrays(folder, stack)
    _write_tables(folder, stack)
    _write_wfdb(folder, signals / 1000)
    _write_vendor_files(folder)


def _beating(samples: int, leads: int = 12, seed: int = 0) -> NDArray[np.float64]:
    """A little noise, and a narrow beat every 0.8 s, ``[L, T]`` in mV."""
    time = np.arange(samples) / FS
    beats = np.exp(-0.5 * (((time - 0.1 * seed) % 0.8 - 0.4) / 0.015) ** 2)
    heights = np.array([0.6, 1.0, 0.4, -0.8, 0.1, 0.7, -0.5, -0.3, 0.4, 1.1, 1.2, 0.9])[:leads, None]
    return 0.05 * synthetic_signal(samples, leads, seed) + heights * beats


def _write_arrays(folder: Path, stack: NDArray[np.int16]) -> None:
    for name in ("study", "exams", "recordings", "matlab", "mixed"):
        (folder / name).mkdir()
    np.save(folder / "signals.npy", stack)
    np.save(folder / "study" / "signals.npy", stack[:, None].transpose(0, 1, 3, 2))
    people = {"ecg": [f"e{n}" for n in range(RECORDS)], "patient_id": list("aabbcc"), "age": [61, 61, 48, 49, 70, 70]}
    findings = {"AF": [1, 1, 0, 0, 0, 0], "LBBB": [0, 0, 0, 0, 1, 0], "split": ["train"] * 4 + ["val", "test"]}
    pd.DataFrame({**people, **findings}).to_csv(folder / "study" / "patients.csv", index=False)
    for n, record in enumerate(stack):
        np.save(folder / "recordings" / f"r{n}.npy", record / 1000)
        savemat(folder / "matlab" / f"r{n}.mat", {"val": record})
    np.save(folder / "recordings" / "r3.npy", (stack[3] / 1000)[:11])
    with h5py.File(folder / "exams" / "exams.h5", "w") as file:
        file.create_dataset("tracings", data=stack.transpose(0, 2, 1), compression="gzip")
        file.attrs["sampling_rate"], file["tracings"].attrs["unit"] = FS, "uV"
        file["lead_names"], file["exam_id"] = list(STANDARD_LEADS), np.arange(100, 100 + RECORDS)
        file["patient_id"] = [b"a", b"a", b"b", b"b", b"c", b"c"]
    for place, options in (("a.npy", stack[0]), ("b.npy", stack[1][:3, :500])):
        np.save(folder / "mixed" / place, options)
    columns = "path,fs,leads,unit,patient_id,age,sex,labels"
    rows = ("a.npy,100,12,uV,p17,63,F,AFIB;LVH", 'b.npy,50,"I,II,V2",uV,p18,41,M,NORM')
    (folder / "mixed" / "manifest.csv").write_text("\n".join([columns, *rows]) + "\n")


def _write_tables(folder: Path, stack: NDArray[np.int16]) -> None:
    for name in ("csv", "visits", "database", "export"):
        (folder / name).mkdir()
    long = []
    for n, record in enumerate(stack):
        frame = pd.DataFrame(record.T, columns=[f"{lead} (uV)" for lead in STANDARD_LEADS])
        frame.insert(0, "time", np.arange(record.shape[1]) / FS)
        frame.to_csv(folder / "csv" / f"r{n}.csv", index=False)
        long.append(frame.assign(visit=f"v{n}", patient_id=f"p{n // 2}"))
    pd.concat(long).to_csv(folder / "visits" / "all.csv", index=False, sep=";")
    leads = {lead: list(stack[:, row]) for row, lead in enumerate(STANDARD_LEADS)}
    people = {"ecg_id": [f"e{n}" for n in range(RECORDS)], "patient_id": list("aabbcc")}
    pq.write_table(pa.table({**people, **leads}), folder / "database" / "ecgs.parquet")
    names = [f"{lead}_{t}" for lead in STANDARD_LEADS for t in range(stack.shape[2])]
    wide = pd.DataFrame(stack.reshape(RECORDS, -1), columns=names)
    pd.concat([pd.DataFrame(people), wide], axis=1).to_csv(folder / "export" / "ecgs.csv", index=False)


def _write_wfdb(folder: Path, signals: NDArray[np.float64]) -> None:
    for n, signal in enumerate(signals):
        reason = "Myocardial infarction" if n < 2 else "Healthy control"
        comments = (f"age: {50 + n}", "sex: female", f"Reason for admission: {reason}")
        write_wfdb(folder / "wards" / f"patient{n // 2:03d}", f"visit{n}", signal, fs=FS, comments=comments)
        write_wfdb(folder / "anonymous", f"r{n}", signals[0 if n == 4 else n], fs=FS)
    write_wfdb(folder / "monitor", "m1", signals[0][[1, 10]], ("ECG", "CH2"), fs=FS)
    write_wfdb(folder / "long", "h1", _beating(FS * _HOLTER_SECONDS, leads=3, seed=1), ("I", "II", "V5"), fs=FS)
    shutil.make_archive(str(folder / "wards"), "zip", folder, "wards")
    shutil.copytree(folder / "anonymous", folder / "damaged")
    (folder / "damaged" / "r1.dat").write_bytes((folder / "damaged" / "r1.dat").read_bytes()[:-40])
    (folder / "damaged" / "r2.dat").unlink()


def _write_vendor_files(folder: Path) -> None:
    for name in ("muse-export", "pacs/study", "holter"):
        (folder / name).mkdir(parents=True)
    make.write_muse(folder / "muse-export" / "1.xml", make.counts(1000, 8))
    make.write_sierra(folder / "muse-export" / "2.xml", make.counts(1000))
    make.write_dicom(folder / "pacs" / "study" / "IM000001", make.counts(1000))
    make.write_edf(folder / "holter" / "a.edf", make.counts(1000))
    make.write_scp(folder / "holter" / "b.scp", make.counts(1000, 8))
    make.write_ishne(folder / "holter" / "c.ecg", make.counts(1000, 3))
    (folder / "key.txt").write_text("a long secret of your own\n")


def printed_by_commands(folder: Path) -> list[tuple[int, str]]:
    """Run the page's commands in order, and return the line of each block and what it should hold."""
    return [
        (block.line, "".join(_with_output(written, folder) for written in _written(block.code)))
        for block in read_blocks(PAGE)
        if block.run_by == TEST and block.language == CONSOLE
    ]


def _written(code: str) -> list[str]:
    """Return the commands of a block as they are written, with their continuation lines."""
    commands: list[str] = []
    for line in code.splitlines():
        if line.startswith("$ "):
            commands.append(line)
        elif commands and commands[-1].endswith("\\"):
            commands[-1] += f"\n{line}"
    return commands


def _with_output(written: str, folder: Path) -> str:
    words = shlex.split(written.removeprefix("$ ").replace("\\\n", " "))
    _, text = call(words, folder, {"COLUMNS": "100"})
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return without_time("\n".join([written, *lines]) + "\n")


def without_time(text: str) -> str:
    """Return a text with every time that a command took replaced by 0.3 s."""
    return _TOOK.sub("in 0.3 s", text)


def without_hash(text: str) -> str:
    """Return a text without the hashes of stores, which depend on the versions of libraries."""
    return _HASH.sub("", text)


def main() -> None:
    """Write what the commands print into the page."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.path.realpath(temporary))
        write_inputs(folder)
        lines = PAGE.read_text().splitlines()
        for start, code in reversed(printed_by_commands(folder)):
            stop = lines.index("```", start)
            lines[start:stop] = code.splitlines()
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
