"""Small files in the formats of vendors, written without the libraries that read them (but for DICOM and EDF)."""

import base64
import binascii
import struct
import zlib
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.leads import STANDARD_LEADS

PERSON = "Lovelace"
BORN = "1815-12-10"


def counts(samples: int = 500, leads: int = 12) -> NDArray[np.int16]:
    """Whole numbers ``[L, T]`` that are easy to tell apart: a saw for each lead."""
    return np.stack([(np.arange(samples) * (lead + 3)) % 400 - 150 - lead for lead in range(leads)]).astype(np.int16)


def write_aecg(
    file: Path, data: NDArray[np.int16], leads: tuple[str, ...] = STANDARD_LEADS, *, fs: float = 500, scale: float = 2.5
) -> Path:
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}"/><value xsi:type="SLIST_PQ">'
        f'<origin value="0" unit="uV"/><scale value="{scale}" unit="uV"/>'
        f"<digits>{' '.join(map(str, row.tolist()))}</digits></value></sequence></component>"
        for lead, row in zip(leads, data, strict=True)
    )
    note = (
        '<subjectOf><annotationSet><component><annotation><code code="MDC_ECG_TIME_PD_PR"/>'
        '<value xsi:type="PQ" value="148" unit="ms"/></annotation></component><component><annotation>'
        '<code code="MDC_ECG_INTERPRETATION"/><component><annotation><code code="MDC_ECG_INTERPRETATION_STATEMENT"/>'
        '<value xsi:type="ST">Sinus rhythm</value></annotation></component></annotation></component></annotationSet>'
        "</subjectOf>"
    )
    file.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><id root="1.2.3"/>'
        '<effectiveTime><low value="20200102030405"/></effectiveTime><componentOf><timepointEvent><componentOf>'
        '<subjectAssignment><subject><trialSubject><id extension="P7"/><subjectDemographicPerson>'
        f'<name>{PERSON}</name><administrativeGenderCode code="F"/><birthTime value="{BORN.replace("-", "")}"/>'
        "</subjectDemographicPerson></trialSubject></subject></subjectAssignment></componentOf></timepointEvent>"
        '</componentOf><component><series><code code="RHYTHM"/><effectiveTime><low value="20200102030405"/>'
        f'</effectiveTime><component><sequenceSet><component><sequence><code code="TIME_ABSOLUTE"/>'
        f'<value xsi:type="GLIST_TS"><head value="20200102030405"/><increment value="{1 / fs:.9f}" unit="s"/></value>'
        f"</sequence></component>{sequences}</sequenceSet></component>{note}</series></component></AnnotatedECG>",
        encoding="utf-8",
    )
    return file


def write_muse(file: Path, data: NDArray[np.int16], *, fs: int = 500, spoil: int = 0) -> Path:
    """The eight leads that MUSE stores, in steps of 4.88 uV. `spoil` is added to each checksum."""
    names = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    leads = "".join(
        f"<LeadData><LeadByteCountTotal>{len(raw)}</LeadByteCountTotal><LeadSampleCountTotal>{len(raw) // 2}"
        f"</LeadSampleCountTotal><LeadAmplitudeUnitsPerBit>4.88</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>MICROVOLTS"
        f"</LeadAmplitudeUnits><LeadID>{name}</LeadID><LeadSampleSize>2</LeadSampleSize>"
        f"<LeadDataCRC32>{zlib.crc32(raw) + spoil}</LeadDataCRC32>"
        f"<WaveFormData>{base64.b64encode(raw).decode()}</WaveFormData></LeadData>"
        for name, row in zip(names, data, strict=False)
        if (raw := row.astype("<i2").tobytes())
    )
    file.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE RestingECG SYSTEM "restecg.dtd"><RestingECG>'
        f"<PatientDemographics><PatientID>P9</PatientID><PatientAge>61</PatientAge><AgeUnits>YEARS</AgeUnits><Gender>MALE"
        f"</Gender><PatientLastName>{PERSON}</PatientLastName></PatientDemographics>"
        "<TestDemographics><AcquisitionDevice>MAC55</AcquisitionDevice><AcquisitionTime>10:11:12</AcquisitionTime>"
        "<AcquisitionDate>03-04-2021</AcquisitionDate></TestDemographics>"
        "<RestingECGMeasurements><VentricularRate>72</VentricularRate><PRInterval>160</PRInterval>"
        "<QRSDuration>90</QRSDuration><QTInterval>400</QTInterval><RAxis>-12</RAxis></RestingECGMeasurements>"
        "<Diagnosis><DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>Normal sinus rhythm</StmtText>"
        "</DiagnosisStatement><DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>Normal ECG</StmtText>"
        f"</DiagnosisStatement></Diagnosis><Waveform><WaveformType>Rhythm</WaveformType><SampleBase>{fs}</SampleBase>"
        f"<SampleExponent>0</SampleExponent>{leads}</Waveform></RestingECG>",
        encoding="latin-1",
    )
    return file


def write_sierra(file: Path, data: NDArray[np.int16], *, fs: int = 500, note: str = "") -> Path:
    """Philips XML in UTF-16 with uncompressed samples in steps of 5 uV, and a pulse of 1 mV at its end."""
    tail = np.zeros((12, fs), np.int16)
    tail[:, fs // 2 : fs // 2 + fs // 5] = 200
    raw = np.hstack([data, tail]).astype("<i2").tobytes()
    duration = (data.shape[1] + fs) * 1000 / fs
    text = (
        f"{note}<restingecgdata><documentinfo><documenttype>PhilipsECG</documenttype><documentversion>1.04"
        '</documentversion></documentinfo><dataacquisition date="2022-02-03" time="04:05:06"><signalcharacteristics>'
        f"<samplingrate>{fs}</samplingrate><resolution>5</resolution><acquisitiontype>STD-12</acquisitiontype>"
        "<numberchannelsvalid>12</numberchannelsvalid><numberchannelsallocated>12</numberchannelsallocated>"
        "</signalcharacteristics></dataacquisition><patient><generalpatientdata><patientid>P3</patientid>"
        f"<name><lastname>{PERSON}</lastname></name><sex>Female</sex></generalpatientdata></patient>"
        f'<waveforms><parsedwaveforms dataencoding="Base64" samplespersecond="{fs}" durationperchannel="{duration:g}" '
        f'numberofleads="12" leadlabels="{" ".join(STANDARD_LEADS)}" resolution="5">{base64.b64encode(raw).decode()}'
        "</parsedwaveforms></waveforms></restingecgdata>"
    )
    file.write_bytes(('<?xml version="1.0" encoding="UTF-16"?>' + text).encode("utf-16"))
    return file


def write_scp(file: Path, data: NDArray[np.int16], *, spoil: bool = False, claimed: int = 0) -> Path:
    """SCP-ECG 2.0 without compression: I, II and V1 to V6 in steps of 5 uV at 500 Hz, with right checksums."""
    leads, samples = data.shape
    tags = [(0, PERSON.encode() + b"\0"), (2, b"P5\0"), (25, struct.pack("<HBB", 2019, 8, 7)), (26, bytes((6, 5, 4)))]
    tagged = b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in [*tags, (255, b"")])
    codes = (1, 2, 3, 4, 5, 6, 7, 8)
    lead_rows = b"".join(struct.pack("<IIB", 1, claimed or samples, codes[lead]) for lead in range(leads))
    rows = [row.astype("<i2").tobytes() for row in data]
    rhythm = struct.pack("<HHBB", 5000, 2000, 0, 0) + struct.pack(f"<{leads}H", *map(len, rows)) + b"".join(rows)
    bodies = {1: tagged, 3: bytes((leads, 0x04 | leads << 3)) + lead_rows, 6: rhythm}
    sections, place, pointers = b"", 6 + 16 + 40, struct.pack("<HII", 0, 56, 7)
    for number, body in bodies.items():
        body += b"\0" * (len(body) % 2)
        head = struct.pack("<HIBB6x", number, 16 + len(body), 20, 20)
        section = struct.pack("<H", binascii.crc_hqx(head + body, 0xFFFF)) + head + body
        pointers += struct.pack("<HII", number, len(section), place + 1)
        sections, place = sections + section, place + len(section)
    head = struct.pack("<HIBB6s", 0, 16 + len(pointers), 20, 20, b"SCPECG")
    zero = struct.pack("<H", binascii.crc_hqx(head + pointers, 0xFFFF)) + head + pointers
    record = struct.pack("<I", 6 + len(zero) + len(sections)) + zero + sections
    crc = binascii.crc_hqx(record, 0xFFFF) ^ spoil
    file.write_bytes(struct.pack("<H", crc) + record)
    return file


def write_ishne(file: Path, data: NDArray[np.int16], *, fs: int = 200) -> Path:
    """An ISHNE Holter file: three leads (V1, V5 and aVF) in steps of 2 uV."""
    header = bytearray(512)

    def put(place: int, form: str, *values: Any) -> None:
        struct.pack_into(form, header, place - 10, *values)

    put(10, "<iiiih", 0, data.shape[1], 522, 522, 1)
    put(68, "40s", PERSON.encode())
    put(108, "20s", b"P8")
    put(128, "<h", 2)
    put(138, "<hhh", 5, 6, 2018)
    put(150, "<hhh", 7, 8, 9)
    put(156, "<h", len(data))
    put(158, "<12h", *(11, 15, 10), *[-9] * 9)
    put(206, "<12h", *[2000] * len(data), *[-9] * (12 - len(data)))
    put(272, "<h", fs)
    crc = binascii.crc_hqx(bytes(header), 0xFFFF)
    file.write_bytes(b"ISHNE1.0" + struct.pack("<H", crc) + bytes(header) + data.T.astype("<i2").tobytes())
    return file


def write_healforce(file: Path, data: NDArray[np.int16]) -> Path:
    """Three leads of a hand-held device, 12 bits per sample, in steps of 10 uV at 150 Hz; 4 samples in 3 words."""
    coded = (data.T.ravel().astype(np.int64) + 512).reshape(-1, 4)
    thirds = np.column_stack([coded[:, 3] >> shift & 0xF for shift in (8, 4, 0)])
    packed = (coded[:, :3] | thirds << 10).astype("<u2").tobytes()
    bodies = {
        1: struct.pack("<BH", 2, 6)
        + b"P4\0\0\0\0"
        + struct.pack("<BH", 25, 4)
        + struct.pack(">HBB", 2019, 8, 8)
        + struct.pack("<BH", 26, 3)
        + bytes((0, 4, 10)),
        3: bytes((3, 4)) + b"\0" * 10,
        6: struct.pack("<HHBBH", 0, 150, 0, 0, len(packed)) + packed,
    }
    sections, place, pointers = b"", 6 + 16 + 40, struct.pack("<HII", 0, 56, 6)
    for number, body in bodies.items():
        section = struct.pack("<HHIBB6x", 0, number, 16 + len(body), 13, 13) + body
        pointers += struct.pack("<HII", number, len(section), place)
        sections, place = sections + section, place + len(section)
    file.write_bytes(b"\0" * 6 + struct.pack("<HHIBB6x", 0, 0, 16 + len(pointers), 13, 13) + pointers + sections)
    return file


def write_dicom(
    file: Path,
    data: NDArray[np.int16],
    leads: tuple[str, ...] = STANDARD_LEADS,
    *,
    fs: float = 500,
    median: bool = True,
) -> Path:
    """A 12-lead waveform in steps of 1.25 uV with a median beat, a heart rate and a statement."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid

    def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return [item]

    def group(samples: NDArray[np.int16], label: str) -> Dataset:
        item = Dataset()
        item.WaveformOriginality, item.MultiplexGroupLabel = "ORIGINAL", label
        item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = samples.shape
        item.SamplingFrequency, item.WaveformBitsAllocated, item.WaveformSampleInterpretation = fs, 16, "SS"
        item.ChannelDefinitionSequence = []
        for lead in leads:
            channel = Dataset()
            channel.ChannelSourceSequence = code(f"MDC_ECG_LEAD_{lead.upper()}", "MDC", f"Lead {lead}")
            channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = 1.25, 1
            channel.ChannelSensitivityUnitsSequence = code("uV", "UCUM", "microvolt")
            channel.ChannelBaseline, channel.ChannelSampleSkew, channel.WaveformBitsStored = 0, 0, 16
            channel.FilterLowFrequency, channel.FilterHighFrequency = 0.05, 150
            item.ChannelDefinitionSequence.append(channel)
        item.WaveformData = samples.T.astype("<i2").tobytes()
        return item

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = TwelveLeadECGWaveformStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dicom = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    dicom.SOPClassUID, dicom.SOPInstanceUID = TwelveLeadECGWaveformStorage, meta.MediaStorageSOPInstanceUID
    dicom.PatientID, dicom.PatientName, dicom.PatientSex = "P6", f"{PERSON}^Ada", "F"
    dicom.PatientBirthDate, dicom.PatientAge = BORN.replace("-", ""), "036Y"
    dicom.AcquisitionDateTime, dicom.Modality, dicom.Manufacturer = "20230102030405", "ECG", "Example"
    dicom.WaveformSequence = [group(data, "RHYTHM")] + ([group(data[:, :100], "MEDIAN BEAT")] if median else [])
    rate, said = Dataset(), Dataset()
    rate.ConceptNameCodeSequence, rate.NumericValue = code("8867-4", "LN", "Heart rate"), 71
    rate.MeasurementUnitsCodeSequence, rate.ReferencedWaveformChannels = code("{H.B.}/min", "UCUM", "beats"), [1, 1]
    said.UnformattedTextValue, said.ReferencedWaveformChannels = "Sinus rhythm", [1, 0]
    dicom.WaveformAnnotationSequence = [rate, said]
    dicom.save_as(file, enforce_file_format=True)
    return file


def write_edf(
    file: Path,
    data: NDArray[np.int16],
    leads: tuple[str, ...] = STANDARD_LEADS,
    *,
    fs: float = 250,
    bdf: bool = False,
    slow: int = 0,
) -> Path:
    """EDF+ or BDF in uV with a step of 1 uV, annotations, a channel of respiration, and one lead at a lower rate."""
    import edfio

    kind, numbers = (edfio.BdfSignal, np.int32) if bdf else (edfio.EdfSignal, np.int16)
    limits = (-8388608, 8388607) if bdf else (-32768, 32767)

    def signal(row: NDArray[np.int16], rate: float, label: str, unit: str = "uV") -> Any:
        return kind.from_digital(
            row.astype(numbers),
            rate,
            label=label,
            physical_dimension=unit,
            physical_range=limits,
            prefiltering="HP:0.05Hz LP:150Hz",
        )

    signals = [signal(row, fs, f"ECG {lead}") for lead, row in zip(leads, data, strict=True)]
    if slow:
        signals[-1] = signal(data[-1, ::slow], fs / slow, f"ECG {leads[-1]}")
    signals.append(signal(data[0, ::10], fs / 10, "Resp", "l"))
    patient = edfio.Patient(code="P2", sex="F", birthdate=date.fromisoformat(BORN), name=PERSON)
    recording = edfio.Recording(startdate=date(2020, 5, 6), equipment_code="Holter_9")
    whole = edfio.Bdf if bdf else edfio.Edf
    whole(
        signals,
        patient=patient,
        recording=recording,
        starttime=time(7, 8, 9),
        annotations=[edfio.EdfAnnotation(1.0, None, "event")],
    ).write(file)
    return file
