"""Test kit for plugin authors: checks that a method behaves as the rest of ecgkit requires.

``ecgkit plugins check NAME`` prints the results as a table. In a plugin's own tests, one line makes a test per check::

    from ecgkit.testing import method_tests

    test_my_method = method_tests("my_method")

The checks run on a CPU, on a small simulated store. They take a minute or two for a small preset.
"""

from ecgkit.testing.conformance import CHECKS, OF_ENCODERS, check_method, check_plugin
from ecgkit.testing.pytest_form import method_tests
from ecgkit.testing.result import CheckFailed, CheckResult, CheckSkipped

__all__ = [
    "CHECKS",
    "OF_ENCODERS",
    "CheckFailed",
    "CheckResult",
    "CheckSkipped",
    "check_method",
    "check_plugin",
    "method_tests",
]
