"""The store on disk: a Zarr v3 group with the signals; the record table and the ledger are Parquet files beside them.

    STORE/zarr.json           attributes: dataset, leads, code system, content hash
    STORE/signal/             int16 [R, L, T] in microvolts, sharded; -32768 marks a missing sample
    STORE/records.parquet     one row per record, in the order of the signal's first axis
    STORE/ledger.parquet      one row per record that could not be ingested, with stage and reason
    STORE/signatures/         waveform signatures of the records; see `ecgkit.signatures`
    STORE/views/HASH/         cache: the signals under one signal contract

A store keeps each signal as recorded, unfiltered and at its own rate, so one store serves every method.
"""
