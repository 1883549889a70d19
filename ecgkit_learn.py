"""Start the ``ecgkit`` program, unless another project's package of that name is installed beside it or over it.

This distribution is called ``ecgkit-learn``; its package and its command are called ``ecgkit``. Another project's
distribution is called ``ecgkit`` and has a package of that name too. Whichever is installed last overwrites files of
the other, so this module looks before it imports anything from ``ecgkit``.
"""

import sys
from importlib.metadata import Distribution, distributions

DISTRIBUTION = "ecgkit-learn"
PACKAGE = "ecgkit"  # also the group of our entry points
BAD_INPUT = 2


def foreign_distribution() -> Distribution | None:
    """Return the installed distribution that claims our package, or None.

    A distribution called ``ecgkit`` that declares plugins of ours is this project under its earlier name. It is in the
    way only beside the present one.
    """
    for found in distributions(name=PACKAGE):
        ours = any(point.group == PACKAGE for point in found.entry_points)
        if not ours or any(distributions(name=DISTRIBUTION)):
            return found
    return None


def main() -> None:
    """Run the program; exit with code 2 and one line if another distribution claims its package."""
    other = foreign_distribution()
    if other is not None:
        print(
            f"error: the distribution {PACKAGE} {other.version} is installed beside {DISTRIBUTION}, and both write to "
            f"the package '{PACKAGE}'. Run: pip uninstall {PACKAGE} {DISTRIBUTION}, then install {DISTRIBUTION} again.",
            file=sys.stderr,
        )
        sys.exit(BAD_INPUT)
    from ecgkit.cli import program

    program()
