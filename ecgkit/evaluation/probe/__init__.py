"""A probe: an encoder, a task and a head in, a result row out."""
