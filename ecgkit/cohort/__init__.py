"""Cohorts by statement: which records of a store are meant by ``atrial fibrillation and not (paced or age < 18)``."""
