"""Scores of the PhysioNet/CinC Challenges of 2020 and 2021."""
