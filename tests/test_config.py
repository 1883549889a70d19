import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

from ecgkit.config import build, fingerprint, merge, override, read_yaml, to_dict, write_yaml
from ecgkit.errors import ConfigError
from ecgkit.recipe import Recipe
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    depth: int = 4
    inner: Inner = Inner()
    maybe: Inner | None = None
    names: tuple[str, ...] = ("x",)
    by_name: dict[str, Inner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError("depth must be at least 1")


def test_assignments_reach_nested_fields_and_are_coerced() -> None:
    changed = override(Outer(), ["depth=7", "inner.rate=1e-3", "inner.kind=b", "maybe.rate=2", "names=[p, q]"])
    assert changed == Outer(7, Inner(1e-3, "b"), Inner(2.0), ("p", "q"))
    assert override(changed, ["maybe=null"]).maybe is None
    assert Outer() == Outer(4, Inner())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("dept=3", "Did you mean 'depth'?"),
        ("inner.rat=3", "Did you mean 'rate'?"),
        ("maybe.kin=a", "'kind'"),
        ("depth", "KEY=VALUE"),
        ("depth.x=1", "has no fields of its own"),
        ("depth=deep", "depth = 'deep'"),
        ("inner.kind=c", "inner.kind = 'c'"),
        ("depth=0", "at least 1"),
        ("depth=2.5", "integer"),
        ("depth=[", "a YAML value"),
        ("depth=!!bool x", "a YAML value"),
        pytest.param("depth=" + "[" * 5000, "a YAML value", id="deep"),
        ("inner={rat: 3}", "Did you mean 'rate'?"),
        ("inner=3", "inner = 3"),
        ("depth={rate: 3}", "depth = "),
    ],
)
def test_a_wrong_assignment_names_key_value_and_remedy(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=".*") as error:
        override(Outer(), [assignment])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_broken_rule_is_told_by_itself() -> None:
    with pytest.raises(ConfigError) as error:
        override(Outer(), ["depth=0"])
    assert str(error.value) == "--set: depth must be at least 1"


def test_an_assigned_mapping_changes_only_what_it_names() -> None:
    base = Outer(2, Inner(0.5, "b"))
    assert override(base, ["inner={rate: 9}"]) == merge(base, {"inner": {"rate": 9}}) == Outer(2, Inner(9.0, "b"))
    assert override(base, ["maybe={kind: b}", "maybe={rate: 3}"]).maybe == Inner(3.0, "b")


@dataclass(frozen=True)
class Root:
    outer: Outer = Outer()


def test_a_mapping_is_checked_against_the_class_that_it_reaches() -> None:
    assert override(Root(), ["outer.inner={kind: b}"]).outer.inner == Inner(1.0, "b")
    with pytest.raises(ConfigError, match="inner: unknown key 'depth'; expected one of rate"):
        override(Root(), ["outer.inner={depth: 1}"])


def test_a_message_shows_no_more_than_the_start_of_a_value() -> None:
    with pytest.raises(ConfigError) as error:
        build(Outer, {"depth": 0, "names": ["name"] * 500})
    assert len(str(error.value)) < 200
    assert "at least 1" in str(error.value)


@pytest.mark.parametrize("values", [None, 5, [1], "text"])
def test_what_is_no_mapping_builds_nothing(values: Any) -> None:
    for make in (lambda: build(Outer, values, source="here"), lambda: merge(Outer(), values, source="here")):
        with pytest.raises(ConfigError, match="here holds .* a mapping of settings"):
            make()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Butterworth, {"order": 0}),
        (Butterworth, {"low": 40.0}),
        (Butterworth, {"low": -1.0}),
        (Butterworth, {"high": math.inf}),
        (Butterworth, {"low": math.nan}),
        (Recipe, {"epochs": 0}),
        (Recipe, {"batch_size": 0}),
        (Recipe, {"lr": math.nan}),
        (Recipe, {"lr": math.inf}),
        (Recipe, {"warmup_epochs": -1}),
        (Recipe, {"weight_decay": -0.1}),
        (Recipe, {"betas": (0.9, 1.0)}),
        (Recipe, {"clip": 0}),
        (Recipe, {"clip": math.inf}),
        (SignalSpec, {"fs": math.inf}),
        (SignalSpec, {"seconds": math.nan}),
        (SignalSpec, {"window": math.inf}),
        (SignalSpec, {"window": math.nan}),
        (SignalSpec, {"eval_starts": (math.nan,)}),
        (SignalSpec, {"fs": 0.01}),
    ],
)
def test_impossible_settings_are_refused_by_name(kind: type, wrong: dict[str, Any]) -> None:
    values = ({"fs": 250.0, "seconds": 9.0} if kind is SignalSpec else {}) | wrong
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"{'filter edge' if name in ('low', 'high') else name}"):
        build(kind, values)


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = Outer(2, Inner(0.5, "b"), Inner(), ("ü",), {"k": Inner(3.0)})
    write_yaml(tmp_path / "c.yaml", to_dict(config))
    assert build(Outer, read_yaml(tmp_path / "c.yaml")) == config


def test_a_file_changes_only_what_it_names() -> None:
    base = Outer(2, Inner(0.5, "b"))
    assert merge(base, {"inner": {"rate": 9}}) == Outer(2, Inner(9.0, "b"))
    with pytest.raises(ConfigError, match="inner: unknown key 'rte'"):
        merge(base, {"inner": {"rte": 9}})


@pytest.mark.slow
@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "", "\x00", "a: !!bool x", pytest.param("[" * 5000, id="deep")])
def test_a_file_that_is_no_mapping_is_one_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(ConfigError, match="YAML"):
        read_yaml(tmp_path / "c.yaml")


def test_yaml_cannot_build_objects(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: !!python/object/apply:os.system ['echo hit']")
    with pytest.raises(ConfigError):
        read_yaml(tmp_path / "c.yaml")


def test_fingerprint_depends_on_values_not_on_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(Inner()) != fingerprint(Inner(2.0))
    assert fingerprint(Inner()) == fingerprint(to_dict(Inner()))


def test_aliases_of_aliases_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in pairwise("abcdefghij")]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"with its aliases it holds more than 1,000,000 values"):
        read_yaml(tmp_path / "bomb.yaml")
    (tmp_path / "loop.yaml").write_text("a: &a [*a]\n")
    with pytest.raises(ConfigError, match="an alias contains itself"):
        read_yaml(tmp_path / "loop.yaml")
    (tmp_path / "fair.yaml").write_text("base: &b {lr: 1}\nother: {<<: *b, wd: 2}\n")
    assert read_yaml(tmp_path / "fair.yaml")["other"] == {"lr": 1, "wd": 2}
