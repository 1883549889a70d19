"""Analyses of one encoder: layers, attention, robustness to disturbed signals, and learning curves."""
