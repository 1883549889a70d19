"""Waveform signatures: recognise a recording that was resampled, rescaled, cropped, renamed, or kept with fewer leads.

The hash of a waveform changes with a single sample. A signature keeps what such copies share: for each of four leads,
the sign of the band from 5 to 20 Hz on a common time grid, where QRS complexes and the recording's own noise lie. Two
recordings of one patient share neither the intervals between beats nor the noise, so they have different signatures.

The idea is that of audio fingerprints: Haitsma and Kalker, A highly robust audio fingerprinting system, ISMIR 2002.
There, words of consecutive bits find candidates in an index, and the share of equal bits decides. The measured rates
are in docs/reliability.md, and ``python benchmarks/signatures.py`` measures them again.
"""
