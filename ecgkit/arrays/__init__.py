"""Encoders and stores for arrays in memory: what `ecgkit.load` and `ecgkit.open_store` return."""
