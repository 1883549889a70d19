"""Result rows: one JSON file per result, and all of them as one table."""
