"""Scores with their uncertainty: metrics, thresholds, confidence intervals and significance tests."""
