"""The on-disk store: one Zarr v3 group with the signals, and the record table and ledger in Parquet beside them.

    STORE/zarr.json           attributes: dataset, leads, code system, content hash
    STORE/signal/             int16 [R, L, T] in microvolts, sharded; -32768 marks a missing sample
    STORE/records.parquet     one row per record, in the order of the signal's first axis
    STORE/ledger.parquet      one row per record that could not be taken in, with stage and reason
    STORE/views/HASH/         what a contract makes of the signals, cached

A store keeps each signal as it was recorded, unfiltered and at its own rate, so one store serves every method.
"""
