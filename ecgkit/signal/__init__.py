"""Pure functions on arrays ``[..., L, T]``: resample, repair, filter, normalise, and the contract that orders them.

Amplitudes are in mV (or in the dataset's own unit where it has none), times in samples at a stated `fs` in Hz, and a
missing sample is NaN. Nothing here knows a file or a model.
"""
