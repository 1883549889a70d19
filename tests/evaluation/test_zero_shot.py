"""Zero-shot, lead sets and their matrix: rows that say what was asked, with which leads, and what was seen."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ecgkit.cli.probe_show import show_row
from ecgkit.errors import ConfigError, LeadError
from ecgkit.evaluation.heads.zero_shot import read_prompts, seen_as
from ecgkit.evaluation.protocols.lead_sets import LeadSet, parse_lead_sets
from ecgkit.evaluation.results.facts import Facts
from ecgkit.evaluation.results.row import ResultRow, find_rows
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import open_reports
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch
from ecgkit.reporting.page.sentences import sentences
from ecgkit.reporting.pictures.heat_map import draw_heat_map
from ecgkit.reporting.tables.lead_matrix import lead_map, summarise_leads
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.tasks.loading import find_task, load_task
from ecgkit.training.data import Windows
from ecgkit.training.run import open_run
from ecgkit.training.supply import UNREAD, entity_values
from tests.api.runs import make_run
from tests.evaluation.probing import check_predicts_again

FAST = ["recipe.epochs=1", "width=16", "depth=1", "heads=1", "head_width=16", "projection=16", "text.width=16"]
FASTER = ["channels=4", "hidden=16", "projection=16", "recipe.epochs=1", "text.width=16"]


def settings(values: list[str]) -> list[str]:
    return [word for value in values for word in ("--set", value)]


@pytest.fixture(scope="module")
def store(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort with entity labels."""
    path = tmp_path_factory.mktemp("reports") / "cohort.zarr"
    shutil.copytree(cohort_store, path)
    extract_knowledge(open_reports(path), LexiconBackend(), ExtractOptions(min_count=5, keep_children=True))
    return path


def pretrained(method: str, changes: list[str], store: Path, run: Path) -> Path:
    from ecgkit.config import override
    from ecgkit.entries import MethodEntry
    from ecgkit.methods import method_config
    from ecgkit.plugins import host
    from ecgkit.training.loop import PretrainOptions, pretrain

    entry = host().get(MethodEntry, method)
    _, config = method_config(entry, "tiny")
    pretrain(entry, override(config, changes), Store(store), run, PretrainOptions("tiny", device="cpu"))
    return run


@pytest.fixture(scope="module")
def kmerl(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained("kmerl", FAST, store, tmp_path_factory.mktemp("runs") / "kmerl")


@pytest.fixture(scope="module")
def merl(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained("merl", FASTER, store, tmp_path_factory.mktemp("runs") / "merl")


@pytest.mark.slow
def test_a_run_keeps_the_entities_and_gives_the_whole_method(kmerl: Path, store: Path) -> None:
    run = open_run(kmerl)
    assert "atrial fibrillation" in run.config.entities.names
    method = run.method().eval()
    assert method.trained_names() == run.config.entities.names
    x, ids = torch.randn(2, 3, 1000), torch.tensor([0, 1, 7])
    with torch.no_grad():
        scores = method.class_scores(Batch(x, ids, torch.arange(2)), method.class_vectors(["sinus rhythm", "pacing"]))
    assert scores.shape == (2, 2)


def test_rows_of_zero_shot_say_what_was_seen_and_asked(
    kmerl: Path, store: Path, ecgkit: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    done = ecgkit(
        "probe",
        kmerl,
        "--data",
        store,
        "--task",
        "simulated",
        "--head",
        "zero-shot",
        "--leads",
        "12",
        "--leads",
        "I,II",
        "--leads",
        "random:2:2",
        "--device",
        "cpu",
        "--out",
        out,
    )
    assert done.code == 0, done.err
    found = find_rows([out])
    rows = [row for _, row in found]
    check_predicts_again(found[0][0].parent, store)
    assert {row.lead_set: row.leads for row in rows} | {"12": STANDARD_LEADS, "I+II": ("I", "II")} == {
        row.lead_set: row.leads for row in rows
    }
    assert len(rows) == 4
    for row in rows:
        seen = {c.label: c.seen for c in row.classes}
        assert seen["AF"] == "atrial fibrillation"
        assert seen["IAVB"] == "first degree atrioventricular block"
        assert "no label of the task was trained on" in row.facts.head["zero-shot"]
        assert "AF as 'atrial fibrillation'" in sentences(row)["seen classes"]
        assert "the model saw nothing else" in sentences(row)["leads"]
        scored = [c.auroc for c in row.classes if c.auroc is not None]
        assert row.macro_auroc == pytest.approx(np.mean(scored))
    assert (out / "leads-simulated-zero-shot-12_I+II_random-2-2-seed0.png").read_bytes().startswith(b"\x89PNG")
    details = out / "results-simulated-zero-shot-12_I+II_random-2-2-seed0.csv"
    assert str(details) in done.out.replace("\n", "")
    assert len(details.read_text().splitlines()) == 1 + sum(1 + len(row.classes) for row in rows)
    assert "range" in done.out  # over the two random sets
    shown = [line for line in done.out.splitlines() if not line.startswith(("input: ", "warning: "))]
    assert len(shown) < 14, "a summary, and the details in a file"
    show_row(rows[0], out)
    assert "seen as" in capsys.readouterr().out
    assert "random:2" in done.out


@pytest.mark.slow
def test_independent_queries_change_the_row_and_its_words(
    kmerl: Path, store: Path, ecgkit: Callable, tmp_path: Path
) -> None:
    command = ("probe", kmerl, "--data", store, "--task", "simulated", "--head", "zero-shot", "--device", "cpu")
    done = ecgkit(*command, "--independent-queries", "--out", tmp_path / "a")
    assert done.code == 0, done.err
    ((_, row),) = find_rows([tmp_path / "a"])
    assert row.facts.head["queries"] == "each apart from the others"


@pytest.mark.slow
def test_prompts_are_asked_by_label_and_merl_says_that_it_fills_with_zeros(
    merl: Path, store: Path, ecgkit: Callable, tmp_path: Path
) -> None:
    labels = ["AF", "IAVB", "LBBB", "LVH", "NSR", "PVC", "RBBB", "SB", "STE", "STach"]
    (tmp_path / "prompts.json").write_text(json.dumps({label: f"{label} in words" for label in labels}))
    command = ("probe", merl, "--data", store, "--task", "simulated", "--head", "zero-shot", "--device", "cpu")
    done = ecgkit(*command, "--prompts", tmp_path / "prompts.json", "--leads", "watch", "--out", tmp_path / "r")
    assert done.code == 0, done.err
    ((_, row),) = find_rows([tmp_path / "r"])
    assert "prompts of prompts.json" in row.facts.head["zero-shot"]
    assert "zeros in place of the others" in sentences(row)["leads"]
    assert {c.seen for c in row.classes} == {""}
    (tmp_path / "prompts.json").write_text(json.dumps({"AF": "x"}))
    refused = ecgkit(*command, "--prompts", tmp_path / "prompts.json", "--out", tmp_path / "s")
    assert refused.code == 2
    assert "lacks IAVB, LBBB" in refused.err


def test_mistakes_are_one_clear_line(
    kmerl: Path, store: Path, cohort_store: Path, ecgkit: Callable, tmp_path: Path
) -> None:
    random = ("probe", "--method", "kmerl", "--random-init", "--preset", "tiny", "--data", store, "--task", "simulated")
    for command, message in (
        ((*random, "--head", "zero-shot"), "is an encoder alone; expected a pretrained run"),
        (("probe", kmerl, "--data", store, "--task", "simulated", "--independent-queries"), "--head zero-shot"),
        (("probe", kmerl, "--data", store, "--task", "simulated", "--leads", "V9X"), "lead 'V9X' is unknown"),
        (("probe", kmerl, "--data", store, "--task", "simulated", "--perturb", "noise=foo:3dB"), "noise of em, bw, ma"),
        (("probe", kmerl, "--data", store, "--task", "simulated", "--perturb", "noise=em:x"), "levels in dB from"),
        (
            ("probe", kmerl, "--data", store, "--task", "simulated", "--layers", "all", "--head", "zero-shot"),
            "cannot be fitted on one layer",
        ),
        (
            ("pretrain", "--method", "kmerl", "--preset", "tiny", "--data", cohort_store, "--out", tmp_path / "x"),
            "ecgkit extract-knowledge",
        ),
    ):
        done = ecgkit(*command)
        assert done.code == 2, command
        assert message in " ".join(done.err.split())
        assert "Traceback" not in done.err


@pytest.mark.slow
def test_zero_shot_on_disturbed_records(kmerl: Path, store: Path, ecgkit: Callable, tmp_path: Path) -> None:
    command = ("probe", kmerl, "--data", store, "--task", "simulated", "--head", "zero-shot", "--device", "cpu")
    done = ecgkit(*command, "--perturb", "noise=em,em+bw+ma:20,-10dB", "--out", tmp_path / "noise")
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "noise" / "levels.csv")
    assert table["perturbation"].tolist() == ["clean", *["em"] * 2, *["em+bw+ma"] * 2]
    assert table["level"].tolist() == [np.inf, 20, -10, 20, -10]
    assert table["auroc"].between(0, 1).all()
    assert table["loss"].isna().all()  # a run holds no report, so there is nothing to contrast with
    assert (tmp_path / "noise" / "levels.png").read_bytes().startswith(b"\x89PNG")
    assert "clean" in done.out
    # The clean row is the probe's own number, and the same command gives the same rows.
    assert ecgkit(*command, "--out", tmp_path / "r").code == 0
    ((_, row),) = find_rows([tmp_path / "r"])
    assert table["auroc"][0] == pytest.approx(row.macro_auroc)
    assert ecgkit(*command, "--perturb", "noise=em,em+bw+ma:20,-10dB", "--out", tmp_path / "again").code == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "again" / "levels.csv"), table)
    # Leads that are asked for are those that fall off.
    done = ecgkit(*command, "--leads", "I", "--perturb", "lead-off=0,1,2,3", "--out", tmp_path / "off")
    assert done.code == 0, done.err
    off = pd.read_csv(tmp_path / "off" / "levels.csv")
    assert off["level"].tolist() == [0, 1, 2, 3]
    assert (off["auroc_change"] == 0).all()  # of one lead none may fall off
    assert off["auroc"][0] != table["auroc"][0]


def test_other_heads_take_lead_sets_too(merl: Path, store: Path, ecgkit: Callable, tmp_path: Path) -> None:
    command = ("probe", merl, "--data", store, "--task", "simulated", "--leads", "3", "--leads", "1", "--device", "cpu")
    done = ecgkit(*command, "--out", tmp_path / "r")
    assert done.code == 0, done.err
    assert {row.lead_set: row.leads for _, row in find_rows([tmp_path / "r"])} == {"3": ("I", "II", "V2"), "1": ("I",)}


def test_a_view_of_few_leads_is_scaled_over_those_alone(cohort_store: Path) -> None:
    spec = SignalSpec(fs=100, seconds=10, normalize="record-minmax", crop="start")
    full = open_view(Store(cohort_store), spec)
    few = open_view(Store(cohort_store), SignalSpec(**{**vars(spec), "leads": ("I", "V2")}))
    rows = np.arange(3)
    got = Windows(full.only(("V2", "I")), np.zeros(120, np.int64))[rows]
    expected = Windows(few, np.zeros(120, np.int64))[rows]
    assert got.lead_ids.tolist() == [0, 7]
    torch.testing.assert_close(got.signal, expected.signal)
    with pytest.raises(LeadError, match="V9"):
        full.only(("V9",))


def test_named_lead_sets() -> None:
    names = "12 6 3 2 1 limb precordial II I+II V2,I,II 8 watch"
    named = {found.name: found.leads for found in parse_lead_sets(names.split())}
    assert [len(leads) for leads in named.values()] == [12, 6, 3, 2, 1, 6, 6, 1, 2, 3, 8, 1]
    assert named["watch"] == ("I",)
    assert named["I+II+V2"] == ("I", "II", "V2")
    singles = parse_lead_sets("all-single")
    assert [found.leads for found in singles] == [(lead,) for lead in STANDARD_LEADS]
    for text in ("", "I+I", "I,I", "I+Q", "I+X", "random:13:2", "random:3", "random:1:13", "random:0:1", "random:a:1"):
        with pytest.raises(ConfigError, match="expected"):
            parse_lead_sets(text)
    for text in ("12,limb", "12,6,3,I,II", "1,2", "I,random:2:2", "limb+all-single"):
        with pytest.raises(ConfigError, match="repeat the option"):
            parse_lead_sets(text)


def test_random_subsets_are_different_and_the_same_every_time() -> None:
    first, second = parse_lead_sets("random:3:20"), parse_lead_sets("random:3:20")
    assert first == second
    assert len({found.leads for found in first}) == 20
    assert all(len(found.leads) == 3 and found.group == "random:3" for found in first)
    assert parse_lead_sets("random:3:5") == first[:5]
    assert len(parse_lead_sets("random:1:12")) == 12


def test_names_are_seen_by_spelling_or_by_the_lexicon() -> None:
    names = {"A": "First-degree atrioventricular block", "B": "premature ventricular complexes", "C": "Brugada pattern"}
    trained = ("first degree atrioventricular block", "premature ventricular complex", "sinus rhythm")
    assert seen_as(names, trained) == {"A": trained[0], "B": trained[1], "C": ""}
    assert set(seen_as(names, ()).values()) == {""}


@pytest.mark.parametrize("content", ["[1]", "{", '{"A": 3}'])
def test_prompts_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(ConfigError, match="JSON object"):
        read_prompts(tmp_path / "p.json", {"A": "a"})


@pytest.mark.parametrize("name", ["ptbxl-super", "ptbxl-sub", "ptbxl-form", "ptbxl-rhythm", "cpsc2018", "csn"])
def test_the_published_prompts_have_one_for_every_class(name: str, shared: Path) -> None:
    task = load_task(find_task(name))
    names = {label: entry.name for label, entry in task.labels.items()}
    prompts = read_prompts(shared / "data" / "prompts" / "merl_ckepe.json", names)
    assert len(prompts) == len(names) and all("," in prompt or " " in prompt for prompt in prompts)
    published = json.loads((shared / "data" / "prompts" / "merl_ckepe.json").read_text(encoding="utf-8"))
    assert list(prompts) == [published[label] for label in names]


def test_entities_of_unread_reports_are_unknown(store: Path) -> None:
    values = entity_values(Store(store))
    assert set(np.unique(values)) <= {0, 1, 2, UNREAD}
    assert values.shape[0] == 120


def fake_row(lead_set: str, value: float, task: str = "t", run: str = "r") -> ResultRow:
    return ResultRow(
        run=run,
        method="m",
        preset="",
        weights="pretrained",
        store="s",
        dataset="d",
        task=task,
        task_title="T",
        head="zero-shot",
        leads=("I",),
        fraction=1.0,
        seed=0,
        macro_auroc=value,
        macro_interval=(value - 0.1, value),
        macro_auprc=None,
        classes=(),
        counts={},
        facts=Facts(),
        warnings=(),
        contract={},
        hashes={},
        environment={},
        seconds=1.0,
        lead_set=lead_set,
    )


def test_the_matrix_holds_every_row_once_and_random_sets_are_summarised(tmp_path: Path) -> None:
    sets = [LeadSet("I", ("I",), "I"), *parse_lead_sets("random:2:3")]
    rows = [fake_row(s.name, 0.6 + 0.1 * i, task) for task in ("a", "b") for i, s in enumerate(sets)]
    heat = lead_map(rows)
    assert heat.columns == ("a", "b")
    assert heat.lines == tuple(s.name for s in sets)
    np.testing.assert_allclose(heat.values, [[0.6, 0.6], [0.7, 0.7], [0.8, 0.8], [0.9, 0.9]])
    assert heat.texts[0][0] == "60.0\n50.0–60.0"
    twice = lead_map([*rows, replace(fake_row("I", 0.8, "a"), seed=1)])
    assert (twice.texts[0][0], twice.texts[0][1]) == ("70.0\n± 14.1", "60.0\n50.0–60.0")
    lines = summarise_leads(rows, [s.group for s in sets] * 2)
    assert [(line.leads, line.sets) for line in lines] == [("I", 1), ("random:2", 3)] * 2
    assert lines[1].value == pytest.approx(0.8)
    assert lines[1].bounds == pytest.approx((0.7, 0.9))
    assert lines[1].text == "80.0 (range 70.0–90.0)"
    draw_heat_map(heat, tmp_path / "m.png", title="r")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


def test_a_comma_joins_the_leads_of_one_set_and_several_sets_are_named_one_by_one(ecgkit, tmp_path: Path) -> None:
    [pair] = parse_lead_sets("II,I")
    assert (pair.name, pair.leads) == ("I+II", ("I", "II"))
    assert parse_lead_sets(["I,II", "I+II", "V1"]) == (pair, *parse_lead_sets("V1"))
    run = make_run(tmp_path / "run", "lamae")
    done = ecgkit("probe", run, "--data", "x.zarr", "--task", "simulated", "--leads", "12,limb")
    assert done.code == 2
    assert done.err.strip().endswith("For several sets, repeat the option, such as: --leads 12 --leads limb")
    two = ("--leads", "I", "--leads", "II", "--perturb", "lead-off=0,1")
    assert "an analysis with 2 lead sets: I, II" in ecgkit("probe", run, "--data", "x", "--task", "simulated", *two).err


def test_the_files_of_a_grid_are_named_after_its_lead_sets_and_amounts() -> None:
    from ecgkit.api.probe import LONGEST_NAME, _grid_name

    asked = (["simulated"], "linear")
    grids = ("12", ["12", "limb"], ["I,II"], ["I", "II"], ["random:3:20"], [f"V{i}" for i in range(1, 7)] * 9)
    names = [
        _grid_name(*asked, sets, {"fraction": share, "labels": ()}, 0) for sets in grids for share in ((), (1, 10))
    ]
    assert len(set(names)) == len(names)
    assert all(len(name) < LONGEST_NAME + 60 and not set(name) & set(":/, ") for name in names)
    assert "simulated-linear-I+II-fraction-1-10-seed0" in names
