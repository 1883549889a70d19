"""What a study takes: the arithmetic against plain formulas, and the pages of the studies against the arithmetic."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from types import ModuleType, SimpleNamespace

import pytest
import torch

import ecgkit as library
from ecgkit.api import study as api
from ecgkit.api.study_cells import OpenedStudy, places
from ecgkit.entries import MethodEntry
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.heads.end_to_end import RECIPE
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.suites.file import Suite
from ecgkit.methods import Batch, chosen_config
from ecgkit.plugins import host
from ecgkit.recipe import Recipe
from ecgkit.signal.compact import record_type
from ecgkit.studies import costs
from ecgkit.studies.costs import (
    GPU,
    UTILISATION,
    CellCost,
    Counter,
    ProbeCosts,
    counter,
    hours_of,
    run_bytes,
    view_bytes,
)
from ecgkit.studies.file import StudyProbe, read_study
from ecgkit.studies.grid import Asked, Run, runs_of
from ecgkit.training.cost import PEAKS_BF16, Cost, count_cost, forward_flops
from tests.conftest import PROJECT

PAGES = sorted((PROJECT / "docs" / "studies").glob("*.md"))
NAMES = [page.stem for page in PAGES]
ENCODE = 1e9
COST = Cost(3_000_000, 2_000_000, 4e9, 10, 1.0, False, 1_000_000, ENCODE, {"pooled": 8, "tokens": 80, "layers": 24})


def page_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("costs", PROJECT / "docs" / "studies" / "costs.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def table(page: Path) -> dict[str, list[str]]:
    """Return the rows of a page's table by the name of the training."""
    maker = page_maker()
    block = page.read_text(encoding="utf-8").partition(maker.BEGIN)[2].partition(maker.END)[0]
    lines = [line.strip("| ").split(" | ") for line in block.splitlines() if line.startswith("|")]
    assert tuple(lines[0]) == maker.COLUMNS
    return {line[0]: line[1:] for line in lines[2:]}


def file_of(page: Path) -> Path:
    return PROJECT / "examples" / "studies" / f"{page.stem}.yaml"


@contextmanager
def no_counting() -> Iterator[Counter]:
    yield lambda entry, config: COST


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_names_the_trainings_of_its_study_and_computes_as_the_dry_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "counter", no_counting)
    monkeypatch.chdir(tmp_path)
    plan = library.plan_study(file_of(page))
    printed = table(page)
    cells: dict[str, list[CellCost]] = {}
    for cell in plan.cells:
        if cell.kind == "training":
            cells.setdefault(cell.name.rpartition(", seed ")[0], []).append(cell.cost)
    assert list(printed) == list(cells)
    for name, own in cells.items():
        runs, gflop, records, epochs, hours, _ = printed[name]
        assert (int(runs), int(records.replace(",", "")), int(epochs)) == (
            len(own),
            own[0].records,
            own[0].epochs,
        )
        bounds = [(1 + end) * float(gflop) * 1e9 * own[0].records * own[0].epochs for end in (-5e-4, 5e-4)]
        low, high = (float(page_maker().written(len(own) * hours_of(bound))) for bound in bounds)
        assert low <= float(hours) <= high, name
    probes = sum(cell.kind == "probes" for cell in plan.cells)
    assert f"encoders of {probes} cells of probes" in " ".join(page.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_counts_the_cells_of_its_study(page: Path, tmp_path: Path, cohort_store: Path) -> None:
    study = read_study(file_of(page))
    opened = OpenedStudy(study, tmp_path, places(study, tmp_path, dict.fromkeys(study.stores, cohort_store)))
    counts: dict[str, list[int]] = {}
    for each in opened.asked():
        of_table = counts.setdefault(each.probe.cell, [0, 0])
        of_table[0] += 1
        of_table[1] += len(each.requests)
    text = page.read_text(encoding="utf-8").partition("## Cells")[2].partition("## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")][2:]
    assert {row[0]: [int(row[2]), int(row[3])] for row in rows} == counts


@pytest.mark.slow  # a model at full size
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_first_training_of_a_page_is_counted_again(page: Path) -> None:
    first: Run = runs_of(read_study(file_of(page)))[0]
    entry, _, config = first.resolve()
    with counter() as count:
        counted = count(entry, config)
    assert isinstance(counted, Cost), counted
    runs, gflop, *_, disk = table(page)[first.cell]
    assert gflop == f"{counted.flops / 1e9:.4g}"
    assert disk == f"{int(runs) * run_bytes(counted.parameters, counted.trained) / 1e9:.1f}"


def test_the_operations_of_an_encoder_equal_the_formula() -> None:
    """Embedding, and in each block four projections, two layers, and two products of attention, of each lead alone."""
    entry = host().get(MethodEntry, "lamae")
    _, config = chosen_config(entry, "ind-shared-tiny", None, [])
    method = entry.load()(config)
    B, L = 2, 12
    batch = Batch(torch.randn(B, L, config.signal.samples), torch.arange(L), torch.arange(B))
    counted = count_cost(method, batch, Recipe(precision="fp32"))
    n, D, p, hidden = config.patches, config.width, config.patch, int(config.width * config.mlp_ratio)
    block = 2 * n * (4 * D * D + 2 * D * hidden) + 4 * n * n * D
    assert counted.encode_flops == L * (2 * n * p * D + config.depth * block)
    assert counted.encoder_parameters == sum(part.numel() for part in method.encoder.parameters())
    assert counted.numbers["pooled"] == D and counted.numbers["tokens"] == L * n * D
    assert counted.flops > 0 and counted.tokens == L * n


def test_a_step_of_random_size_is_a_mean_over_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-MERL keeps one to three leads per batch, so its steps differ; those of ST-MEM do not."""
    setup = SimpleNamespace(method=None, recipe=None, batch=lambda records: None, cost=lambda: replace(COST, flops=6.0))
    sizes = [1.0, 2.0, 3.0, 2.0, 1.0, 3.0, 2.0]
    monkeypatch.setattr(costs, "forward_flops", lambda method, batch, recipe, seed: sizes[seed % len(sizes)])
    found = costs._mean_cost(setup)  # type: ignore[arg-type]
    drawn = sizes[:4]
    while stdev(drawn) / len(drawn) ** 0.5 / fmean(drawn) > costs.PRECISION:
        drawn.append(sizes[len(drawn) % len(sizes)])
    assert found.flops == pytest.approx(6 * fmean(drawn)) and len(drawn) > 4
    monkeypatch.setattr(costs, "forward_flops", lambda method, batch, recipe, seed: 5.0)
    assert costs._mean_cost(setup).flops == 6  # type: ignore[arg-type]


def test_counting_a_forward_pass_changes_nothing() -> None:
    _, config = chosen_config(host().get(MethodEntry, "lamae"), "tiny", None, [])
    method = host().get(MethodEntry, "lamae").load()(config).eval()
    batch = Batch(torch.randn(2, 12, config.signal.samples), torch.arange(12), torch.arange(2))
    before, state = torch.random.get_rng_state(), {k: v.clone() for k, v in method.state_dict().items()}
    counted = {forward_flops(method, batch, Recipe(precision="fp32"), seed) for seed in (0, 1)}
    whole = count_cost(method, batch, Recipe(precision="fp32")).flops * 2
    assert len(counted) == 1 and 2 < whole / counted.pop() < 3.2
    assert torch.equal(torch.random.get_rng_state(), before) and not method.training
    assert all(torch.equal(value, state[name]) for name, value in method.state_dict().items())


def test_hours_and_disk_are_what_they_say() -> None:
    assert hours_of(1e18) == pytest.approx(1e18 / (PEAKS_BF16[GPU] * UTILISATION * 3600))
    # Two checkpoints with weights, two moments and the best weights; and the best weights beside them.
    assert run_bytes(10, 7) == 4 * (2 * (10 + 2 * 7 + 10) + 10)
    _, config = chosen_config(host().get(MethodEntry, "stmem"), "tiny", None, [])
    spec = config.signal
    samples = round((spec.window or spec.seconds) * spec.fs)
    assert view_bytes(spec, 7) == 7 * record_type(len(spec.leads), samples).itemsize
    assert view_bytes(spec, 1) == len(spec.leads) * (2 * samples + 8)


def asked(probe: StudyProbe | None = None, number: int = 1, **of_request: object) -> Asked:
    request = {"encoder": EncoderChoice(run="runs/a"), **of_request}
    requests = tuple(ProbeRequest("p.zarr", "ptbxl-super", **request) for _ in range(number))  # type: ignore[arg-type]
    return Asked(probe or StudyProbe("p", suite=Suite()), "a", "", requests, "a", ("p",))


def test_a_record_is_encoded_once_for_all_cells_that_read_the_same_features() -> None:
    _, config = chosen_config(host().get(MethodEntry, "stmem"), "tiny", None, [])
    crops, of_probes = len(config.signal.eval_offsets), ProbeCosts()

    def takes(cell: Asked) -> tuple[float, float]:
        cost = of_probes.of(cell, config, COST, [1000])
        assert cost.hours is not None and cost.disk is not None
        return cost.hours / hours_of(ENCODE * crops), cost.disk

    assert takes(asked(number=9)) == (pytest.approx(1000), 4 * 8 * 1000)
    assert takes(asked(head="knn")) == (0, 0)
    assert takes(asked(leads="I")) == (pytest.approx(1000), 4 * 8 * 1000)
    assert takes(asked(head="attention-pooling"))[1] == 2 * 80 * crops * 1000
    assert takes(asked(head="hug"))[1] == 4 * 8 * 12 * 1000  # each lead has the width of the record
    assert takes(asked(StudyProbe("l", layers="all", suite=Suite())))[1] == 4 * 24 * 1000
    noise = StudyProbe("n", perturb=("noise=em,bw:24,12,0dB",), suite=Suite())
    assert takes(asked(noise)) == (pytest.approx(0.1 * 6 * 1000), 0)
    assert takes(asked(head="zero-shot")) == (pytest.approx(1000), 0)  # it reads the method, so nothing is cached


def test_training_the_encoder_takes_steps_validation_and_room_for_it() -> None:
    _, config = chosen_config(host().get(MethodEntry, "stmem"), "tiny", None, [])
    scratch = EncoderChoice(method="stmem", weights="scratch", preset="tiny")
    for of_request, epochs, trained in (
        ({"head": "fine-tune", "head_settings": ("recipe.epochs=4",), "amount": Amount(percent=10)}, 4, 80),
        ({"head": "fine-tune", "amount": Amount(count=50)}, RECIPE.epochs, 50),
        ({"encoder": scratch}, RECIPE.epochs, 800),
        ({"encoder": scratch, "epochs": 2}, 2, 800),
    ):
        cost = ProbeCosts().of(asked(number=3, **of_request), config, COST, [1000])
        assert cost.hours == pytest.approx(hours_of(ENCODE * 3 * (epochs * (3 * trained + 100) + 1000)))
        assert cost.disk == 3 * 4 * 1_000_000
    kept = ProbeCosts().of(asked(head="fine-tune", keep_head=False), config, COST, [1000])
    assert kept.disk == 0
    assert ProbeCosts().of(asked(), config, None, [1000]) == CellCost()
    assert ProbeCosts().of(asked(), config, COST, [0]) == CellCost(note="the number of records of p is not known")
    assert ProbeCosts().of(asked(), config, "no texts", [9]) == CellCost(note="no texts")
