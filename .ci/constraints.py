"""Print the versions of the packages that ecgkit needs when it runs, as they are installed here.

Run it in the environment in which the tests passed:

    python .ci/constraints.py > constraints.txt

It follows the requirements of the distribution and of its optional parts, without those of the tests and the
documentation. A build such as ``2.13.0+cpu`` is written as its public version, which every index has.
"""

import re
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = "ecgkit-learn"
LEFT_OUT = {"docs", "test"}


def needed(name: str, extras: frozenset[str], found: dict[str, str], seen: set[tuple[str, frozenset[str]]]) -> None:
    """Add the version of a distribution and of all that it needs, by name."""
    if (name, extras) in seen:
        return
    seen.add((name, extras))
    try:
        about = distribution(name)
    except PackageNotFoundError:  # of another platform, or of a build that is not installed
        return
    found[name] = Version(about.version).public
    for line, extra in product(about.requires or (), extras | {""}):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            needed(normalised(requirement.name), frozenset(requirement.extras), found, seen)


def normalised(name: str) -> str:
    """Return a distribution's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Print one line per distribution, sorted by name."""
    found: dict[str, str] = {}
    extras = frozenset(distribution(ROOT).metadata.get_all("Provides-Extra") or ()) - LEFT_OUT
    needed(ROOT, extras, found, set())
    del found[ROOT]
    print("# Tested versions. Install with: pip install -c constraints.txt .")
    print("# Written by: python .ci/constraints.py > constraints.txt")
    for name, version in sorted(found.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
