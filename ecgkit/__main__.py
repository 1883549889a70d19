"""``python -m ecgkit``."""

from ecgkit.cli import main

main()
