"""The checks as pytest tests, by one line in a plugin's test file."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ecgkit.entries import MethodEntry
from ecgkit.plugins import host
from ecgkit.testing.case import Case
from ecgkit.testing.conformance import CHECKS, run_check


@functools.cache
def _case(name: str, preset: str, compiler: str, settings: tuple[str, ...]) -> Case:
    return Case(host().get(MethodEntry, name), preset, compiler, settings)


def method_tests(
    *names: str,
    preset: str = "",
    checks: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    compiler: str = "aot_eager",
    settings: Sequence[str] = (),
) -> Any:
    """Return a test that pytest runs once per method and check.

    Example:
        ``test_my_method = ecgkit.testing.method_tests("my_method")`` in a test file.

    Args:
        names: Registered methods.
        preset: Preset to check. By default ``tiny`` if the method has it, otherwise its first preset.
        checks: Names of the checks; empty for all.
        leave_out: Names of checks to leave out.
        compiler: See `ecgkit.testing.check_method`.
        settings: Settings that differ from the preset, such as ``depth=1``: checks of smaller models are faster.
    """
    import pytest

    chosen = [check for check in CHECKS if check not in leave_out and (not checks or check in checks)]

    @pytest.mark.parametrize("check", chosen)
    @pytest.mark.parametrize("name", names)
    def test_method(name: str, check: str) -> None:
        result = run_check(_case(name, preset, compiler, tuple(settings)), check)
        if result.outcome == "skipped":
            pytest.skip(result.why)
        assert result.outcome == "ok", result.why

    test: Callable[[str, str], None] = test_method
    return test
