"""Download an archive from PhysioNet: in parallel, resumable, and verified by its list of checksums.

PhysioNet keeps an archive under ``BASE/files/SLUG/VERSION/``. ``SHA256SUMS.txt`` lists every file with its SHA-256. A
file is written as ``.download/NUMBER.part`` and gets its name when its checksum is right. While the folder
``.download`` is there, the download is not complete, and `ingest` refuses the folder.
"""

WORK = ".download"
