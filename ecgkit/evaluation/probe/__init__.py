"""A probe evaluates an encoder on a task with a head, and writes a result row."""
