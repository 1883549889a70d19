"""ecgkit from Python: an encoder that takes arrays, and a store that reads like a list.

``ecgkit.load`` and ``ecgkit.open_store`` lead here; nothing of it is imported before one of them is called.
"""
