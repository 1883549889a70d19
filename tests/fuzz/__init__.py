"""Damaged inputs for every reader of files that others wrote. The suite tries a few; this command tries many:

    python -m tests.fuzz NAME --minutes 10

See `tests.fuzz.targets` for the names.
"""
