"""A trained model applied to any records: those of a store, or of files that no store was made of.

`records` reads them in blocks, `features` encodes a block, and `predict` and `embed` write what comes out. Both work in
parts that a stopped call keeps, in one process or in several.
"""
