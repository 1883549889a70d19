"""Layers, perturbations and pictures of what is rebuilt, on a small store with beats."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from ecgkit.beats.peaks import FOLDER, write_peaks
from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import ConfigError, LeadError, RunError, StoreError
from ecgkit.evaluation.analyses import pretraining_loss
from ecgkit.evaluation.analyses.blocks import run_layers
from ecgkit.evaluation.analyses.layers import mean_cosine, token_statistics
from ecgkit.evaluation.analyses.noise import noise_ratio
from ecgkit.evaluation.analyses.perturbations import PERTURBATIONS, noise_of, parse_disturbances, shift_leads
from ecgkit.evaluation.analyses.query import Query, parse_query, query_map, refuse_query
from ecgkit.evaluation.analyses.robustness import perturbed_view
from ecgkit.evaluation.features.encoder import untrained_encoder
from ecgkit.evaluation.probe.opened import OpenedTask
from ecgkit.evaluation.results.facts import SplitFacts
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Clock, method_config
from ecgkit.nn.attention import watching
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.store.views import View, before_filter, open_view
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.run import Run
from ecgkit.training.supply import open_supplies
from tests.training import standins
from tests.training.standins import PairConfig
from tests.training.test_sampling import train_siblings

SIZES = {
    "clear": ("width=16", "depth=2", "heads=2", "hidden=16", "decoder_width=16", "decoder_depth=1"),
    "stmem": ("width=16", "depth=2", "heads=1", "head_width=16", "decoder_width=16", "decoder_depth=1"),
}


@pytest.fixture(scope="module")
def beat_store(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated store with the peaks that its simulator wrote."""
    path = tmp_path_factory.mktemp("beats") / "cohort.zarr"
    shutil.copytree(cohort_store, path)
    store = Store(path)
    (path / FOLDER).mkdir()
    peaks = [[int(p) for p in record] for record in store.table["rpeaks"]]
    columns = {"record_id": store.table["record_id"].tolist(), "rpeaks": peaks, "flag": [""] * len(peaks)}
    write_peaks(path / FOLDER, pa.table(columns), {"store_sha256": store.content_hash})
    return path


@pytest.fixture(scope="module")
def runs(beat_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small trained run of each masked family."""
    from ecgkit.config import override
    from ecgkit.training.loop import PretrainOptions, pretrain

    out = tmp_path_factory.mktemp("runs")
    for name, sizes in SIZES.items():
        entry = host().get(MethodEntry, name)
        _, config = method_config(entry, "tiny")
        small = override(config, [*sizes, "recipe.epochs=2", "decoder_heads=1"])
        metrics = pretrain(entry, small, Store(beat_store), out / name, PretrainOptions(preset="tiny"))
        assert metrics[-1]["val_loss"] < metrics[0]["val_loss"]
    return {name: out / name for name in SIZES}


def encoder_and_batch(name: str, beat_store: Path):
    entry, store = host().get(MethodEntry, name), Store(beat_store)
    encoder = untrained_encoder(entry, "", method_config(entry, "tiny")[1], weights="random-init", seed=0).encoder
    view = open_view(store, method_config(entry, "tiny")[1].signal)
    supplies = open_supplies(encoder.needs, store, view)
    return encoder.eval(), view, supplies, Windows(view, evaluation_starts(view, 0), supplies)[np.array([3, 8])]


@torch.no_grad()
@pytest.mark.parametrize("name", list(SIZES))
def test_similarity_and_entropy_against_plain_loops(name: str, beat_store: Path) -> None:
    encoder, view, supplies, batch = encoder_and_batch(name, beat_store)
    found = token_statistics(encoder, view, np.array([3, 8]), supplies)
    weights: list[Tensor] = []
    with watching(encoder, lambda i, w: weights.append(w)):
        outputs, tokens, real = run_layers(encoder, batch)
    assert len(outputs) == len(weights) == len(encoder.blocks)
    assert list(outputs) == list(range(len(weights)))
    torch.testing.assert_close(encoder.norm(outputs[len(outputs) - 1]), tokens)
    for layer in (0, len(outputs) - 1):
        x = outputs[layer]
        index = torch.arange(weights[layer].shape[2], dtype=torch.float32)[None, :, None].expand(2, -1, 1)
        places = encoder.block_tokens(index, tokens.shape[1])[..., 0].long()
        cosines, entropies = [], []
        for b in range(2):
            own = x[b][real[b]]
            unit = own / own.norm(dim=-1, keepdim=True)
            pairs = unit @ unit.T
            cosines.append(pairs[~torch.eye(len(own), dtype=torch.bool)].mean().item())
            w = weights[layer][b][:, places[b][real[b]]].double()
            entropies.append(-(w * w.clamp(min=1e-300).log()).sum(-1).mean().item())
        assert found.of(layer)["similarity"] == pytest.approx(np.mean(cosines), abs=1e-4)
        assert found.of(layer)["entropy"] == pytest.approx(np.mean(entropies), abs=1e-4)
        assert found.of(layer)["entropy"] <= found.of(layer)["entropy_limit"]


@torch.no_grad()
def test_blocks_that_see_one_lead_at_a_time_are_measured_over_all_tokens_of_a_record(beat_store: Path) -> None:
    encoder, view, supplies, batch = encoder_and_batch("lamae", beat_store)
    found = token_statistics(encoder, view, np.array([3, 8]), supplies)
    left: list[Tensor] = []
    encoded = encoder.encode_leads(batch.signal, batch.lead_ids, None, None, left.append)
    K = encoded.tokens.shape[2]
    assert found.keys == {0: K, 1: K, 2: K, 3: 1 + 12 * K, 4: 1 + 12 * K}
    for layer in range(3):
        tokens = left[1 + layer].unflatten(0, (2, 12)).flatten(1, 2)
        own = mean_cosine(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool)).mean().item()
        assert found.of(layer)["similarity"] == pytest.approx(own, abs=1e-5)
        assert 0 < found.of(layer)["entropy"] <= found.of(layer)["entropy_limit"]


@torch.no_grad()
@pytest.mark.parametrize(("lead", "time"), [("V1", 2.51), ("aVF", 0.0), ("II", 7.3)])
def test_the_map_of_a_patch_against_plain_cosines(lead: str, time: float, beat_store: Path) -> None:
    encoder, view, supplies, batch = encoder_and_batch("stmem", beat_store)
    store, patch, fs = Store(beat_store), encoder.patch, view.spec.fs
    record = store.table["record_id"][8]
    found = query_map(encoder, view, store, supplies, Query(record, lead, time), 3)
    outputs, tokens, _ = run_layers(encoder, batch)
    n, number = tokens.shape[1] // 12, STANDARD_LEADS.index(lead)
    place = int(time * fs) // patch
    assert (found.record, found.lead, found.place) == (record, lead, place)
    assert found.seconds == pytest.approx((place * patch / fs, (place + 1) * patch / fs))
    assert found.similarity.shape == (len(outputs), 12, n)
    for layer, x in outputs.items():
        for i in range(12):
            for t in range(n):
                plain = torch.cosine_similarity(x[1, i * n + t], x[1, number * n + place], dim=0).item()
                assert found.similarity[layer, i, t] == pytest.approx(plain, abs=1e-5)


@torch.no_grad()
def test_a_query_finds_the_beat_that_holds_its_time(beat_store: Path) -> None:
    encoder, view, supplies, _ = encoder_and_batch("clear", beat_store)
    store = Store(beat_store)
    record = store.table["record_id"][8]
    peaks = np.array(store.table["rpeaks"][8]) / store.table["fs"][8]  # s
    for beat in (2, 4):
        found = query_map(encoder, view, store, supplies, Query(record, "V5", float(peaks[beat])), 3)
        assert found.seconds is not None and found.seconds[0] <= peaks[beat] < found.seconds[1]
        assert ((peaks >= found.seconds[0]) & (peaks < found.seconds[1])).sum() == 1
        own = found.similarity[:, found.leads.index("V5"), found.place]
        np.testing.assert_allclose(own, 1, atol=1e-5)
    # Without a query: the middle beat of lead II of the first record.
    default = query_map(encoder, view, store, supplies, None, 3)
    real = np.flatnonzero(np.isfinite(default.similarity[0, 1]))
    assert (default.record, default.lead) == (store.table["record_id"][3], "II")
    assert default.place == real[len(real) // 2]


@torch.no_grad()
def test_a_query_reaches_the_patches_of_leads_that_are_encoded_apart(beat_store: Path) -> None:
    encoder, view, supplies, _ = encoder_and_batch("lamae", beat_store)
    found = query_map(encoder, view, Store(beat_store), supplies, Query("", "V1", 2.5), 3)
    assert found.lead == "V1"
    assert found.seconds[0] <= 2.5 < found.seconds[1]
    own = found.similarity[:, found.leads.index("V1"), found.place]
    np.testing.assert_allclose(own, 1, atol=1e-5)


def test_the_time_of_a_query_counts_from_the_start_of_the_record(beat_store: Path) -> None:
    encoder, view, supplies, _ = encoder_and_batch("stmem", beat_store)
    fs = view.spec.fs
    spec = replace(view.spec, seconds=4.8, eval_starts=(2.0,))
    later = replace(view, spec=spec)
    assert later.spec.eval_offsets[0] == 2 * fs
    found = query_map(encoder, later, Store(beat_store), supplies, Query("", "V1", 2.6), 3)
    patch = encoder.patch
    assert found.place == int(0.6 * fs) // patch
    assert found.seconds[0] <= 2.6 < found.seconds[1]
    with pytest.raises(ConfigError, match="does not read record .* at 1.9 s; expected 2 s to 6.8 s"):
        query_map(encoder, later, Store(beat_store), supplies, Query("", "V1", 1.9), 3)


def test_wrong_queries_are_refused_in_one_line(beat_store: Path) -> None:
    encoder, view, supplies, _ = encoder_and_batch("stmem", beat_store)
    store = Store(beat_store)
    present = view.present.copy()
    present[3, 6] = False
    lacking = replace(view, present=present)
    for query, kind, message in (
        (Query("nobody", "V1", 1.0), StoreError, "no record 'nobody'"),
        (Query("", "V1", 1.0), LeadError, "reads no lead V1 of record .*; expected one of I, II"),
        (Query("", "II", 10.0), ConfigError, "at 10 s; expected 0 s to "),
    ):
        with pytest.raises(kind, match=message):
            query_map(encoder, lacking, store, supplies, query, 3)
    encoder, view, supplies, _ = encoder_and_batch("clear", beat_store)
    with pytest.raises(ConfigError, match="no patch of lead II of record .* at 0.001 s; .* the nearest patch"):
        query_map(encoder, view, store, supplies, Query("", "II", 0.001), 3)
    with pytest.raises(RunError, match="does not give the lead of each token; expected one of .*lamae.*stmem"):
        refuse_query(host().get(MethodEntry, "hierarchical"))
    refuse_query(host().get(MethodEntry, "clear"))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("V1:2.5", Query("", "V1", 2.5)),
        ("v1:2.5s", Query("", "V1", 2.5)),
        ("00017:aVR:0", Query("00017", "aVR", 0.0)),
        ("site:7:II:3", Query("site:7", "II", 3.0)),
        ("", None),
    ],
)
def test_queries_are_read(text: str, query: Query | None) -> None:
    assert parse_query(text) == query


@pytest.mark.parametrize("text", ["V1", "2.5", "V1:", ":2", "V1:x", "V1:-1", "V1:nan", "V1:inf"])
def test_malformed_queries_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected LEAD:SECONDS or RECORD:LEAD:SECONDS"):
        parse_query(text)


def test_mean_cosine_of_known_tokens() -> None:
    x = torch.tensor([[[1.0, 0], [0, 2], [3, 0], [9, 9]]])
    real = torch.tensor([[True, True, True, False]])
    assert mean_cosine(x, real).item() == pytest.approx(1 / 3)


def test_leads_are_shifted_against_each_other_and_by_no_more() -> None:
    time = np.arange(1000) / 100
    window = np.tile(np.exp(-((time - 5) ** 2) / 0.02), (12, 1)).astype(np.float32)
    moved = shift_leads(window, 100, 50, np.random.default_rng(0))
    centre = (moved * time).sum(1) / moved.sum(1) - 5  # s
    assert np.abs(centre).max() <= 0.0251
    assert np.ptp(centre) > 0.02
    assert shift_leads(window, 100, 0, np.random.default_rng(0)) is window
    # Half a sample moves half a sample: the shift is not rounded.
    fine = shift_leads(window, 100, 10, np.random.default_rng(0))
    fine_centre = (fine * time).sum(1) / fine.sum(1) - 5
    np.testing.assert_allclose(fine_centre, centre / 5, atol=1e-4)


def clear_views(store: Path) -> tuple[View, View]:
    """Return a view whose filter has run, and the same before the filter."""
    view = open_view(Store(store), method_config(host().get(MethodEntry, "clear"), "tiny")[1].signal)
    assert view.spec.window_filter
    return view, before_filter(Store(store), view)


def test_a_perturbed_view_is_the_same_each_time_and_spares_what_is_absent(beat_store: Path) -> None:
    _, view = clear_views(beat_store)
    shift = PERTURBATIONS["lead-shift"]
    other, again = (perturbed_view(view, view, shift, 20.0, seed=1).signal for _ in range(2))
    np.testing.assert_array_equal(other[5], again[5])
    np.testing.assert_array_equal(other[np.array([5, 7])][1], other[7])
    assert np.abs(other[5] - view.signal[5]).max() > 1e-3
    np.testing.assert_array_equal(perturbed_view(view, view, shift, 0.0).signal[5], view.signal[5])
    half = view.lengths.copy()
    half[5] = 500
    short = perturbed_view(replace(view, lengths=half), view, shift, 20.0).signal[5]
    np.testing.assert_array_equal(short[:, 500:], view.signal[5][:, 500:])


def test_noise_of_a_view_has_the_ratio_that_was_asked_for_in_every_real_lead(beat_store: Path) -> None:
    _, view = clear_views(beat_store)
    lengths, present = view.lengths.copy(), view.present.copy()
    lengths[5], present[5, 3] = 700, False
    view = replace(view, lengths=lengths, present=present)
    for kinds in (("em",), ("em", "bw", "ma")):
        noisy = perturbed_view(view, view, noise_of(kinds), 6.0, seed=1).signal[5]
        leads = np.flatnonzero(present[5])
        ratio = noise_ratio(view.signal[5][leads, :700], noisy[leads, :700], view.spec.fs)
        np.testing.assert_allclose(ratio, 6.0, atol=0.01)
        np.testing.assert_array_equal(noisy[3], view.signal[5][3])
        np.testing.assert_array_equal(noisy[:, 700:], view.signal[5][:, 700:])


def test_the_filter_of_the_contract_has_its_chance_against_noise(beat_store: Path) -> None:
    view, recorded = clear_views(beat_store)
    wander = noise_of(("bw",))
    undisturbed = perturbed_view(view, recorded, wander, np.inf).signal[5]
    steps = view.signal.records["scale"][5, :, :1] + recorded.signal.records["scale"][5, :, :1]
    assert (np.abs(undisturbed - view.signal[5]) <= steps).all(), "off by the rounding of both views"
    noisy, unfiltered = (perturbed_view(v, recorded, wander, 0.0, seed=1).signal[5] for v in (view, recorded))
    np.testing.assert_allclose(noisy, view.spec.filter(unfiltered.astype(float), 100.0), atol=1e-6)
    before = noise_ratio(recorded.signal[5], unfiltered, 100.0)
    after = noise_ratio(view.signal[5], noisy, 100.0)
    assert (after > before + 10).all()  # dB: wander lies below the filter's band


def test_levels_are_read() -> None:
    shift = parse_disturbances("lead-shift=0,10, 20ms,50ms,10")
    assert ([p.name for p in shift.perturbations], shift.levels) == (["lead-shift"], (0.0, 10.0, 20.0, 50.0))
    each = parse_disturbances("noise=em,bw,ma:24,0,-6dB")
    assert ([p.name for p in each.perturbations], each.levels) == (["em", "bw", "ma"], (24.0, 0.0, -6.0))
    assert each.kind.undisturbed == np.inf
    assert [p.name for p in parse_disturbances("noise=em+bw+ma:3dB").perturbations] == ["em+bw+ma"]
    assert parse_disturbances("lead-off=0,1,2,3,6").levels == (0.0, 1.0, 2.0, 3.0, 6.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shift=1", "one of lead-shift, lead-off, noise"),
        ("lead-shift=a", "levels in ms of 0 or more"),
        ("lead-shift", "levels in ms"),
        ("lead-shift=-1", "0 or more"),
        ("lead-shift=5dB", "levels in ms"),
        ("noise=foo:3dB", "noise of em, bw, ma"),
        ("noise=em:x", "levels in dB from -40 to 100"),
        ("noise=em", "levels in dB"),
        ("noise=:3", "noise of"),
        ("noise=em+em:3", "noise of"),
        ("noise", "noise of"),
        ("noise=em:3ms", "levels in dB"),
        ("noise=em:-41", "from -40 to 100"),
        ("lead-off=1.5", "whole numbers"),
        ("lead-off=12", "from 0 to 11"),
        ("lead-off=-1", "from 0 to 11"),
    ],
)
def test_wrong_perturbations_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        parse_disturbances(text)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SIZES))
def test_the_studies_of_a_run(
    name: str, runs: dict[str, Path], beat_store: Path, tmp_path: Path, ecgkit: Callable
) -> None:
    common = ("--data", beat_store, "--task", "simulated", "--out", tmp_path / "analysis")
    shown = ecgkit("probe", runs[name], *common, "--layers", "all")
    assert shown.code == 0, shown.err
    table = pd.read_csv(tmp_path / "analysis" / "layers.csv")
    assert table["layer"].tolist() == [1, 2]
    assert table[["val_auroc", "test_auroc"]].stack().between(0, 1).all()
    maps = pd.read_csv(tmp_path / "analysis" / "similarity_map.csv")
    assert maps["lead"].nunique() == 12
    assert maps["similarity"].max() == pytest.approx(1, abs=1e-5)  # the query itself
    assert (tmp_path / "analysis" / "layers.png").stat().st_size > 10_000
    about = tmp_path / "analysis" / "analysis.json"
    time = json.loads(about.read_text())["query"]["seconds"][0]
    shown = ecgkit("probe", runs[name], *common, "--layers", "2", "--query", f"V1:{time}")
    assert shown.code == 0, shown.err
    query = json.loads(about.read_text())["query"]
    assert query["lead"] == "V1" and query["seconds"][0] <= time < query["seconds"][1]
    maps = pd.read_csv(tmp_path / "analysis" / "similarity_map.csv")
    own = maps[(maps["lead"] == "V1") & (maps["token"] == query["token"])]
    assert own["similarity"].tolist() == pytest.approx([1, 1], abs=1e-5)
    refused = ecgkit("probe", runs[name], *common, "--perturb", "lead-shift=0,50ms")
    assert refused.code == 2
    assert "layer analysis" in refused.err
    common = (*common[:-1], tmp_path / "levels")
    shown = ecgkit(
        "probe", runs[name], *common, "--perturb", "lead-shift=0,50ms", "--head", "hug", "--set", "recipe.epochs=3"
    )
    assert shown.code == 0, shown.err
    table = pd.read_csv(tmp_path / "levels" / "levels.csv")
    assert table["level"].tolist() == [0, 50]
    assert table["auroc_change"][0] == table["loss_change"][0] == 0
    assert table["loss_change"][1] != 0
    assert table["loss"].notna().all()
    for wrong, message in (
        (("--layers", "3"), "numbers from 1 to 2"),
        (("--layers", "x"), "numbers from 1 to 2"),
        (("--layers", "all", "--perturb", "lead-shift=1"), "run one analysis at a time"),
        (("--layers", "all", "--fraction", "10"), "an analysis uses all"),
        (("--layers", "all", "--query", "V1"), "LEAD:SECONDS"),
        (("--layers", "all", "--query", "V1:99"), "at 99 s"),
        (("--layers", "all", "--query", "V9Q:1"), "V9Q"),
        (("--perturb", "lead-off=1", "--query", "V1:1"), "use --layers"),
        (("--perturb", "lead-off=1", "--seeds", "2"), "an analysis"),
    ):
        refused = ecgkit("probe", runs[name], *common[:-1], tmp_path / "none", *wrong)
        assert (refused.code, message in refused.err) == (2, True), refused.err
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SIZES))
def test_the_picture_of_what_is_rebuilt(
    name: str, runs: dict[str, Path], beat_store: Path, tmp_path: Path, ecgkit
) -> None:
    from ecgkit.evaluation.analyses.reconstruction import rebuild_record
    from ecgkit.training.run import open_run

    out = tmp_path / "r.png"
    shown = ecgkit("inspect", runs[name], "--reconstruct", "--data", beat_store, "--out", out)
    assert shown.code == 0, shown.err
    assert out.stat().st_size > 20_000
    one, two = (rebuild_record(open_run(runs[name]), Store(beat_store)) for _ in range(2))
    assert torch.equal(one.parts.rebuilt, two.parts.rebuilt)
    assert 0.6 < one.hidden_share < 0.95
    hidden = ~one.parts.visible & (one.parts.real if one.parts.real is not None else True)
    error = ((one.parts.rebuilt - one.parts.original) ** 2).mean(-1)[hidden].mean()
    assert one.error == pytest.approx(float(error))
    for wrong, message in (
        ((), "--out"),
        (("--data", beat_store), "--out"),
        (("--data", beat_store, "--out", tmp_path / "x"), ".png"),
        (("--data", beat_store, "--out", out, "--record", "nobody"), "no record 'nobody'"),
    ):
        refused = ecgkit("inspect", runs[name], "--reconstruct", *wrong)
        assert (refused.code, message in refused.err) == (2, True), refused.err


@pytest.mark.slow
def test_settings_go_to_the_head_or_to_the_model(
    runs: dict[str, Path], beat_store: Path, tmp_path: Path, ecgkit
) -> None:
    from ecgkit.evaluation.results.row import load_row

    common = ("--data", beat_store, "--task", "simulated", "--out", tmp_path / "r")
    quick = ("--set", "head.recipe.epochs=2")
    shown = ecgkit("probe", runs["stmem"], *common, "--head", "pma", *quick, "--set", "gate=frozen")
    assert shown.code == 0, shown.err
    assert load_row(tmp_path / "r" / "row.json").head == "pma (recipe=epochs=2, gate=frozen)"
    shown = ecgkit(
        "probe",
        "--method",
        "stmem",
        "--preset",
        "tiny",
        "--random-init",
        *common,
        "--head",
        "ppa",
        *quick,
        "--set",
        "depth=1",
        "--set",
        "width=16",
    )
    assert shown.code == 0, shown.err
    refused = ecgkit("probe", runs["stmem"], *common, "--set", "depth=1")
    assert (refused.code, "no settings" in refused.err) == (2, True)


def test_beats_are_needed_and_the_command_is_named(cohort_store: Path, ecgkit, tmp_path: Path) -> None:
    refused = ecgkit("pretrain", "--method", "clear", "--data", cohort_store, "--out", tmp_path / "run")
    assert refused.code == 2
    assert "ecgkit beats" in refused.err


@torch.no_grad()
def test_the_pretraining_loss_of_pairs_keeps_them_together(
    cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(PairConfig().recipe, epochs=1)
    with torch.enable_grad():
        train_siblings(cohort_store, tmp_path / "run", recipe, workers=0)
    entry = replace(
        standins.entry("Pairs"), target="tests.training.test_sampling:Siblings", needs=("signal", "patients")
    )
    config, store = replace(PairConfig(), recipe=recipe), Store(cohort_store)
    monkeypatch.setattr(pretraining_loss, "open_run", lambda path: Run(path, entry, config, {}))
    view = open_view(store, config.signal)
    data = task_data(load_task(host().get(TaskEntry, "simulated")), "simulated", store, view.usable)
    # Most records are tested, so that there are pairs in more than one batch.
    data = replace(data, parts={**data.parts, "test": np.concatenate(list(data.parts.values()))})
    opened = OpenedTask("simulated", store, view, data, data.rows, SplitFacts(kind="folds"))
    loss = pretraining_loss.open_pretraining_loss(tmp_path / "run", opened, torch.device("cpu"))
    assert loss is not None
    patients = store.patients
    for rows in loss.batches:
        assert len(rows) >= 4
        assert (patients[rows[::2]] == patients[rows[1::2]]).all()
    windows = Windows(view, evaluation_starts(view, view.spec.eval_offsets[0]), loss.supplies)
    each = [float(loss.method.training_step(windows[rows], Clock.end(epochs=1)).loss) for rows in loss.batches]
    sizes = [len(rows) for rows in loss.batches]
    assert sum(sizes) < len(opened.test_rows)  # patients with one record are left out, and do not count
    assert loss.of(view, seed=0) == pytest.approx(np.average(each, weights=sizes), rel=1e-6)
    single = replace(opened, data=replace(data, parts={**data.parts, "test": data.parts["test"][:1]}))
    assert pretraining_loss.open_pretraining_loss(tmp_path / "run", single, torch.device("cpu")) is None
