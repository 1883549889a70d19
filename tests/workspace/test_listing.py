"""``ecgkit tasks``, ``heads`` and ``encoders``: everything that can be named, and what fits a store or a run."""

import json
import re
from pathlib import Path

import pytest

import ecgkit as library
from ecgkit.entries import HeadEntry, TaskEntry
from ecgkit.plugins import host
from tests.api.runs import make_run


def test_tasks_that_fit_a_store_come_first_with_their_counts(ecgkit, cohort_store: Path) -> None:
    found = json.loads(ecgkit("tasks", "--data", cohort_store, "--json").out)
    assert {task["name"] for task in found} == set(host().entries(TaskEntry))
    by_name = {task["name"]: task for task in found}
    assert by_name["simulated"]["fits"] and by_name["simulated"]["predicts"] == "classes"
    assert 0 < by_name["simulated"]["records"] <= 120 and by_name["simulated"]["labels"] > 0
    assert by_name["ptbxl-super"] | {"fits": False, "records": None} == by_name["ptbxl-super"]
    marks = [task["fits"] for task in found]
    assert marks == sorted(marks, reverse=True)
    shown = ecgkit("tasks", "--data", cohort_store)
    assert f"{sum(marks)} fit the store" in shown.out
    assert "ecgkit probe --task" in shown.err
    assert all(task.fits is None for task in library.list_tasks())


def test_heads_that_fit_a_run(ecgkit, tmp_path: Path) -> None:
    fits = {
        family: {head.name: head.fits for head in library.list_heads(run=make_run(tmp_path / family, family))}
        for family in ("kmerl", "lamae", "hierarchical")
    }
    assert all(set(found) == set(host().entries(HeadEntry)) for found in fits.values())
    assert all(found["linear"] and found["fine-tune"] for found in fits.values())
    assert [fits[family]["zero-shot"] for family in fits] == [True, False, False]
    assert not fits["kmerl"]["own"]
    listed = ecgkit("heads", "--run", tmp_path / "lamae")
    [row] = [line for line in listed.out.splitlines() if line.startswith("zero-shot")]
    assert "no: lacks scores of classes by their names" in row
    absent = ecgkit("heads", "--run", tmp_path / "absent")
    assert absent.code == 2 and "absent" in absent.err


def test_encoders_say_their_input_and_size_and_what_a_store_lacks(ecgkit, cohort_store: Path) -> None:
    from ecgkit.entries import MethodEntry, load_target

    entry = host().get(MethodEntry, "kmerl")
    presets = load_target(entry.presets, "kmerl")
    [tiny] = [found for found in library.list_encoders("kmerl", data=cohort_store) if found.preset == "tiny"]
    method = entry.load()(presets["tiny"])
    assert tiny.parameters == sum(p.numel() for p in method.parameters())
    assert tiny.encoder_parameters == sum(p.numel() for p in method.encoder.parameters())
    assert tiny.contract == str(presets["tiny"].signal)
    assert tiny.fits is False and f"ecgkit extract-knowledge {cohort_store}" in tiny.lacks
    [paper] = [found for found in library.list_encoders("kmerl", data=cohort_store) if found.preset == "paper"]
    assert "no entities of extraction 'model'" in paper.lacks
    shown = ecgkit("encoders", "stmem", "--data", cohort_store)
    assert shown.out.count("can be trained on the store") == len(library.list_encoders("stmem"))
    assert ecgkit("encoders", "stmen").code == 2


@pytest.mark.parametrize(("option", "command"), [("--task", "tasks"), ("--head", "heads"), ("--preset", "encoders")])
def test_the_help_of_an_option_says_where_to_look(ecgkit, option: str, command: str) -> None:
    text = " ".join(ecgkit("probe", "--help").out.split())
    after = re.split(rf" {option}[ ,]", text, maxsplit=1)[1]
    assert f"List them with: ecgkit {command}" in after[:400]
