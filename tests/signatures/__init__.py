"""Tests of ecgkit.signatures."""
