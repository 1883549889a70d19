"""The current folder as a place of work: its stores, runs and results, and the values that commands take from it.

`ecgkit.workspace.defaults` is the one place where a value that was not given is chosen: the only store of the folder,
the last finished run, a free name. Where several values would fit, or none, it raises an error and never guesses.
"""
