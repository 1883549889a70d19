"""PTB-XL+: its tables are joined to PTB-XL by ``ecg_id``, wherever its folder lies."""

from pathlib import Path

import pytest

import ecgkit
from ecgkit.datasets.ptb_xl_plus import find_plus
from ecgkit.errors import DatasetError
from ecgkit.ingestion import find_dataset
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal, write_wfdb

TABLES = {
    "features/12sl_features.csv": "HR__Global,ecg_id,P_Area_I\n70,3,0.25\n60,1,\n",
    "features/unig_features.csv": "ecg_id,HR__Global\n1,61.5\n2,62\n3,63\n",
    "labels/12sl_statements.csv": "ecg_id,statements,statements_ext\n3,\"['NSR', 'NML']\",[]\n1,[],[]\n",
    "labels/ptbxl_statements.csv": "ecg_id,scp_codes_ext\n1,\"[('NORM', 100.0)]\"\n",
}


def write_ptb_xl(folder: Path) -> Path:
    rows = []
    for number in (1, 2, 3):
        path = f"records500/0000{number}_hr"
        write_wfdb(folder / "records500", f"0000{number}_hr", synthetic_signal(500, seed=number), fs=500)
        rows.append(f"{number},{number}.0,{{'NORM': 100.0}},{number},{path}")
    table = "\n".join(("ecg_id,patient_id,scp_codes,strat_fold,filename_hr", *rows))
    (folder / "ptbxl_database.csv").write_text(table)
    return folder


def write_plus(folder: Path) -> Path:
    for name, content in TABLES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("own", "plus"),
    [
        ("ptb-xl", "ptb-xl"),
        ("ptb-xl", "ptb-xl/ptb-xl-plus"),
        ("ptb-xl", "ptb-xl-plus-1.0.1"),
        ("ptb-xl", "ptb-xl-a-comprehensive-electrocardiographic-feature-dataset-1.0.1"),
        ("ptb-xl/1.0.3", "ptb-xl-plus/1.0.1"),
    ],
)
def test_its_folder_is_found_where_downloads_put_it(tmp_path: Path, own: str, plus: str) -> None:
    (tmp_path / own).mkdir(parents=True)
    assert find_plus(tmp_path / own) is None
    write_plus(tmp_path / plus)
    assert find_plus(tmp_path / own) == tmp_path / plus


def test_every_record_gets_its_own_features_and_statements(tmp_path: Path) -> None:
    folder = write_ptb_xl(tmp_path / "ptb-xl")
    write_plus(tmp_path / "ptb-xl-plus")
    report = ecgkit.ingest(folder, out=tmp_path / "joined.zarr")
    rows = Store(tmp_path / "joined.zarr").table.frame().set_index("record_id")
    assert report.findings == [f"6 columns of PTB-XL+ ({tmp_path / 'ptb-xl-plus'}) are joined to 3 of 3 records"]
    assert rows["12sl_HR__Global"].tolist()[::2] == [60, 70] and rows["12sl_HR__Global"].isna().tolist()[1]
    assert rows["12sl_P_Area_I"].isna().tolist() == [True, True, False]
    assert rows["unig_HR__Global"].tolist() == [61.5, 62, 63]
    assert list(rows.loc["3", "12sl_statements"]) == ["NSR", "NML"]
    assert list(rows.loc["1", "12sl_statements"]) == [] and rows.loc["2", "12sl_statements"] is None
    assert rows.loc["1", "ptbxl_scp_codes_ext"] == "[('NORM', 100.0)]"


def test_without_it_the_columns_are_those_of_ptb_xl(tmp_path: Path) -> None:
    dataset = find_dataset(write_ptb_xl(tmp_path / "ptb-xl"))
    assert len(dataset.sources()) == 3 and dataset.findings == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("features/unig_features.csv", "HR\n1\n", "cannot be read as a table of features"),
        ("features/unig_features.csv", "ecg_id,HR\n1,high\n", "cannot be read as a table of features"),
        ("labels/12sl_statements.csv", "statements\n[]\n", "lacks column ecg_id"),
        ("labels/12sl_statements.csv", "ecg_id,statements\n1,open('x')\n", "a list such as"),
    ],
)
def test_a_wrong_table_is_one_clear_error(tmp_path: Path, name: str, content: str, message: str) -> None:
    folder = write_plus(write_ptb_xl(tmp_path / "ptb-xl"))
    (folder / name).write_text(content)
    with pytest.raises(DatasetError, match=message):
        find_dataset(folder).sources()


def test_changed_features_change_the_source(tmp_path: Path) -> None:
    folder = write_plus(write_ptb_xl(tmp_path / "ptb-xl"))
    before = find_dataset(folder)
    stamp = before.header(before.sources()[0]).stamp
    (folder / "features" / "unig_features.csv").write_text("ecg_id,HR__Global\n1,99\n")
    after = find_dataset(folder)
    assert after.header(after.sources()[0]).stamp != stamp
