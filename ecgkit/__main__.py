"""``python -m ecgkit``."""

from ecgkit_learn import main

main()
