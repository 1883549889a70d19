"""The kit for authors of plugins: checks that a method keeps the promises that the rest of ecgkit relies on.

``ecgkit plugins check NAME`` prints them as a table. In a plugin's own tests one line makes each of them a test::

    from ecgkit.testing import method_tests

    test_my_method = method_tests("my_method")

They run on a CPU, on a small simulated store, in a minute or two for a small preset.
"""

from ecgkit.testing.conformance import CHECKS, check_method, check_plugin
from ecgkit.testing.pytest_form import method_tests
from ecgkit.testing.result import CheckFailed, CheckResult, CheckSkipped

__all__ = ["CHECKS", "CheckFailed", "CheckResult", "CheckSkipped", "check_method", "check_plugin", "method_tests"]
