"""Small stand-ins for what the pages speak of, under the names that they use: datasets, stores and a run.

All signals are simulated. A layout is a published one, so that what a page says to do with a download can be done;
labels are dealt out in turn, so that every part of every task has some.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import wfdb
from numpy.typing import NDArray
from scipy.io import savemat

from ecgkit.entries import TaskEntry
from ecgkit.leads import STANDARD_LEADS
from ecgkit.plugins import host
from ecgkit.tasks.loading import load_task
from tests.conftest import write_wfdb

FS = 500
PTB_XL_RECORDS = 60
# A statement of each superclass of PTB-XL, with one of form and one of rhythm.
STATEMENTS = (("NORM", "SR"), ("IMI", "INVT"), ("NDT", "SBRAD"), ("LAFB", "PVC"), ("LVH", "AFIB"))
# SNOMED CT: sinus rhythm, bradycardia, tachycardia, atrial fibrillation, right bundle branch block.
FINDINGS = ("426783006", "426177001", "427084000", "164889003", "59118001")

# As docs/tasks.md shows one.
OWN_TASK = "title: Echo findings\ntable: {path: labels.csv, id: ecg_id, columns: [low_ef, dilated]}\n"


def simulated_records(folder: Path) -> Iterator[tuple[NDArray[np.float64], str]]:
    """Yield signal ``[12, T]`` in mV and report of each record of a simulated cohort."""
    table = pd.read_csv(folder / "machine_measurements.csv", dtype=str).set_index("study_id")
    reports = table.filter(regex=r"^report_\d+$").fillna("")
    listed = pd.read_csv(folder / "record_list.csv", dtype=str)
    for study, path in zip(listed["study_id"], listed["path"], strict=True):
        record = wfdb.rdrecord(str(folder / path))
        rows = [[name.lower() for name in record.sig_name].index(lead.lower()) for lead in STANDARD_LEADS]
        yield np.nan_to_num(record.p_signal.T[rows]), ". ".join(filter(None, reports.loc[study]))


def write_ptb_xl(folder: Path, records: list[tuple[NDArray[np.float64], str]]) -> None:
    """Write PTB-XL's layout: a table, and the signals at 500 Hz in a folder of a thousand."""
    rows = []
    for n, (signal, report) in enumerate(records):
        name = f"{n + 1:05d}_hr"
        write_wfdb(folder / "records500" / "00000", name, signal, fs=FS)
        codes = dict.fromkeys(STATEMENTS[(n + n // 10) % len(STATEMENTS)], 100.0)
        rows.append(
            {
                "ecg_id": n + 1,
                "patient_id": 1000 + n,
                "age": 30 + 7 * n % 50,
                "sex": n % 2,
                "report": report,
                "scp_codes": str(codes),
                "strat_fold": n % 10 + 1,
                "filename_hr": f"records500/00000/{name}",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "ptbxl_database.csv", index=False)


def write_challenge(folder: Path, prefix: str, records: list[tuple[NDArray[np.float64], str]]) -> None:
    """Write records as the Challenges of 2020 and 2021 do: a header and a Matlab v4 file each, in counts of 1 uV."""
    folder.mkdir(parents=True)
    for n, (signal, _) in enumerate(records):
        name = f"{prefix}{n + 1:05d}"
        counts = np.round(1000 * signal).astype(np.int16)
        savemat(folder / f"{name}.mat", {"val": counts}, format="4", appendmat=False)
        lines = [f"{name} 12 {FS} {signal.shape[1]}"]
        for lead, row in zip(STANDARD_LEADS, counts, strict=True):
            checksum = int(row.sum(dtype=np.int64).astype(np.int16))
            lines.append(f"{name}.mat 16+24 1000/mV 16 0 {row[0]} {checksum} 0 {lead}")
        lines += [f"#Age: {40 + n}", f"#Sex: {'Female' if n % 2 else 'Male'}", f"#Dx: {FINDINGS[n % len(FINDINGS)]}"]
        (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")


def write_mit_bih(folder: Path, record: Path) -> None:
    """Write one simulated record, with the beats that the simulator marked, as record 100 in leads MLII and V5."""
    signals, beats = wfdb.rdrecord(str(record)), wfdb.rdann(str(record), "atr")
    rows = [signals.sig_name.index(lead) for lead in ("II", "V5")]
    write_wfdb(folder, "100", np.nan_to_num(signals.p_signal.T[rows]), ("MLII", "V5"), fs=FS, comments=("69 M 1085",))
    wfdb.wrann("100", "atr", beats.sample, beats.symbol, write_dir=str(folder))


def write_answers(folder: Path, labels: Path, weights: Path) -> None:
    """Write an output for every header, right in half of the records, and weights that reward what is right alone."""
    task = load_task(host().get(TaskEntry, "cinc2021"))
    columns = ["|".join(label.codes) for label in task.labels.values()]
    pd.DataFrame(np.eye(len(columns)), index=columns, columns=columns).to_csv(weights)
    codes = [code for label in task.labels.values() for code in label.codes]
    folder.mkdir()
    for n, header in enumerate(sorted(labels.glob("*.hea"))):
        said = [int(code == FINDINGS[n % len(FINDINGS)] and n % 2 == 0) for code in codes]
        table = [f"#{header.stem}", ",".join(codes), ",".join(map(str, said)), ",".join(f"{0.9 * s}" for s in said)]
        (folder / f"{header.stem}.csv").write_text("\n".join(table) + "\n")


def make_sandbox(folder: Path, cohort: Path, cohort_store: Path, more: Path) -> None:
    """Fill an empty folder.

    Args:
        folder: To fill.
        cohort: A simulated cohort, for `cohort` and, as one is laid out like it, `mimic-iv-ecg`.
        cohort_store: Its store.
        more: Another simulated cohort, whose signals become PTB-XL, CSN and Georgia.
    """
    from ecgkit.ingestion import ingest

    for name in ("cohort", "mimic-iv-ecg"):
        shutil.copytree(cohort, folder / name)
    (folder / "demo").mkdir()
    for name in ("cohort.zarr", "mimic.zarr", "demo/cohort.zarr"):
        shutil.copytree(cohort_store, folder / name)
    records = list(simulated_records(more))
    write_ptb_xl(folder / "ptb-xl", records[:PTB_XL_RECORDS])
    write_challenge(folder / "csn", "JS", records[PTB_XL_RECORDS:100])
    write_challenge(folder / "georgia", "E", records[100:])
    write_answers(folder / "outputs", folder / "georgia", folder / "weights.csv")
    write_mit_bih(folder / "mit-bih", next(cohort.rglob("*.atr")).with_suffix(""))
    for source, store in (("ptb-xl", "ptbxl"), ("csn", "csn"), ("georgia", "georgia")):
        report = ingest(folder / source, folder / f"{store}.zarr")
        assert report.taken == report.found > 0
    ids = range(1, PTB_XL_RECORDS + 1)
    table = pd.DataFrame({"ecg_id": ids, "low_ef": [n // 2 % 2 for n in ids], "dilated": [n // 3 % 2 for n in ids]})
    table.to_csv(folder / "labels.csv", index=False)
    (folder / "my.yaml").write_text(OWN_TASK)
    prompts = {"NORM": "normal ECG", "MI": "infarction", "STTC": "ST changes", "CD": "block", "HYP": "hypertrophy"}
    (folder / "prompts.json").write_text(json.dumps(prompts))
    np.save(folder / "ecg.npy", records[0][0])
    pd.DataFrame({"report": [report for _, report in records]}).to_csv(folder / "reports.csv", index=False)
