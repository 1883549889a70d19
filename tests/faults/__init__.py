"""Fault injection: what a command leaves when something goes wrong at any one of its writes.

A *point* is a moment before a command changes the disk: a file is opened for writing, renamed, removed or synced, a
folder is made or removed. At a point, one fault happens: the process is killed, the disk is full from there on, a
permission is lacking, or one bit of the file is flipped. Afterwards the same command, undisturbed, must give the
undisturbed bytes, or a clear error must name what is wrong.

    python -m tests.faults                      all commands, faults and points
    python -m tests.faults ingest view          some commands
    python -m tests.faults --sample 3           three points per command and fault
    python -m tests.faults --broken             programs that are broken on purpose, each of which must be found out

Everything is imported once, with one thread; each trial is a forked process in a session of its own. A kill is a real
SIGKILL of that session.
"""
