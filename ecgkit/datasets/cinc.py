"""The PhysioNet/Computing in Cardiology Challenges of 2020 and 2021, and the datasets that their records come from.

Perez Alday et al., Classification of 12-lead ECGs: the PhysioNet/Computing in Cardiology Challenge 2020, Physiol.
Meas. 41:124003 (2020); Reyna et al., Will Two Do? Varying Dimensions in Electrocardiography, CinC 2021, doi
10.23919/CinC53138.2021.9662687. A record is a header and a Matlab v4 file. The samples of the Matlab file begin after
24 bytes, so it can be read as WFDB format 16. The first letters of a record's name identify its source.
"""

import re
from pathlib import Path

from ecgkit.datasets.base import Source
from ecgkit.datasets.comments import parse_comments
from ecgkit.datasets.given import NOTHING_GIVEN, Given
from ecgkit.datasets.header_folder import HEADER, HeaderFolder, first_headers, headers_below
from ecgkit.datasets.wfdb_header import decode_text

# Folders of the Challenge download, by the first letters of their records' names.
SOURCES = {
    "A": "cpsc_2018",
    "Q": "cpsc_2018_extra",
    "I": "st_petersburg_incart",
    "S": "ptb",
    "HR": "ptb-xl",
    "E": "georgia",
    "JS": "chapman_shaoxing",
}
# The archive that each source comes from.
ARCHIVES = {
    "cpsc_2018": "cpsc2018",
    "cpsc_2018_extra": "cpsc2018",
    "st_petersburg_incart": "incartdb",
    "ptb": "ptbdb",
    "ptb-xl": "ptb-xl",
    "georgia": "georgia",
    "chapman_shaoxing": "chapman-shaoxing-ningbo",
    "ningbo": "chapman-shaoxing-ningbo",
}
# JS records from this number on come from Ningbo.
FIRST_NINGBO = 10647
WORDS = ("Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")


class Cinc(HeaderFolder):
    """The training data of CinC 2020 or 2021: the whole download, or a folder in which its sources are mixed."""

    name = "cinc"
    names = re.compile(r"(A|Q|I|S|HR|E|JS)\d{4,5}")

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether source folders lie side by side, or the first headers have names of the Challenges."""
        return holds_sources(root) or super().recognises(root)

    @classmethod
    def is_certain(cls, root: Path) -> bool:
        """Return whether source folders of the Challenges lie side by side."""
        return holds_sources(root)

    @property
    def archives(self) -> tuple[str, ...]:  # type: ignore[override]
        """The archives of the sources that are in the folder."""
        sources = {source_of(path.rpartition("/")[2]) for path in headers_below(self.root)[0]} - {""}
        return tuple(sorted({ARCHIVES[source] for source in sources}))

    @classmethod
    def fits(cls, folder: Path, name: str) -> bool:
        """Return whether the signal of a record is in a Matlab file."""
        return (folder / f"{name}.mat").is_file()

    def source(self, path: str) -> Source:
        """Return the record's source, with the name of the dataset that it comes from."""
        name = path.rpartition("/")[2]
        return Source(record_id=name, path=path, extra={"source": source_of(name)})


class CincSource(Cinc):
    """A single source of the Challenges."""

    @classmethod
    def is_certain(cls, root: Path) -> bool:
        """Return False: names of headers are no proof."""
        return False

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the first headers have names of this source and no other source is in the folder."""
        return not holds_sources(root) and super().recognises(root)


class Georgia(CincSource):
    """The Georgia 12-lead ECG Challenge Database (Emory University)."""

    name = "georgia"
    names = re.compile(r"E\d{5}")


class ChapmanShaoxingNingbo(CincSource):
    """Chapman-Shaoxing-Ningbo: ``WFDBRecords/NN/NNN/JSxxxxx``, or one of its two folders in the Challenges.

    Zheng et al., A 12-lead electrocardiogram database for arrhythmia research covering more than 10,000 patients,
    Scientific Data 7:48 (2020); A large scale 12-lead electrocardiogram database for arrhythmia study, PhysioNet
    (2022), doi 10.13026/wgex-er52.
    """

    name = "chapman-shaoxing-ningbo"
    names = re.compile(r"JS\d{5}")


class Cpsc2018(CincSource):
    """CPSC 2018 with headers; labels are words or SNOMED CT codes, depending on the first header.

    Liu et al., An Open Access Database for Evaluating the Algorithms of Electrocardiogram Rhythm and Morphology
    Abnormality Detection, J. Med. Imaging Health Inform. 8(7):1368-1373 (2018).
    """

    name = "cpsc2018"
    names = re.compile(r"A\d{4}")

    def __init__(self, root: Path, *, fs: float | None = None, given: Given = NOTHING_GIVEN) -> None:
        super().__init__(root, fs=fs, given=given)
        if set(_first_labels(root)) & set(WORDS):
            self.code_system = "cpsc2018"


def holds_sources(root: Path) -> bool:
    """Return whether a folder, or its ``training/``, holds source folders of the Challenges, such as SOURCE/g1/."""
    tops = (root, root / "training")
    return any((top / name / "g1").is_dir() for top in tops for name in (*SOURCES.values(), "ningbo"))


def source_of(name: str) -> str:
    """Return the folder of the Challenge download that holds a record of this name, or an empty text."""
    letters = name.rstrip("0123456789")
    if letters == "JS" and int(name.removeprefix("JS") or 0) >= FIRST_NINGBO:
        return "ningbo"
    return SOURCES.get(letters, "")


def _first_labels(root: Path) -> tuple[str, ...]:
    folder, names = first_headers(root)
    for name in names[:1]:
        lines = decode_text((folder / f"{name}{HEADER}").read_bytes()).split("\n")
        return parse_comments(tuple(line for line in lines if line.startswith("#"))).labels
    return ()
