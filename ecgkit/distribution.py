"""The name under which pip installs ecgkit. On the Python Package Index, ``ecgkit`` is the name of another project."""

DISTRIBUTION = "ecgkit-learn"


def install_extra(extra: str) -> str:
    """Return the sentence that says how to install an extra, such as ``onnx``."""
    return f"Run: pip install '{DISTRIBUTION}[{extra}]'"
