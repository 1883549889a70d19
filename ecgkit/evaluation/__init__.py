"""Evaluation: tasks and their splits, features, heads, metrics, and the result rows that reports are made of."""
