"""The exit codes of the program, for scripts; ``docs/cli.md`` lists them."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    """It did what was asked."""
    UNEXPECTED = 1
    """An error of ecgkit or a plugin; ``--debug`` shows where."""
    BAD_INPUT = 2
    """What was asked cannot be: told in one line, and nothing is half-written."""
    INCOMPLETE = 3
    """Done, but not whole: too many records rejected or reports unread, a check that failed, a probe of a suite."""
    INTERRUPTED = 130
    """Ctrl-C or a signal; where the command can be resumed, it says how."""
