"""Colors, sizes, numbers and bytes that all figures share."""

from itertools import combinations, islice
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from figure_implied_timescales import plot_implied_timescales
from geom2msm.style import (
    GRAYS,
    label_torsion_axes,
    log_axis,
    looks,
    save_figure,
    short_number,
    start_figure,
    state_color,
    state_legend,
    time_unit,
    timescale_limits,
    timescale_name,
)

STYLE = str(Path(__file__).resolve().parents[2] / "config/figures.mplstyle")

# Machado, Oliveira & Fernandes 2009 (doi:10.1109/TVCG.2009.113), severity 1, on linear RGB.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


@pytest.fixture(autouse=True)
def _style():
    matplotlib.style.use(["default", STYLE])


def test_one_column_is_85_mm_and_two_are_178_mm_wide():
    for columns, width_mm in ((1, 85), (2, 178)):
        figure, _ = start_figure(STYLE, columns=columns)
        assert figure.get_figwidth() * 25.4 == pytest.approx(width_mm, abs=0.05)


def test_sizes_come_from_the_style_file_alone(tmp_path):
    style = tmp_path / "other.mplstyle"
    style.write_text("figure.figsize: 2.0, 1.0\n")
    figure, axes = start_figure(str(style), columns=1, height=3, panels=(2, 1))
    assert tuple(figure.get_size_inches()) == (2.0, 3.0)
    assert axes.shape == (2, 1)


def test_a_style_does_not_leak_into_the_next_figure(tmp_path):
    other = tmp_path / "other.mplstyle"
    other.write_text("font.size: 30\nlines.linewidth: 9\n")
    start_figure(str(other), columns=1)
    start_figure(STYLE, columns=1)
    assert matplotlib.rcParams["font.size"] == 7
    assert matplotlib.rcParams["lines.linewidth"] == 1


def test_ten_states_have_the_ten_colors_of_the_style_and_an_eleventh_is_a_clear_error():
    assert (state_color(1), state_color(10)) == ("#0072B2", "#999933")
    assert len({state_color(state) for state in range(11)}) == 11
    with pytest.raises(ValueError, match=r"config/figures\.mplstyle: .* has 10 colors, but there is a state 11"):
        state_color(11)


def linear(color: str) -> np.ndarray:
    values = np.array(to_rgb(color))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_the_first_five_states_are_told_apart_by_color_blind_readers(blindness):
    seen = [lab(np.array(BLINDNESS[blindness]) @ linear(state_color(state))) for state in range(1, 6)]
    # A difference of about 2 is just noticeable.
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 15


def test_no_gray_of_a_process_is_the_color_of_a_state():
    assert not {to_rgb(gray) for gray in GRAYS} & {to_rgb(state_color(state)) for state in range(11)}


@pytest.mark.parametrize(
    ("times_ps", "unit"),
    [
        ([1, 200], "ps"),
        ([500, 900], "ps"),
        ([2e3, 9e3], "ns"),
        ([5e5, 9e6], "µs"),
        ([np.nan, np.inf, 3e3], "ns"),
        ([], "ps"),
    ],
)
def test_times_are_told_in_the_unit_that_reads_best(times_ps, unit):
    assert time_unit(times_ps)[0] == unit


def test_a_unit_comes_with_its_length_in_picoseconds():
    assert time_unit([5e3]) == ("ns", 1e3)


@pytest.mark.parametrize(
    ("value", "text"), [(52.53, "52.5"), (13649.0, "13,600"), (0.01234, "0.0123"), (1e6, "1,000,000"), (np.inf, "∞")]
)
def test_numbers_have_three_digits_and_no_exponent(value, text):
    assert short_number(value) == text


def save(folder: Path) -> list[bytes]:
    figure, axes = start_figure(STYLE, columns=1)
    axes[0, 0].plot([0, 1], [0, 1], label="a")
    axes[0, 0].imshow(np.eye(3))
    axes[0, 0].legend()
    folder.mkdir()
    paths = {name: str(folder / f"figure.{name}") for name in ("pdf", "png", "csv")}
    save_figure(figure, pd.DataFrame({"x": [1 / 3], "name": ["a"]}), **paths)
    assert not list(folder.glob("*.part"))
    return [Path(path).read_bytes() for path in paths.values()]


def test_equal_data_give_equal_bytes_at_any_time_of_day(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    first = save(tmp_path / "one")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert save(tmp_path / "two") == first


def test_text_in_a_pdf_stays_text(tmp_path):
    pdf, _, csv = save(tmp_path / "one")
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf
    assert csv == b"x,name\n0.3333333,a\n"


def test_a_figure_that_cannot_be_saved_leaves_nothing_behind_that_looks_complete(tmp_path):
    figure, _ = start_figure(STYLE, columns=1)
    paths = {name: str(tmp_path / f"figure.{name}") for name in ("pdf", "png", "csv")}
    figure.text(0.5, 0.5, "$\\no_such_command$")
    with pytest.raises(ValueError, match="no_such_command"):
        save_figure(figure, pd.DataFrame(), **paths)
    assert not [path for path in paths.values() if Path(path).exists()]


def test_the_legend_names_states_and_puts_dropped_frames_last():
    figure, axes = start_figure(STYLE, columns=1)
    state_legend(figure, [2, 0, 1])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["state 1", "state 2", "not in the model"]
    label_torsion_axes(axes[0, 0])
    assert axes[0, 0].get_xlabel() == "φ (°)"


def test_twenty_five_curves_are_told_apart():
    assert len(set(islice(looks(), 25))) == 25


def test_every_process_is_drawn_however_many_there_are():
    numbers = dict.fromkeys(("estimate", "mean", "lower", "upper", "members_lowest", "members_highest"), 1.0)
    rows = [{"lag": lag, "process": process} | numbers for lag in (1.0, 2.0) for process in range(1, 9)]
    ax = Figure().subplots()
    plot_implied_timescales(ax, pd.DataFrame(rows), lag=1.0, unit="ps")
    drawn = [label for label in ax.get_legend_handles_labels()[1] if label.startswith("$t_")]
    assert drawn == [f"$t_{{{number}}}$" for number in range(2, 10)]


@pytest.mark.parametrize("which", ["x", "y"])
@pytest.mark.parametrize(
    "limits", [(0.5, 12), (1.3, 8.9), (0.02, 3), (3, 9000), (62, 68), (0.01, 10_000), (1e-4, 1e6), (2e5, 9e5)]
)
def test_ticks_of_a_logarithmic_axis_are_plain_numbers_from_a_hundredth_to_ten_thousand(limits, which):
    figure, axes = start_figure(STYLE, columns=1)
    log_axis(axes[0, 0], which)
    axis = getattr(axes[0, 0], f"{which}axis")
    axes[0, 0].set(**{f"{which}lim": limits})
    figure.draw_without_rendering()
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    shown = {tick.get_loc(): tick.label1.get_text() for tick in ticks if limits[0] <= tick.get_loc() <= limits[1]}
    written = {place: text for place, text in shown.items() if text}
    assert len(written) >= 2
    for place, text in written.items():
        if 0.01 <= place <= 10_000:
            assert float(text) == pytest.approx(place)
        else:
            assert "10^" in text


def test_limits_hold_all_estimates_and_the_intervals_within_reason():
    low, high = timescale_limits(pd.Series([2.0, 30.0, np.nan, np.inf]), pd.Series([0.5, 900.0, 1e15, 0.0, np.inf]))
    assert 0.01 < low < 0.5
    assert 900 < high < 10_000


def test_limits_of_nothing_are_none():
    assert timescale_limits(pd.Series([np.nan]), pd.Series([np.nan, 3.0])) is None


def test_the_first_process_has_the_second_timescale():
    assert timescale_name(1) == "$t_{2}$"
