"""Pure functions on arrays ``[..., L, T]``: resample, repair, filter, normalise; and the signal contract.

Amplitudes are in mV (or in the dataset's own unit if it has no physical one), times in samples at a stated `fs` in Hz.
A missing sample is NaN. Nothing here depends on files or models.
"""
