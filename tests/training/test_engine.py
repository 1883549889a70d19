"""What the engine stands on: costs, means, precision, checkpoints, and attention in whichever form is fastest."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ecgkit.choices import choosing, chosen
from ecgkit.errors import RunError
from ecgkit.evaluation.probe.online import OnlineProbe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.methods import Batch
from ecgkit.nn.attention import attend
from ecgkit.optimizers import build_optimizer
from ecgkit.recipe import Recipe
from ecgkit.store.reader import Store
from ecgkit.training import optimization
from ecgkit.training.checkpoints import Checkpoint, Progress, latest_checkpoint, save_checkpoint, sums_of
from ecgkit.training.cost import count_cost, measure_peak
from ecgkit.training.estimate import estimate
from ecgkit.training.meters import Means
from ecgkit.training.optimization import autocast, precision, trained_parameters
from ecgkit.training.options import PretrainOptions
from ecgkit.training.processes import Processes
from tests.training.standins import PairConfig, Pairs, Plain, entry, train

CPU = torch.device("cpu")


@pytest.mark.parametrize("masked", [False, True])
def test_attention_written_out_is_torchs_function(masked: bool) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 8)
    allowed = torch.rand(2, 1, 7, 7) > 0.3 if masked else None
    if allowed is not None:
        allowed[..., 0] = True
    exact = attend(q, k, v, allowed)
    rough = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), allowed)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().max() < 0.03  # bf16 has 8 bits


def test_what_a_record_costs_is_counted_and_leaves_no_trace() -> None:
    method = Plain(PairConfig())
    method.register_buffer("seen", torch.zeros(1))
    batch = Batch(torch.randn(4, 12, 200), torch.arange(12), torch.arange(4))
    before = torch.get_rng_state()
    cost = count_cost(method, batch, PairConfig().recipe)
    # Two layers of 12 x 8 and two of 8 x 8, 2 FLOPs a weight: once forwards, once for the weights' gradients, and once
    # for the inputs' of the blocks.
    assert cost.flops == 2 * (2 * 2 * 96 + 3 * 2 * 64)
    assert (cost.parameters, cost.trained) == (2 * (96 + 8) + 2 * (64 + 8) + 1, 2 * (96 + 8) + 2 * (64 + 8) + 1)
    assert cost.idle  # the temperature of a method that has no use for it
    assert cost.tokens is None
    assert cost.memory(10) - cost.memory(0) == pytest.approx(10 * cost.graph_bytes)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in method.parameters())
    assert measure_peak(CPU, torch.float32) > 1e8


def test_means_weigh_by_records_and_go_on_from_their_sums() -> None:
    means = Means()
    means.add({"a": torch.tensor(1.0)}, 3)
    again = Means(means.sums())
    again.add({"a": torch.tensor(5.0)}, 1)
    again.add({"a": torch.tensor(100.0)}, 0)
    assert again.means(Processes()) == {"a": 2.0}


def test_precision_follows_what_the_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = Recipe(precision="auto")
    for has in (True, False):
        monkeypatch.setattr(optimization, "multiplies_bf16", lambda device, has=has: has)
        assert precision(auto, CPU) == ("bf16" if has else "fp32")
        assert precision(replace(auto, precision="fp32"), CPU) == "fp32"
        with autocast(auto, CPU):
            assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == (torch.bfloat16 if has else torch.float32)


def checkpoint(step: int, processes: int = 2) -> Checkpoint:
    method = Pairs(PairConfig())
    rng = {f"{rank}/cpu": torch.get_rng_state() for rank in range(processes)}
    sums = {f"{rank}/loss": torch.tensor(rank + 1.0).double() for rank in range(processes)}
    model = method.state_dict()
    return Checkpoint(Progress(step=step), processes, {"model": model, "optimizer": {}, "rng": rng, "sums": sums})


def test_the_last_checkpoints_are_kept_and_the_last_whole_one_is_read(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, checkpoint(step), keep=2)
    paths = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in paths] == ["step-00000002", "step-00000003"]
    assert {p.suffix for p in paths[0].iterdir() if p.name != ".ecgkit"} == {".safetensors", ".json"}
    (paths[1] / "state.json").write_text("{")
    warned: list[str] = []
    found = latest_checkpoint(tmp_path, warned.append)
    assert found is not None
    assert found.progress.step == 2
    assert "step-00000003 is damaged" in warned[0]
    assert [float(sums_of(found, rank, 2)["loss"]) for rank in (0, 1)] == [1, 2]
    assert [float(sums_of(found, rank, 3)["loss"]) for rank in (0, 1, 2)] == [3, 0, 0]
    (paths[0] / "rng.safetensors").unlink()
    with pytest.raises(RunError, match="every checkpoint of .* is damaged"):
        latest_checkpoint(tmp_path, warned.append)


def test_a_group_of_vectors_and_one_of_matrices_share_one_fused_step() -> None:
    optimizer = build_optimizer(Recipe(weight_decay=0.1), trained_parameters(Pairs(PairConfig())))
    assert optimizer.defaults["fused"]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


def test_an_estimate_counts_steps_and_time(cohort_store: Path) -> None:
    found = estimate(entry("Pairs"), PairConfig(), Store(cohort_store), PretrainOptions(device="cpu"), processes=2)
    assert found.steps == 14
    assert found.seconds == pytest.approx(14 * found.step_seconds)
    assert "= 2 processes x 1 parts x 8" in str(found.beginning)


def test_statistics_of_embeddings_are_watched_and_not_minimised(cohort_store: Path, tmp_path: Path) -> None:
    [first, _] = train(cohort_store, tmp_path / "run", workers=0)
    assert 1 <= first["val_embedding_rank"] <= 8
    assert 0 <= first["val_embedding_variance"] <= 1
    assert first["val_loss"] == pytest.approx(first["val_pairs"] + first["val_size"], rel=1e-6)
    assert "train_embedding_rank" not in first


def test_a_probe_on_the_way_disturbs_nothing(cohort_store: Path) -> None:
    probe = OnlineProbe(ProbeRequest(str(cohort_store), "simulated", cache=None), entry("Pairs"), PairConfig())
    method = Pairs(PairConfig())
    weights = {name: value.clone() for name, value in method.state_dict().items()}
    score = probe(1, method)["probe_macro_auroc"]
    assert score is None or 0 <= score <= 1
    assert all(torch.equal(value, weights[name]) for name, value in method.state_dict().items())


def test_a_compiled_step_trains_what_a_plain_one_trains(
    cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Traced as on a GPU, but without a minute of C++.
    eager = lambda self: setattr(self, "_compiled_call_impl", torch.compile(self._call_impl, backend="eager"))  # noqa: E731
    monkeypatch.setattr(nn.Module, "compile", eager)
    config = replace(PairConfig(), recipe=replace(PairConfig().recipe, epochs=1))
    plain = train(cohort_store, tmp_path / "plain", "Plain", config, workers=0)
    compiled = train(cohort_store, tmp_path / "compiled", "Plain", config, workers=0, compile=True)
    assert compiled[0]["train_loss"] == pytest.approx(plain[0]["train_loss"], rel=1e-4)


def test_a_step_is_compiled_by_default_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, and only with a C compiler, which slim containers lack."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    with choosing():
        assert not PretrainOptions().compiles(gpu)
        assert "C compiler" in str(chosen()[0])
    assert PretrainOptions(compile=True).compiles(cpu)
    (tmp_path / "gcc").write_text("#!/bin/sh\n")
    (tmp_path / "gcc").chmod(0o755)
    assert PretrainOptions().compiles(gpu)
    assert not PretrainOptions().compiles(cpu)
    assert not PretrainOptions(compile=False).compiles(gpu)
