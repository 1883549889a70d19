"""The ECG page: true to scale, complete, and never an error or a warning on an odd recording."""

import itertools
import struct
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from ecgkit.datasets.wfdb_record import read_record
from ecgkit.errors import SignalError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.reporting.pictures import ecg as ecg_plot
from ecgkit.reporting.pictures.ecg import GRID_LEFT, PAGE_WIDTH, PIXELS_PER_MM, ROW_LEFT, ecg_figure, fit_text, plot_ecg

FS = 500
FIFTEEN = (*STANDARD_LEADS, "VX", "VY", "VZ")


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make_recording(
    leads=STANDARD_LEADS, seconds: float = 10, fs: float = FS, height: float = 1.0, **changes
) -> Recording:
    """A beat a second, at 0.5 s: a triangle of 40 ms on an offset that differs between leads."""
    t = np.arange(round(seconds * fs)) / fs
    beat = height * np.clip(1 - np.abs(t % 1 - 0.5) / 0.02, 0, None)
    signal = np.stack([beat * (1 + 0.05 * i) + 0.3 * i for i in range(len(leads))])
    return replace(Recording(signal, fs, tuple(leads)), **changes)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def traces(figure: Figure) -> list[np.ndarray]:
    """The traces as ``[T, 2]`` in mm, in the order of the panels."""
    return [line.get_xydata() for line in figure.axes[0].lines if line.get_gid() == "trace"]


def png_size(path: Path) -> tuple[int, int]:
    return struct.unpack(">II", path.read_bytes()[16:24])


def test_picture_has_the_size_of_a4_in_whole_pixels_a_mm(tmp_path):
    plot_ecg(make_recording(), tmp_path / "ecg.png")
    assert png_size(tmp_path / "ecg.png") == (297 * PIXELS_PER_MM, 210 * PIXELS_PER_MM)
    data = (tmp_path / "ecg.png").read_bytes()
    at = data.index(b"pHYs") + 4
    assert struct.unpack(">II", data[at : at + 8]) == (6000, 6000)  # pixels a metre, so it prints at true scale


def test_strip_of_10_s_is_250_mm_and_1_mv_is_10_mm():
    strip = traces(ecg_figure(make_recording()))[-1]
    np.testing.assert_allclose(strip[-1, 0] - strip[0, 0], 250, atol=25 / FS + 1e-6)
    np.testing.assert_allclose(np.ptp(strip[:, 1]), 10 * 1.05, atol=1e-6)  # lead II is 5 % higher than I


def test_grid_lines_are_a_mm_apart_and_every_fifth_is_bold():
    figure = ecg_figure(make_recording())
    fine, bold = figure.axes[0].collections
    x = [{round(s[0][0], 6) for s in lines.get_segments() if s[0][0] == s[1][0]} for lines in (fine, bold)]
    assert x[1] == {GRID_LEFT + 5 * i for i in range(56)}
    assert x[0] == {GRID_LEFT + i for i in range(276)} - x[1]


def test_columns_follow_each_other_in_time():
    recording = make_recording()
    recording.signal[0, :] += np.arange(recording.signal.shape[1]) / FS  # lead I rises by 1 mV/s
    recording.signal[6, :] += np.arange(recording.signal.shape[1]) / FS
    lead_1, v1 = traces(ecg_figure(recording))[0], traces(ecg_figure(recording))[6]
    assert lead_1[0, 0] == pytest.approx(ROW_LEFT)
    assert v1[0, 0] == pytest.approx(ROW_LEFT + 125)  # V1 starts at 5 s
    peak = v1[np.argmax(v1[:250, 1]), 0]
    assert peak == pytest.approx(ROW_LEFT + 5.5 * 25, abs=0.2)


def test_standard_order_of_panels():
    figure = ecg_figure(make_recording())
    labels = [text for text in figure.axes[0].texts if text.get_text() in STANDARD_LEADS][:12]
    columns = [[], [], [], []]
    for label in sorted(labels, key=lambda text: -text.get_position()[1]):
        columns[int((label.get_position()[0] - ROW_LEFT) // 62.5)].append(label.get_text())
    assert columns == [["I", "II", "III"], ["aVR", "aVL", "aVF"], ["V1", "V2", "V3"], ["V4", "V5", "V6"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "leads", [("I",), ("II", "V1"), ("I", "II", "V2"), ("I", "II", "V1", "V5"), STANDARD_LEADS, FIFTEEN], ids=len
)
@pytest.mark.parametrize("seconds", [1.0, 4.0, 9.99, 10.0, 60.0])
def test_every_lead_has_its_label(leads, seconds, tmp_path):
    recording = make_recording(leads, seconds)
    assert set(leads) <= set(texts(ecg_figure(recording)))
    plot_ecg(recording, tmp_path / "ecg.png")
    assert png_size(tmp_path / "ecg.png")[0] == PAGE_WIDTH * PIXELS_PER_MM


def test_missing_leads_are_said_to_be_missing():
    found = texts(ecg_figure(make_recording(("I", "II", "V1", "V2", "V3"))))
    assert found.count("not recorded") == 7


def test_derived_leads_are_marked():
    recording = make_recording(("I", "II", *STANDARD_LEADS[6:])).with_derived_leads()
    assert texts(ecg_figure(recording)).count("derived") == 4
    assert "derived" not in texts(ecg_figure(make_recording()))


def test_gaps_break_the_trace_and_are_shaded():
    recording = make_recording()
    recording.signal[1, 1000:1200] = np.nan
    recording.signal[5, :] = np.nan
    figure = ecg_figure(recording)
    figure.canvas.draw()
    strip = traces(figure)[-1]
    assert np.isnan(strip[1000:1200, 1]).all()
    assert np.isfinite(np.delete(strip[:, 1], slice(1000, 1200))).all()
    shaded = [(p.get_x(), p.get_width()) for p in figure.axes[0].patches]
    assert (pytest.approx(ROW_LEFT + 50, abs=0.5), pytest.approx(10, abs=0.6)) in shaded
    assert texts(figure).count("no samples here") == 1


def test_nothing_but_missing_samples_or_no_sample_at_all():
    for signal in (np.full((12, 5000), np.nan), np.full((12, 5000), np.inf), np.empty((12, 0))):
        figure = ecg_figure(Recording(signal, FS, STANDARD_LEADS))
        figure.canvas.draw()
        assert texts(figure).count("no samples here") == 13


def test_a_source_without_unit_gets_no_calibration_pulse():
    with_unit, without = (ecg_figure(make_recording(unit=unit)) for unit in ("mV", "NU"))
    assert len(with_unit.axes[0].lines) - len(without.axes[0].lines) == 4
    assert any("no physical unit: 10 mm per" in text for text in texts(without))
    assert not any("mm/mV" in text for text in texts(without))


@pytest.mark.parametrize("height", [1e-4, 0.03, 1, 7, 400])
def test_amplitudes_without_unit_are_scaled_to_be_seen(height):
    strip = traces(ecg_figure(make_recording(height=height, unit="NU")))[-1]
    assert 3 < np.ptp(strip[:, 1]) < 30


@pytest.mark.parametrize("height", [0.2, 1, 3, 6, 50])
def test_baselines_stay_on_the_page_and_the_footer_tells_the_gain(height):
    figure = ecg_figure(make_recording(height=height))
    footer = next(text for text in texts(figure) if "mm/mV" in text)
    per_mv = float(footer.split("mm/mV")[0].split()[-1])
    assert (per_mv == 10) == (height <= 3)
    for trace in traces(figure):
        assert ecg_plot.FOOTER < np.median(trace[:, 1]) < 210 - ecg_plot.HEADER
    # The gain that is written is the gain that is drawn.
    assert np.ptp(traces(figure)[-1][:, 1]) == pytest.approx(1.05 * height * per_mv, rel=1e-3)


def test_long_and_short_recordings_say_what_is_shown():
    assert any("first 10 s of 60 s" in t for t in texts(ecg_figure(make_recording(seconds=60))))
    assert any("first 10 s of 30 min" in t for t in texts(ecg_figure(make_recording(("I",), 1800, fs=50))))
    assert any("every column shows the first 2.5 s" in t for t in texts(ecg_figure(make_recording(seconds=4))))
    assert not any("every column" in t for t in texts(ecg_figure(make_recording(("I",), seconds=4))))


def test_offsets_do_not_move_a_trace_out_of_its_row():
    low, high = (
        traces(ecg_figure(replace(r, amplitudes=r.signal + offset)))[0]
        for r, offset in ((make_recording(), 0.0), (make_recording(), 40.0))
    )
    np.testing.assert_allclose(low, high, atol=1e-9)


def test_r_peaks_are_marked_on_the_rhythm_strip():
    def marks(figure):
        return [line.get_xdata() for line in figure.axes[0].lines if line.get_gid() == "rpeaks"]

    rpeaks = np.arange(10) * FS + FS // 2
    (given,) = marks(ecg_figure(make_recording(seconds=60), rpeaks=np.append(rpeaks, 29_000)))
    (own,) = marks(ecg_figure(make_recording(rpeaks=rpeaks)))
    np.testing.assert_allclose(given, ROW_LEFT + (np.arange(10) + 0.5) * 25)
    np.testing.assert_allclose(own, given)
    assert marks(ecg_figure(make_recording())) == []
    ecg_figure(make_recording(), rpeaks=np.array([], int)).canvas.draw()


def test_texts_are_drawn_as_they_are():
    title = r"A$_1$ <b>$\frac{1}{x$ \alpha"
    figure = ecg_figure(make_recording(), title=title, subtitle="$x^$ & 心\nline")
    figure.canvas.draw()  # a formula that does not parse would raise here
    assert title in texts(figure)
    assert "$x^$ & □ line" in texts(figure)


def test_long_titles_are_cut_to_the_page():
    figure = ecg_figure(make_recording(), title="W" * 400, subtitle="many words " * 100)
    figure.canvas.draw()
    for text in figure.axes[0].texts:
        assert text.get_window_extent().x1 <= (PAGE_WIDTH - GRID_LEFT + 1) / 25.4 * figure.dpi
    assert fit_text("short", 100, 10) == "short"


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(self, file, **_):
        Path(file).write_bytes(b"half")
        raise RuntimeError("full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(RuntimeError, match="full"):
        plot_ecg(make_recording(), tmp_path / "ecg.png")
    assert list(tmp_path.iterdir()) == []


def test_no_lead_is_an_error(tmp_path):
    with pytest.raises(SignalError, match="no lead"):
        plot_ecg(Recording(np.empty((0, 5000)), FS, ()), tmp_path / "ecg.png")


def test_the_same_recording_gives_the_same_picture(tmp_path):
    for name in ("a.png", "b.png"):
        plot_ecg(make_recording(("I", "II")), tmp_path / name, title="x")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("folder", "record", "strips"),
    [("ludb", "data/1", 13), ("mit-bih", "208", 2), ("wfdb-odd", "s0010_re", 16), ("cpsc2018", "A0001", 13)],
)
def test_real_recordings(shared, tmp_path, folder, record, strips):
    recording = read_record(shared / "data" / folder, record)
    assert len(traces(ecg_figure(recording))) == strips
    plot_ecg(recording, tmp_path / "ecg.png", subtitle=" ".join(recording.comments))
    assert png_size(tmp_path / "ecg.png")[0] == PAGE_WIDTH * PIXELS_PER_MM


def test_no_label_stands_below_or_in_its_trace() -> None:
    from ecgkit.reporting.pictures import ecg_layout

    leads = ecg_layout.panels_of(STANDARD_LEADS, 10.0)
    for height, first in itertools.product((0.5, 1.5, 2.4, 3.5), (0.02, 0.1, 0.2, 0.3)):
        times = np.arange(int(2.5 * FS)) / FS
        beats = sum(height * np.exp(-(((times - at) / 0.02) ** 2)) for at in np.arange(first, 2.5, 0.8))
        gain = ecg_layout.Gain(10.0, "")
        for panel in leads[:4]:
            trace = ecg_layout.Trace(panel.left + 25 * times, beats)
            right, up = ecg_layout.label_place(panel, trace, gain)
            assert up > 0 and 0 < right < 25
            over = (trace.x > panel.left + right) & (trace.x < panel.left + right + 2 * len(panel.lead))
            assert not ((trace.y[over] * 10 > up) & (trace.y[over] * 10 < up + 3)).any()
