"""What a user says of a dataset that its files do not say: rate, unit, axes, names of leads, and the table of records.

One `Given` goes with every dataset. A layout takes from it only what its files leave open.
"""

import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from ecgkit.datasets.channels import NO_UNIT, Naming, microvolts_of
from ecgkit.errors import ConfigError
from ecgkit.leads import find_lead, parse_leads

AXES = "NLT1"  # records, leads, time, and an axis of length 1


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a user says of a dataset. An empty field means: find it, or ask for it.

    Args:
        source_fs: Sampling rate of the files in Hz, where they do not state it. None: the rate of the store.
        leads: Canonical names of the leads to keep. They also name the rows of arrays that have no names.
        unit: Unit of the samples where the files state none or an unknown one, such as ``uV`` or ``4.88uV``.
        axes: Order of the axes of an array, in the letters of `AXES`, such as ``NTL``.
        array: Name of the array in files that hold several.
        lead_names: Names of the rows in order, or renamings such as ``ECG=I, MLII=II``.
        table: Table with one row per record.
        record_column: Column of the table that holds the record's id, path or file name.
        patient_column: Column of the patient's id.
        label_columns: One column of codes, or several columns with one label each.
        fold_column: Column of the fold, 1 to 10.
        report_column: Column of the report.
        patient_from: Regular expression that finds the patient's id in a record's path. Its first group is the id.
    """

    source_fs: float | None = None
    leads: tuple[str, ...] = ()
    unit: str = ""
    axes: str = ""
    array: str = ""
    lead_names: str = ""
    table: Path | None = None
    record_column: str = ""
    patient_column: str = ""
    label_columns: tuple[str, ...] = ()
    fold_column: str = ""
    report_column: str = ""
    patient_from: str = ""

    def check(self) -> None:
        """Check everything that can be checked without the dataset.

        Raises:
            ConfigError: A value is impossible.
        """
        if self.source_fs is not None and not 0 < self.source_fs < float("inf"):
            raise ConfigError(f"--source-fs is {self.source_fs:g}", "a finite rate in Hz above 0")
        if self.unit and microvolts_of(self.unit) is None and self.unit.lower() != NO_UNIT:
            raise ConfigError(
                f"--unit {self.unit!r}", "V, mV, uV, nV, a step of a converter such as 4.88uV, or NU for none"
            )
        self._check_axes()
        _ = self.naming
        if self.table is not None and not self.table.is_file():
            raise ConfigError(f"--table {self.table} does not exist as a file")
        self._check_patient_from()

    @cached_property
    def naming(self) -> Naming:
        """Names of leads and the unit, in the form in which readers of signals take them.

        Raises:
            ConfigError: `lead_names` has neither form, or names a lead that is unknown.
        """
        parts = [part.strip() for part in self.lead_names.split(",") if part.strip()]
        pairs = [part.partition("=") for part in parts]
        if any(equals for _, equals, _ in pairs):
            return Naming(renames=tuple(self._renamed(*pair) for pair in pairs), unit=self.unit)
        order = parse_leads(self.lead_names) if parts else ()
        return Naming(order=order, unit=self.unit)

    @property
    def table_columns(self) -> dict[str, str]:
        """The named columns of the table, by option."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name.endswith("_column")}
        return {f"--{name.replace('_', '-')}": column for name, column in named.items() if column}

    def _renamed(self, name: str, equals: str, lead: str) -> tuple[str, str]:
        if not equals or not name.strip():
            raise ConfigError(
                f"--lead-names {self.lead_names!r}", "pairs such as 'ECG=I, MLII=II', or the names of all rows in order"
            )
        if find_lead(lead) is None:
            raise ConfigError(f"--lead-names: {lead.strip()!r} is not a lead", "a name such as I, aVR, V2 or V4R")
        return name.strip().lower(), lead.strip()

    def _check_axes(self) -> None:
        letters = self.axes.upper()
        doubled = len(set(letters.replace("1", ""))) < len(letters.replace("1", ""))
        if letters and (set(letters) - set(AXES) or doubled or "T" not in letters):
            raise ConfigError(
                f"--axes {self.axes}", "N (records), L (leads), T (time) and 1 (an axis of length 1), such as NTL"
            )

    def _check_patient_from(self) -> None:
        try:
            groups = re.compile(self.patient_from).groups
        except re.error as error:
            raise ConfigError(f"--patient-from {self.patient_from!r} is no regular expression ({error})") from None
        if self.patient_from and not groups:
            raise ConfigError(
                f"--patient-from {self.patient_from!r} has no group",
                r"the patient's id in parentheses, such as 'patient(\d+)/'",
            )


NOTHING_GIVEN = Given()
