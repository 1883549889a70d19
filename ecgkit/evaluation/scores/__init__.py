"""Scores with their uncertainty: metrics, thresholds, intervals, tests."""
