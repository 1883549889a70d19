"""A local web page to look through the records of a store: search, 12-lead picture, report, labels and predictions.

``catalogue`` holds what is shown, ``search`` finds records, ``record`` describes one, ``picture`` lays it out on ECG
paper, ``results`` joins predictions to records, ``guard`` keeps strangers out, and ``server`` answers the page in
``page/``. Everything is read, nothing is written. Reports leave this room only in answers to the page.
"""
