"""Package template for a new method, which can be installed and trained and passes its checks.

``templates/`` holds the files as Jinja templates. ``package`` in a path stands for the name of the package.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from ecgkit import __version__
from ecgkit.atomic import atomic_folder
from ecgkit.distribution import DISTRIBUTION
from ecgkit.entries import MethodEntry
from ecgkit.errors import OutputError, PluginError
from ecgkit.plugins import host

KIND = "plugin"
# Path of each template to the path of the file made from it.
FILES = {
    "pyproject.toml.j2": "pyproject.toml",
    "README.md.j2": "README.md",
    "init.py.j2": "{package}/__init__.py",
    "config.py.j2": "{package}/config.py",
    "model.py.j2": "{package}/model.py",
    "py.typed": "{package}/py.typed",
    "test.py.j2": "tests/test_{name}.py",
}


@dataclass(frozen=True)
class Names:
    """The names of a method, its package, its distribution and its class.

    Args:
        name: The method, such as ``my_method``.
    """

    name: str

    @property
    def package(self) -> str:
        """Its Python package, ``ecgkit_my_method``."""
        return f"ecgkit_{self.name}"

    @property
    def distribution(self) -> str:
        """Its distribution, ``ecgkit-my-method``."""
        return self.package.replace("_", "-")

    @property
    def class_name(self) -> str:
        """Its class, ``MyMethod``."""
        return "".join(part.capitalize() for part in self.name.split("_"))


def new_plugin(name: str, out: Path | None = None) -> Path:
    """Write the package of a new method.

    Args:
        name: Name of the method: lower-case letters, digits and ``_``, starting with a letter.
        out: The folder to write. By default ``ecgkit-NAME`` in the current folder.

    Returns:
        The folder.

    Raises:
        PluginError: The name is invalid or taken.
        OutputError: The folder exists or cannot be written.
    """
    names = Names(name)
    _check_name(names)
    out = out or Path(names.distribution)
    if out.exists() or out.is_symlink():
        raise OutputError(f"{out} exists", "", "Use another --out.")
    with atomic_folder(out, KIND) as folder:
        for path, text in _rendered(names):
            file = folder / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return out


def _check_name(names: Names) -> None:
    name = names.name
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or iskeyword(name) or len(name) > 40:
        raise PluginError(
            f"the name {name!r} is invalid",
            "lower-case letters, digits and single _, starting with a letter, at most 40 characters",
            "Use a name such as my_method; the folder is set by --out.",
        )
    taken = {*host().entries(MethodEntry), *(plugin.name for plugin in host().plugins)}
    if name in taken or find_spec(names.package) is not None:
        raise PluginError(f"the name {name!r} is taken by an installed plugin or method", remedy="Use another name.")


def _rendered(names: Names) -> Iterator[tuple[str, str]]:
    from jinja2 import Environment, StrictUndefined  # heavier than all the rest here

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # no HTML
    for template, path in FILES.items():
        source = (files(__name__) / "templates" / template).read_text(encoding="utf-8")
        text = environment.from_string(source).render(names=names, requires=f"{DISTRIBUTION}>={__version__}")
        yield path.format(package=names.package, name=names.name), text
