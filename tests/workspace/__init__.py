"""Tests of the current folder as a place of work."""
