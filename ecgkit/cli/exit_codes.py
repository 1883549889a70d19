"""The exit codes of the program, for scripts; ``docs/cli.md`` lists them."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    """The command succeeded."""
    UNEXPECTED = 1
    """A bug in ecgkit or a plugin; ``--debug`` shows the traceback."""
    BAD_INPUT = 2
    """The input is wrong. One line says why, and no partly written output is left."""
    INCOMPLETE = 3
    """Finished, but something failed: too many records rejected or reports unread, a check, or a probe of a grid."""
    INTERRUPTED = 130
    """Ctrl-C or a signal. The message says how to resume the command, if it can be resumed."""
