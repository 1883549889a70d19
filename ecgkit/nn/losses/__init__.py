"""Losses of self-supervised learning, one per module: pure functions of embeddings, with their source and equations.

They run in float32 or better, whatever autocast says (`ecgkit.nn.losses.precision`), and know no process: a method
joins the rows of all processes with `ecgkit.nn.contrastive.gather` before it calls a loss that compares records. The
mean over processes of a loss over all rows, and its gradient, then equal those of one process with the whole batch.
"""
