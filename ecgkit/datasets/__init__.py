"""Dataset layouts. A layout finds a folder's records and reads metadata, labels and signals.

Each layout is a module, or the card of an archive declares it (`ecgkit.datasets.declared`).
"""

from collections.abc import Callable

from ecgkit.entries import DatasetEntry
from ecgkit.hookspecs import hookimpl

# Layouts with the highest number are tried first: tables identify a dataset best, then the names of its records.
# "Any folder of WFDB records" and what follows fit nearly everything, so they come last.
LAYOUTS = (
    ("stores", "a folder of stores, joined into one", "stores:Stores", 50),
    ("manifest", "any .npy or .mat files that a manifest.csv lists", "manifest:Manifest", 40),
    (
        "mimic-iv-ecg-ext-icd",
        "MIMIC-IV-ECG with ICD-10 codes (records_w_diag_icd10.csv in it or beside it)",
        "mimic_iv_ecg_ext_icd:MimicIvEcgExtIcd",
        30,
    ),
    (
        "mimic-iv-ecg",
        "MIMIC-IV-ECG 1.0 (record_list.csv, machine_measurements.csv)",
        "mimic_iv_ecg:MimicIvEcg",
        20,
    ),
    ("ptb-xl", "PTB-XL, 100 or 500 Hz (ptbxl_database.csv)", "ptb_xl:PTBXL", 20),
    ("code-15", "CODE-15 % (exams.csv, exams_part*.hdf5)", "code15:Code15", 20),
    ("code-test", "CODE-test (ecg_tracings.hdf5, attributes.csv, annotations/)", "code_test:CodeTest", 20),
    ("sph", "Shandong Provincial Hospital (metadata.csv, records/A00001.h5)", "sph:Sph", 20),
    ("zzu-pecg", "ZZU pECG, children (AttributesDictionary.csv)", "zzu_pecg:ZzuPecg", 20),
    ("echonext", "EchoNext (echonext_metadata_100k.csv, EchoNext_train_waveforms.npy)", "echonext:EchoNext", 20),
    ("fairseq-signals", "a folder that fairseq-signals made (meta.csv, org/)", "fairseq_signals:FairseqSignals", 20),
    ("cpsc2019", "CPSC 2019 (data_00001.mat, R_00001.mat)", "cpsc_beats:Cpsc2019", 15),
    ("cpsc2020", "CPSC 2020 (A01.mat, R01.mat)", "cpsc_beats:Cpsc2020", 15),
    ("ludb", "LUDB, marks of every lead (ludb.csv)", "ludb:Ludb", 20),
    ("cpsc2018-mat", "CPSC 2018, original files (REFERENCE.csv, A0001.mat)", "cpsc2018_mat:Cpsc2018Mat", 15),
    ("cpsc2018", "CPSC 2018 with headers (A0001.hea)", "cinc:Cpsc2018", 10),
    ("georgia", "Georgia 12-lead ECG Challenge Database (E00001.hea)", "cinc:Georgia", 10),
    (
        "chapman-shaoxing-ningbo",
        "Chapman-Shaoxing-Ningbo (WFDBRecords/, JS00001.hea)",
        "cinc:ChapmanShaoxingNingbo",
        10,
    ),
    ("cinc", "CinC Challenge 2020 or 2021, all sources", "cinc:Cinc", 5),
    ("wfdb", "any folder of WFDB records", "wfdb_folder:WfdbFolder", 0),
    (
        "vendor",
        "files of devices and hospital systems: HL7 aECG, Philips, GE MUSE, Mortara, AliveCor, DICOM, SCP-ECG, EDF, "
        "BDF, ISHNE, MFER",
        "vendor.layout:VendorFiles",
        -5,
    ),
    ("arrays", "arrays of records: .npy, .npz, HDF5, Zarr or MATLAB files", "arrays:Arrays", -10),
    ("rows", "tables with one row per record and its samples: Parquet, CSV", "record_rows:RecordRows", -15),
    ("csv", "CSV files of samples, one per record or one for all", "sample_tables:SampleTables", -20),
)
GENERAL = ("stores", "manifest", "wfdb")  # any dataset may have these layouts


@hookimpl
def register_datasets(register: Callable[[DatasetEntry], None]) -> None:
    """Register the dataset layouts that ship with ecgkit."""
    for name, summary, target, priority in LAYOUTS:
        at, general = f"ecgkit.datasets.{target}", name in GENERAL
        register(DatasetEntry(name=name, summary=summary, target=at, priority=priority, general=general))
