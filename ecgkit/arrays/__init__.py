"""Encoders and stores for arrays in memory: the objects that `ecgkit.load` and `ecgkit.open_store` return."""
