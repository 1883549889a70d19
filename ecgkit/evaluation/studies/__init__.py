"""Studies of one encoder: its layers, its attention, disturbed signals, learning curves."""
