"""The parser of headers: against wfdb on every real header and on made ones, and where wfdb gives up."""

import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgkit.datasets.wfdb_header import WfdbHeader, is_segmented, parse_header, parse_segments
from ecgkit.errors import RecordError


def own_fields(header: WfdbHeader) -> dict[str, Any]:
    channels = header.scheme.channels
    return {
        "fs": header.fs,
        "sig_len": header.samples,
        "samps_per_frame": [c.frame for c in channels],
        "skew": [c.skew for c in channels],
        "file_name": [header.files[c.file] for c in channels],
        "fmt": [c.format for c in channels],
        "byte_offset": [c.offset for c in channels],
        "adc_gain": [c.gain for c in channels],
        "baseline": [c.baseline for c in channels],
        "adc_res": [c.adc_bits for c in channels],
        "adc_zero": [c.adc_zero for c in channels],
        "init_value": list(header.initials),
        "checksum": list(header.checksums),
        "sig_name": [c.name for c in channels],
        "comments": list(header.comments),
    }


def wfdb_fields(header: Any) -> dict[str, Any]:
    names = (
        "fs",
        "sig_len",
        "samps_per_frame",
        "skew",
        "file_name",
        "fmt",
        "byte_offset",
        "adc_gain",
        "baseline",
        "adc_res",
        "adc_zero",
        "init_value",
        "checksum",
        "sig_name",
        "comments",
    )
    fields = {name: getattr(header, name) for name in names}
    for name in ("byte_offset", "adc_res", "adc_zero", "skew"):
        fields[name] = [value or 0 for value in fields[name]]
    fields["samps_per_frame"] = [value or 1 for value in fields["samps_per_frame"]]
    fields["sig_len"] = fields["sig_len"] or None
    fields["sig_name"] = [name or "" for name in fields["sig_name"]]
    return fields | {"fs": float(header.fs)}


@pytest.mark.slow
def test_every_real_header_is_what_wfdb_says(shared: Path) -> None:
    """wfdb takes 1 ms a header, so of the folders of one make every seventh is compared; all are parsed."""
    headers = sorted((shared / "data").rglob("*.hea"))
    refused, segmented, compared = [], [], 0
    for number, file in enumerate(headers):
        raw = file.read_bytes()
        if is_segmented(raw):
            own, reference = parse_segments(raw), wfdb.rdheader(str(file.with_suffix("")))
            assert own.segments == tuple(zip(reference.seg_name, reference.seg_len, strict=True))
            assert (own.fs, own.samples) == (reference.fs, reference.sig_len)
            segmented.append(file.stem)
            continue
        header = parse_header(raw)
        if file.parent.name != "cinc2021-old-headers" and "wfdb-odd" not in file.parts and number % 7:
            continue
        try:
            reference = wfdb.rdheader(str(file.with_suffix("")))
        except wfdb.io.header.HeaderSyntaxError:
            refused.append(file.parent.name)
            continue
        compared += 1
        ours, theirs = own_fields(header), wfdb_fields(reference)
        if "0" in ours["fmt"]:  # a layout header: its signals have no samples
            ours["adc_gain"] = theirs["adc_gain"]
        assert ours == theirs, file
    assert len(headers) == 2693
    assert refused == ["cinc2021-old-headers"] * 20
    assert compared > 380
    assert sorted(segmented) == ["041s", "p000878-2137-10-26-16-57", "s25047-2704-05-04-10-44"]


NAMES = st.from_regex(r"[A-Za-z0-9_\-]{1,8}(\.[a-z]{1,3})?", fullmatch=True)
GAINS = st.sampled_from(["200", "1000.0", "4.88", "1e3", "0.5", "1.253e+04", "50000", "0.001"])
UNITS = st.sampled_from(["", "/mV", "/uV", "/NU", "/mv", "/mmHg", "/V"])
INTS = st.integers(-40000, 40000).map(str)


@st.composite
def signal_lines(draw: st.DrawFn) -> str:
    """A signal line with its first fields only, as many as are drawn."""
    form = draw(st.sampled_from(["16", "212", "80", "24", "310", "16x1", "16+24", "16x4+24", "16:3", "16x2:1", "8"]))
    gain = draw(GAINS) + draw(st.sampled_from(["", "(0)", "(-512)", "(1024)"])) + draw(UNITS)
    fields = [gain, draw(st.integers(0, 32).map(str)), *[draw(INTS) for _ in range(3)], "0"]
    kept = fields[: draw(st.integers(1, len(fields)))]
    description = draw(st.sampled_from(["", "II", "aVR", "ECG lead V1", "sig 1, fmt 16", "-aVL"]))
    if len(kept) < len(fields):
        description = ""  # header(5): present only if all before it are
    blank = draw(st.sampled_from([" ", "  ", "\t"]))
    return blank.join([draw(NAMES), form, *kept, *([description] if description else [])])


@st.composite
def headers(draw: st.DrawFn) -> str:
    lines = draw(st.lists(signal_lines(), min_size=1, max_size=5))
    rate = draw(st.sampled_from(["", " 500", " 360/360", " 62.4725/999.56", " 250.5", " 100/25(10)"]))
    length = draw(st.sampled_from(["", " 5000", " 1"])) if rate else ""
    time = draw(st.sampled_from(["", " 10:20:30", " 1:02:03.5 04/05/2020"])) if length else ""
    comments = draw(st.lists(st.sampled_from(["# Dx: 1,2", "#Age: 7", "#", " # late", "# a # b"]), max_size=3))
    end = draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    return end.join([f"r {len(lines)}{rate}{length}{time}", *lines, *comments]) + end


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(headers())
def test_any_header_is_what_wfdb_says(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "made.hea"
    file.write_bytes(text.encode())
    assert own_fields(parse_header(text.encode())) == wfdb_fields(wfdb.rdheader(str(file.with_suffix(""))))


@pytest.mark.slow
@settings(max_examples=150)
@given(st.binary(max_size=200) | headers().map(str.encode).flatmap(lambda raw: st.permutations(raw).map(bytes)))
def test_junk_is_one_error(raw: bytes) -> None:
    for parse in (parse_header, parse_segments):
        with suppress(RecordError):
            parse(raw)


LINE = "a.mat 16+24 1000/mV 16 0 1 2 0 II"


@pytest.mark.parametrize(
    "raw",
    [
        f"a.mat 1 500 10 05-May-2020 09:49:17\n{LINE}\n".encode(),
        f"a 1 500 10\r\n{LINE}\r\n\r\n# Dx: 7\r\n".encode(),
        f"a 1 500 10\n{LINE}\n# N\xe4me\n".encode("latin-1"),
        f"\n# first\n\na 1 500.0/500(0) 10\n{LINE}".encode(),
    ],
)
def test_headers_that_are_common_and_break_the_rules(raw: bytes) -> None:
    header = parse_header(raw)
    assert (header.fs, header.samples, header.files) == (500, 10, ("a.mat",))
    (channel,) = header.scheme.channels
    assert (channel.format, channel.offset, channel.gain, channel.unit) == ("16", 24, 1000, "mV")
    assert (channel.name, header.initials, header.checksums) == ("II", (1,), (2,))


def test_comments_keep_their_letters() -> None:
    for encoding in ("utf-8", "latin-1"):
        assert parse_header(f"a 1 500 10\n{LINE}\n# Grüße\n".encode(encoding)).comments == ("Grüße",)
        micro = f"a 1 500 10\n{LINE}\n".replace("1000/mV", "1/µV").encode(encoding)
        assert parse_header(micro).scheme.rows.microvolts == (1,)


def test_no_gain_is_no_calibration_and_the_baseline_falls_back_to_the_adc_zero() -> None:
    lines = ["a.dat 16", "a.dat 16 0 12 1024", "a.dat 16 200 12 1024 995 -7 0 II", "a.dat 16 200(5) 12 1024 995 -7 0 I"]
    channels = parse_header("\n".join(["a 4", *lines]).encode()).scheme.channels
    assert [c.unit for c in channels] == ["NU", "NU", "mV", "mV"]
    assert [c.gain for c in channels] == [200] * 4
    assert [c.baseline for c in channels] == [0, 1024, 1024, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("# only a comment", "only comments"),
        ("not a header", "record line 'not a header'"),
        ("a 2 500 10\n" + LINE, "1 signal lines for 2 signals"),
        ("a 1 500 10\n" + LINE + "\n" + LINE, "2 signal lines for 1 signals"),
        ("a 0 500 10", "no signals"),
        ("a x 500 10\n" + LINE, "record line"),
        ("a 1 fast\n" + LINE, "rate 'fast'"),
        ("a 1 500Hz 10\n" + LINE, "rate '500Hz'; expected a number of Hz above 0"),
        ("a 1 -500 10\n" + LINE, "rate '-500'"),
        ("a 1 0 10\n" + LINE, "rate '0'"),
        ("a 1 1e999 10\n" + LINE, "rate '1e999'"),
        ("a 1 500 long\n" + LINE, "number of samples 'long'"),
        ("a 1 500 10\na.dat sixteen 1000/mV 16 0 1 2 0 I", "format 'sixteen'"),
        ("a 1 500 10\na.dat 16x0 1000/mV 16 0 1 2 0 I", "at least one sample per frame"),
        (f"a 1 500 10\na.dat 16 {'9' * 50_000}/mV 16 0 1 2 0 I", "a line of 50025 characters"),
        (f"a 1 500 10\na.dat 16 {'9' * 400}/mV 16 0 1 2 0 I", "gain"),
    ],
)
def test_a_header_that_breaks_the_rules_says_which(text: str, message: str) -> None:
    with pytest.raises(RecordError) as error:
        parse_header(text.encode())
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/2 1 500 10\nb 5", "1 segment lines for 2 segments"),
        ("a/x 1 500 10\nb 5", "1 segment lines for x segments"),
        ("a/1 1 500 10\nb five", "segment line 'b five'"),
        ("a/1 1 -1 10\nb 5", "rate '-1'"),
    ],
)
def test_a_list_of_segments_that_breaks_the_rules_says_which(text: str, message: str) -> None:
    with pytest.raises(RecordError) as error:
        parse_segments(text.encode())
    assert message in str(error.value)


@pytest.mark.parametrize("rate", ["1e3", "1000", "+1000.", "1.0E+03", "1000/250(7)"])
def test_a_rate_may_be_any_number_of_c(rate: str) -> None:
    assert parse_header(f"a 1 {rate} 10\n{LINE}\n".encode()).fs == 1000


@pytest.mark.parametrize("date", ["22:10:00 1/2/89", "2014-05-08 05:05:15", "05-May-2020 09:49:17", "noon"])
def test_a_date_may_have_any_form(date: str) -> None:
    assert parse_header(f"a 1 125 400 {date}\n{LINE}\n".encode()).samples == 400


def test_lines_after_the_last_signal_are_left_alone() -> None:
    assert parse_header(f"a 1 500 10\n{LINE}\ninfo: exported by device\n".encode()).files == ("a.mat",)


def test_headers_of_one_dataset_share_what_they_have_in_common() -> None:
    first, second = (parse_header(f"{n} 1 500 10\n{LINE.replace('a', n)}".encode()) for n in ("x", "y"))
    assert first.scheme is second.scheme
    assert len(pickle.dumps([first] * 2)) < len(pickle.dumps(first)) + 20
