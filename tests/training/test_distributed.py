"""Many processes train what one would; batches cut, dealt and accumulated lose and double nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecgkit.errors import RunError
from ecgkit.training.plan import cut, deal
from ecgkit.training.processes import Processes, first_host, meeting_point, placement, requeued
from tests.processes import run_in_processes
from tests.training.standins import PairConfig, assert_equal, train, train_one


@given(n=st.integers(1, 40), parts=st.integers(1, 5), processes=st.integers(1, 6))
def test_a_cut_batch_counts_every_record_once(n: int, parts: int, processes: int) -> None:
    batch = np.arange(100, 100 + n)
    cuts = [cut(batch, parts=parts, processes=processes, rank=rank) for rank in range(processes)]
    assert len({len(pieces) for pieces in cuts}) == 1  # all take part in every exchange
    counted = [row for pieces in cuts for piece in pieces for row in piece.rows[: piece.counted]]
    assert sorted(counted) == batch.tolist()
    # The mean over processes of the weighted means is the mean over the batch.
    value = {row: float(row**2) for row in batch}
    total = sum(piece.weight * np.mean([value[row] for row in piece.rows]) for pieces in cuts for piece in pieces)
    assert total / processes == pytest.approx(np.mean(list(value.values())))
    assert all(len(piece.rows) >= 1 and piece.sizes[r] == piece.counted for r, p in enumerate(cuts) for piece in p)


@given(n=st.integers(1, 30), processes=st.integers(1, 7))
def test_dealt_batches_count_once_and_every_process_has_as_many(n: int, processes: int) -> None:
    batches = [np.array([i]) for i in range(n)]
    dealt = [deal(batches, processes=processes, rank=rank) for rank in range(processes)]
    assert len({len(hand) for hand in dealt}) == 1
    assert sorted(int(rows[0]) for hand in dealt for _, rows, counts in hand if counts) == list(range(n))


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True])
def test_two_processes_of_8_train_what_one_of_16_trains(cohort_store: Path, tmp_path: Path, shard: bool) -> None:
    options = {"workers": 0, "shard": shard}
    run_in_processes(2, train_one, cohort_store, tmp_path / "two", "Pairs", PairConfig(), options, None)
    # Validation compares the records of a batch, which two processes make half as large.
    train(cohort_store, tmp_path / "one", config=PairConfig())
    drop_validation(tmp_path / "one", tmp_path / "two")
    assert_equal(tmp_path / "one", tmp_path / "two", 1e-5)


def drop_validation(*runs: Path) -> None:
    import json

    for run in runs:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        kept = [{k: v for k, v in line.items() if not k.startswith("val_")} for line in lines]
        (run / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in kept))


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [3, 16])
def test_accumulated_parts_train_what_the_whole_batch_trains(
    cohort_store: Path, tmp_path: Path, accumulate: int
) -> None:
    config = PairConfig()
    parts = replace(config, recipe=replace(config.recipe, accumulate=accumulate))
    train(cohort_store, tmp_path / "whole", "Plain", config)
    train(cohort_store, tmp_path / "parts", "Plain", parts)
    assert_equal(tmp_path / "whole", tmp_path / "parts", 1e-5)


def agreed(rank: int) -> tuple[list[bool], float, list[int], str]:
    from ecgkit.training.processes import joined

    with joined("cpu") as processes:
        flags = processes.agree([rank == 1, False])
        total = float(processes.total({"a": torch.tensor(rank + 1.0)})["a"])
        ranks = [int(t) for t in processes.collect(torch.tensor([rank]))]
        try:
            processes.in_turn(lambda: 1 / 0 if rank == 0 else 5)
        except ZeroDivisionError:
            return flags, total, ranks, "its own error"
        except RunError:
            return flags, total, ranks, "told"
    return flags, total, ranks, "nothing"


@pytest.mark.slow
def test_processes_agree() -> None:
    assert [result[:3] for result in run_in_processes(2, agreed)] == [([True, False], 3.0, [0, 1])] * 2
    assert [result[3] for result in run_in_processes(2, agreed)] == ["its own error", "told"]
    alone = Processes()
    assert alone.agree([True]) == [True]
    assert alone.in_turn(lambda: 3) == 3


SLURM = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
    "SLURM_NTASKS": "8",
}


def test_launchers_say_who_a_process_is_and_where_they_meet() -> None:
    assert placement({}) is None
    assert placement({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}) == Processes(3, 4, 1)
    assert placement({"RANK": "0", "WORLD_SIZE": "1"}) is None
    assert placement(SLURM) == Processes(5, 8, 1)
    assert meeting_point(SLURM) == {"MASTER_ADDR": "gpu03", "MASTER_PORT": str(20_000 + 14_567)}
    assert meeting_point({"MASTER_ADDR": "here", "MASTER_PORT": "1"}) == {}
    batch_step = {k: v for k, v in SLURM.items() if not k.startswith("SLURM_STEP")}
    assert placement(batch_step) is None  # the script itself, not a task of srun


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("big1", "big1"), ("gpu[03-05,9],big1", "gpu03"), ("a1,a2", "a1"), ("n[7]", "n7"), ("r-1[2,4]x", "r-12x")],
)
def test_the_first_host_of_a_slurm_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


def test_a_command_that_was_started_again_is_recognised() -> None:
    assert not requeued({})
    assert not requeued({"SLURM_RESTART_COUNT": "0"})
    assert requeued({"SLURM_RESTART_COUNT": "2"})
    assert requeued({"TORCHELASTIC_RESTART_COUNT": "1"})
