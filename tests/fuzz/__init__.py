"""Fuzzing of everything that reads what others wrote: a short run in the suite, a long one by command.

    python -m tests.fuzz NAME --minutes 10

See `tests.fuzz.targets` for the names.
"""
