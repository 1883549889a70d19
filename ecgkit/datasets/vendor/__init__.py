"""ECG files as devices and hospital systems write them: XML of several vendors, DICOM, SCP-ECG, EDF, Holter files.

`kinds` tells the kind of a file from its first bytes. `reading` reads a file of any kind into one `Contents`, with a
library: `edfio` for EDF and BDF, `ecgdatakit` for the others. `safety` refuses what a library would take or trust too
far. `layout` is the dataset layout.
"""
