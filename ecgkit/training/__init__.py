"""Pretraining: data, loop, run folder. It knows `Batch` and `Losses` and nothing of any family."""
