"""Suites: a grid of probes from one YAML file."""
