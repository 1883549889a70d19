"""The distribution has a name of its own, and the program does not start beside another project's `ecgkit`."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

import ecgkit
import ecgkit_learn
from ecgkit.distribution import DISTRIBUTION, install_extra
from ecgkit.errors import DatasetError, EcgkitError, PluginError, RunError
from ecgkit.executor import open_executor
from ecgkit.scaffold import new_plugin
from tests.conftest import PROJECT

ABOUT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
Use = Callable[[Path], object]


def test_every_place_uses_one_name() -> None:
    assert ABOUT["name"] == DISTRIBUTION == ecgkit_learn.DISTRIBUTION
    assert version(DISTRIBUTION) == ecgkit.__version__
    assert any(need.startswith(f"{DISTRIBUTION}[") for need in ABOUT["optional-dependencies"]["test"])


@pytest.mark.parametrize("extra", sorted({*ABOUT["optional-dependencies"]} - {"docs", "test"}))
def test_the_tests_install_every_extra(extra: str) -> None:
    own = next(need for need in ABOUT["optional-dependencies"]["test"] if need.startswith(DISTRIBUTION))
    assert extra in own.partition("[")[2].rstrip("]").split(",")


def install(folder: Path, name: str, version: str, points: str = "") -> None:
    """Write a dist-info, which is what pip leaves of a distribution."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(points)


def start(folder: Path) -> subprocess.CompletedProcess[str]:
    """Start the program as its script does, with `folder` before all that is installed."""
    program = "import ecgkit_learn, sys; sys.argv = ['ecgkit', '--version']; ecgkit_learn.main()"
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: the distribution ecgkit 0.4.0 is installed beside ecgkit-learn")
    assert "Run: pip uninstall ecgkit ecgkit-learn, then install ecgkit-learn again." in done.stderr


def test_it_refuses_to_start_beside_the_other_project(tmp_path: Path) -> None:
    install(tmp_path, "ecgkit", "0.4.0")
    assert_refused(start(tmp_path))


def test_it_refuses_to_start_with_its_files_overwritten(tmp_path: Path) -> None:
    """The other project's package shadows ours, and does not even import."""
    install(tmp_path, "ecgkit", "0.4.0")
    (tmp_path / "ecgkit").mkdir()
    (tmp_path / "ecgkit" / "__init__.py").write_text("import a_library_that_nobody_has\n")
    assert_refused(start(tmp_path))


def test_other_distributions_do_not_matter(tmp_path: Path) -> None:
    install(tmp_path, "ecgkit-other", "0.4.0")
    assert start(tmp_path).stdout == f"ecgkit {ecgkit.__version__}\n"


def test_an_earlier_install_of_this_project_is_in_the_way_only_beside_the_present_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert ecgkit_learn.foreign_distribution() is None
    install(tmp_path, "ecgkit", "0.0.9", "[ecgkit]\nstmem = ecgkit_stmem\n")
    assert ecgkit_learn.foreign_distribution() is None
    install(tmp_path / "too", DISTRIBUTION, "0.1.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "too")])
    found = ecgkit_learn.foreign_distribution()
    assert found is not None
    assert found.version == "0.0.9"


def read_code15(folder: Path) -> None:
    from ecgkit.datasets.code15 import Code15

    (folder / "exams.csv").write_text("exam_id\n")
    Code15(folder).sources()


def fit_tiny(folder: Path) -> None:
    from ecgkit.text.config import TextConfig
    from ecgkit.text.tiny import TinyEncoder

    TinyEncoder(TextConfig(width=32, depth=1)).fit(["sinus rhythm"])


def load_bert(folder: Path) -> None:
    from ecgkit.text.huggingface import _load

    _load("AutoModel", str(folder))


def open_cluster(folder: Path) -> None:
    with open_executor(1, "127.0.0.1:1"):
        pass


def open_remote(folder: Path) -> None:
    from ecgkit.datasets.paths import open_folder

    open_folder("memory://somewhere")


def open_logger(name: str) -> Use:
    def open_it(folder: Path) -> None:
        from ecgkit.entries import LoggerEntry, load_target
        from ecgkit.plugins import host
        from ecgkit.training.loggers.base import LoggedRun

        load_target(host().get(LoggerEntry, name).target, name)(LoggedRun(folder, folder, {}, 0))

    return open_it


def need_onnx(folder: Path) -> None:
    from ecgkit.export.onnx import need_libraries

    need_libraries()


def detect(folder: Path) -> None:
    import numpy as np

    from ecgkit.beats.libraries import sleepecg

    sleepecg(np.zeros((1, 1, 1000)), 100, ("II",))


# Optional packages: the extra that brings each, a word of the error, its class, and a use of the package.
USES: dict[str, tuple[str, str, type[EcgkitError], Use]] = {
    "h5py": ("hdf5", "CODE-15", DatasetError, read_code15),
    "tokenizers": ("text", "tiny", PluginError, fit_tiny),
    "transformers": ("text", "transformers", PluginError, load_bert),
    "distributed": ("dask", "--dask", EcgkitError, open_cluster),
    "upath": ("remote", "memory://", DatasetError, open_remote),
    "tensorboard": ("tensorboard", "TensorBoard", RunError, open_logger("tensorboard")),
    "wandb": ("wandb", "Weights & Biases", RunError, open_logger("wandb")),
    "mlflow": ("mlflow", "MLflow", RunError, open_logger("mlflow")),
    "onnxscript": ("onnx", "ONNX", RunError, need_onnx),
    "sleepecg": ("sleepecg", "SleepECG", PluginError, detect),
}


@pytest.mark.parametrize("package", USES)
def test_a_missing_optional_package_is_named_with_the_line_that_installs_it(package, tmp_path, monkeypatch) -> None:
    extra, names, error, use = USES[package]
    assert extra in ABOUT["optional-dependencies"]
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)  # Python's way to say that there is no such module
    with pytest.raises(error) as told:
        use(tmp_path)
    assert names in str(told.value)
    assert str(told.value).endswith(install_extra(extra))
    assert f"'ecgkit-learn[{extra}]'" in install_extra(extra)


PACKAGES = [PROJECT / "ecgkit", *(PROJECT / "plugins").iterdir(), *(PROJECT / "examples").glob("*/ecgkit_*")]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_every_package_says_that_it_has_types(package: Path) -> None:
    assert (package / "py.typed").is_file()


def test_examples_depend_on_our_distribution() -> None:
    for file in (PROJECT / "examples").glob("*/pyproject.toml"):
        needs = tomllib.loads(file.read_text())["project"]["dependencies"]
        assert [need for need in needs if need.startswith("ecgkit")] == [f"{DISTRIBUTION}>=0.1.0"], file


def test_no_new_plugin_takes_the_name_of_the_distribution(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="'learn' is taken"):
        new_plugin("learn", tmp_path / "new")
