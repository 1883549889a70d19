"""Every check of the kit passes on a method that is right and fails, saying why, on one broken for it."""

import importlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from ecgkit.entries import MethodEntry
from ecgkit.errors import PluginError
from ecgkit.plugins import host
from ecgkit.testing import CHECKS, check_method, check_plugin, encoding
from ecgkit.testing.case import OPTIONS, Case
from ecgkit.testing.conformance import run_check
from ecgkit.training.loop import pretrain

MODULE = "ecgkit_broken_plugin"
GOOD = MethodEntry(
    name="broken",
    summary="for tests",
    target=f"{MODULE}:Good",
    config=f"{MODULE}_config:Config",
    presets=f"{MODULE}_config:PRESETS",
    paper="none",
    features=("per_lead",),
)
NOSY = {"target": f"{MODULE}:NosyToo", "needs": ("signal", "demographics")}
# The check, what is broken for it, and what it says.
BROKEN = [
    ("loads", {"config": f"{MODULE}:Config", "presets": f"{MODULE}:PRESETS"}, "imports torch.*inside a function"),
    ("loads", {"presets": f"{MODULE}_config:ABSENT"}, "listing broken fails.*ABSENT"),
    ("loads", {"needs": ("signal", "mood")}, "needs mood; expected some of signal"),
    ("config", {"presets": f"{MODULE}:ODD_PRESETS", "config": f"{MODULE}:OddConfig"}, "plain types"),
    ("config", {"presets": f"{MODULE}:CHANGED", "config": f"{MODULE}:Config"}, r"noise 1 comes back .* as 1\.0"),
    ("step", "Infinite", "the loss pairs has 1 of 1 values that are NaN or infinite"),
    ("gradients", "Idle", r"no gradient reaches forgotten\.bias, forgotten\.weight.*requires_grad_"),
    ("learns", "Rising", "the loss goes from .* in 20 steps.*sign of the loss"),
    ("deterministic", "Random", "pooled differs from call to call.*self.training"),
    ("deterministic", "Company", "when it is alone in its batch"),
    ("leads", "Places", "pooled differs by .* another order.*lead_ids"),
    ("leads", "Twelve", "It was raised in .*broken_plugin.py, line"),
    ("lengths", "Full", "NotImplementedError: records that end early"),
    ("lengths", "Padded", "pooled of a record that ends early differs .* at its own length.*Encoder.padding"),
    ("lengths", "FixedPadded", "differs .* when other values stand behind its end"),
    ("features", "Undeclared", "fills tokens undeclared"),
    ("features", {"features": ("per_lead", "layers")}, "leaves out layers"),
    ("features", "Wide", r"pooled is \[4, 8\]; expected \[4, 9\]"),
    ("weights", "Forgetful", "after saving and loading, pooled differs.*a parameter or a buffer"),
    ("bf16", "Narrow", "in bf16 and .* in fp32.*float"),
    ("compile", "Uncompiled", "when compiled and .* when not"),
    ("supplies", "Nosy", "training_step asks for beats.*needs of the MethodEntry"),
    ("supplies", NOSY, "the encoder asks for demographics.*Encoder.needs"),
    ("sampler", "Whimsical", "other groups for the same epoch.*the generator that it is given"),
    ("sampler", "Strangers", "rows from .* of the rows that it was given"),
    ("accumulation", "Summed", "gradient of .* between a batch in one part and in 2.*Average by record"),
    ("accumulation", "Calls", "the buffer calls differs"),
    ("clock", "Counting", "in one call and .* in the next, at the same clock.*Count no calls"),
    ("after-step", "Hasty", "after_step ran 3 times in optimiser step 0"),
    ("after-step", "Restless", "calls changes in validation"),
    ("resume", "OwnOptimizer", "after a stop .* the same to the bit"),
    ("resume", "Counting", "after a stop .* the same to the bit"),
    ("resume", "Chancy", "after a stop .* torch's generator"),
    ("two-processes", "Alone", "between one process with 22 records and two.*gather"),
]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Put the methods where every process finds them."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copy(Path(__file__).with_name("broken_plugin.py"), folder / f"{MODULE}.py")
    # Configs apart from the model, without torch, as a family has them.
    (folder / f"{MODULE}_config.py").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


CONFIG = """
from dataclasses import dataclass
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec

@dataclass(frozen=True)
class Config:
    noise: float = 0.1
    signal: SignalSpec = SignalSpec(fs=50, seconds=4, window=4, normalize="lead-zscore")
    recipe: Recipe = Recipe(epochs=2, batch_size=16, lr=0.05)

PRESETS = {"tiny": Config()}
"""


@pytest.fixture(scope="module")
def good(module: Path) -> Case:
    return Case(GOOD)


# What `Good` has nothing for, and other methods that are right.
WITHOUT = {"accumulation": "fewest_records", "sampler": "no sampler", "augmentations": "no views", "built-on": "no run"}
RIGHT = [
    ("lengths", "Alike"),
    ("accumulation", "Alike"),
    ("accumulation", "Teacher"),
    ("clock", "Teacher"),
    ("after-step", "Teacher"),
    ("compile", "Buffered"),
    ("resume", "Teacher"),
    ("resume", "TwoOptimizers"),
    ("learns", "TwoOptimizers"),
    ("sampler", "Pairs"),
    ("resume", "Pairs"),
    ("augmentations", "Viewed"),
]


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_what_is_right_passes(good: Case, check: str) -> None:
    result = run_check(good, check)
    if check in WITHOUT:
        assert (result.outcome, WITHOUT[check] in result.why) == ("skipped", True)
    else:
        assert (result.outcome, result.why) == ("ok", "")


@pytest.mark.slow
@pytest.mark.parametrize(("check", "name"), RIGHT)
def test_other_methods_that_are_right_pass(module: Path, check: str, name: str) -> None:
    result = run_check(Case(entry_of(name)), check)
    assert (result.outcome, result.why) == ("ok", "")


def entry_of(change: object) -> MethodEntry:
    """The entry of a class, or the right one with some fields changed."""
    if change == "Viewed":
        return replace(GOOD, config=f"{MODULE}:ViewedConfig", presets=f"{MODULE}:VIEWED")
    return replace(GOOD, **(change if isinstance(change, dict) else {"target": f"{MODULE}:{change}"}))


@pytest.mark.slow
@pytest.mark.parametrize(("check", "change", "says"), BROKEN, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_broken_fails_and_says_why(module: Path, check: str, change: object, says: str) -> None:
    result = run_check(Case(entry_of(change)), check)
    assert result.outcome == "failed"
    assert re.search(says, result.why), result.why
    assert "\n" not in result.why


def test_views_that_depend_on_what_was_made_before_fail(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = count()
    monkeypatch.setattr("ecgkit.signal.augment.views.load_augmentation", lambda _: lambda x, *_: x + next(made))
    result = run_check(Case(entry_of("Viewed")), "augmentations")
    assert (result.outcome, "differ when they are made again" in result.why) == ("failed", True)


@pytest.mark.parametrize(
    ("name", "outcome", "says"),
    [("Built", "ok", "^$"), ("Good", "failed", "the config names the run .*parent, and built_on does not")],
)
def test_runs_that_a_method_is_built_on_are_named_and_recorded(
    module: Path, good: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, outcome: str, says: str
) -> None:
    parent = Case(host().get(MethodEntry, "stmem"))
    tiny = replace(parent.config, width=16, depth=1, heads=1, decoder_width=16, decoder_depth=1)
    pretrain(parent.entry, tiny, good.store, tmp_path / "parent", OPTIONS)
    plugin = importlib.import_module(MODULE)
    presets = {"tiny": plugin.BuiltConfig(parent=str(tmp_path / "parent"))}
    monkeypatch.setattr(plugin, "BUILT", presets, raising=False)
    entry = replace(GOOD, target=f"{MODULE}:{name}", config=f"{MODULE}:BuiltConfig", presets=f"{MODULE}:BUILT")
    result = run_check(Case(entry), "built-on")
    assert result.outcome == outcome, result.why
    assert re.search(says, result.why)


def test_a_parent_that_is_no_run_fails(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = importlib.import_module(MODULE)
    monkeypatch.setattr(plugin, "BUILT", {"tiny": plugin.BuiltConfig(parent="absent")}, raising=False)
    entry = replace(GOOD, target=f"{MODULE}:Built", config=f"{MODULE}:BuiltConfig", presets=f"{MODULE}:BUILT")
    assert run_check(Case(entry), "built-on").outcome == "failed"


def test_padding_that_is_declared_is_allowed(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(replace(GOOD, target=f"{MODULE}:Padded"))
    monkeypatch.setattr(type(case.method().encoder), "padding", "zeros")
    assert run_check(case, "lengths").outcome == "ok"


def test_every_check_can_fail() -> None:
    assert {check for check, _, _ in BROKEN} | {"augmentations", "built-on"} == set(CHECKS)


def test_a_machine_without_a_compiler_skips_code_generation(good: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = run_check(Case(GOOD, compiler="inductor"), "compile")
    assert (result.outcome, "no C++ compiler" in result.why) == ("skipped", True)


def test_names_that_are_not_there_are_refused() -> None:
    with pytest.raises(PluginError, match="no method 'stmen'.*Did you mean 'stmem'"):
        check_method("stmen")
    with pytest.raises(PluginError, match="no check 'lead'.*Did you mean 'leads'"):
        check_method("stmem", checks=["lead"])


def test_a_plugin_without_methods_has_its_entries_loaded() -> None:
    results = check_plugin("core-heads")
    assert {result.outcome for result in results} == {"ok"}
    assert "head linear" in {result.subject for result in results}


def test_the_command_prints_a_table_or_json_and_fails_with_code_3(ecgkit, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = ecgkit("plugins", "check", "stmem", "--only", "config")
    assert shown.code == 0
    assert "1 ok" in shown.out
    monkeypatch.setattr(encoding, "TOLERANCE", -1.0)  # nothing is as near as that
    failed = ecgkit("plugins", "check", "stmem", "--only", "deterministic", "--json")
    assert failed.code == 3
    [row] = json.loads(failed.out)
    assert (row["subject"], row["check"], row["outcome"]) == ("method stmem", "deterministic", "failed")
    assert ecgkit("plugins", "check", "nothing").code == 2
