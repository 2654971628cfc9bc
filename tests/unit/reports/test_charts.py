"""Charts: axes with distinct numbers, and a logarithmic axis where one bar would dwarf the others."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.reports import charts, page
from distillery.reports.charts import Bar, axis_for

amounts = st.floats(min_value=0, max_value=1e9).filter(lambda value: value == 0 or value > 1e-9)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def palettes() -> dict[str, dict[str, str]]:
    """The colours of the style sheet, light and dark."""
    css = Path(page.__file__).with_name("templates").joinpath("report.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    return {
        name: dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", text))
        for name, text in (("light", light), ("dark", dark))
    }


@pytest.mark.parametrize("palette", ["light", "dark"])
def test_text_has_a_contrast_of_at_least_4_5(palette: str) -> None:
    colours = palettes()[palette]
    faint = {
        (text, ground): round(contrast(colours[text], colours[ground]), 2)
        for text in ("ink", "quiet", "yes", "no", "warning")
        for ground in ("paper", "card")
        if contrast(colours[text], colours[ground]) < 4.5
    }
    assert faint == {}


@pytest.mark.parametrize("palette", ["light", "dark"])
def test_bars_have_a_contrast_of_at_least_3(palette: str) -> None:
    colours = palettes()[palette]
    bars = set(colours) - {"paper", "card", "ink", "quiet", "rule"}
    faint = {bar: contrast(colours[bar], colours["paper"]) for bar in bars}
    assert {bar: round(ratio, 2) for bar, ratio in faint.items() if ratio < 3} == {}


@pytest.mark.parametrize(
    ("values", "maximum", "ticks"),
    [
        ([], None, (0, 1)),
        ([0, 0], None, (0, 1)),
        ([1], None, (0, 1)),
        ([2, 1], None, (0, 1, 2)),
        ([120, 10], None, (0, 50, 100, 150)),
        ([0.3, 0.1], None, (0, 0.1, 0.2, 0.3)),
        ([4.34], 5, (0, 2.5, 5)),
        ([0.75], 1, (0, 0.25, 0.5, 0.75, 1)),
        ([3.9, 0.03, 0.04], None, (0.01, 0.1, 1, 10)),
        ([10_000, 3, 5, 900], None, (1, 100, 10_000)),
    ],
)
def test_an_axis_has_round_numbers(
    values: list[float], maximum: float | None, ticks: tuple[float, ...]
) -> None:
    assert axis_for(values, maximum).ticks == pytest.approx(ticks)


@given(st.lists(amounts, max_size=12), st.sampled_from([None, 1.0, 5.0, 100.0]))
def test_numbers_on_an_axis_are_never_repeated_and_every_bar_ends_on_it(
    values: list[float], maximum: float | None
) -> None:
    axis = axis_for(values, maximum)
    labels = [tick["label"] for tick in axis.options()["y_labels"]]
    assert len(set(labels)) == len(labels)
    assert 1 <= len(labels) <= charts.TICKS + 1
    if maximum is None:
        assert all(0 <= axis.place(value) <= axis.place(axis.top) + 1e-9 for value in values)


@given(st.lists(amounts.filter(bool), min_size=2, max_size=12))
def test_the_bars_of_an_axis_keep_the_order_of_the_values(values: list[float]) -> None:
    axis = axis_for(values)
    ordered = sorted(values)
    places = [axis.place(value) for value in ordered]
    assert places == sorted(places)
    assert all(place > 0 for place in places)


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ([3.9, 0.03, 0.03], True),
        ([100, 3], True),
        ([100, 0], False),
        ([100, 6], False),
        ([400, 60, 50, 30, 20, 1], False),
    ],
)
def test_an_axis_is_logarithmic_where_one_bar_would_dwarf_the_others(
    values: list[float], logarithmic: bool
) -> None:
    assert (axis_for(values).note == "logarithmic axis") is logarithmic


def test_a_logarithmic_chart_says_so_on_the_page_and_in_its_text_alternative() -> None:
    bars = [Bar("small", "distilled", 0.03), Bar("large", "baseline", 3.9)]
    chart = charts.bar_chart("Cost", bars, formatter=lambda value: f"${value:.2f}")
    assert 'aria-label="Cost, logarithmic axis: small; large"' in chart
    assert re.search(r"<text[^>]*>logarithmic axis</text>", chart)


def test_tooltips_of_a_logarithmic_chart_have_the_values_and_not_their_logarithms() -> None:
    bars = [Bar("small", "distilled", 0.03), Bar("large", "baseline", 3.9)]
    chart = charts.bar_chart("Cost", bars, formatter=lambda value: f"${value:.2f}")
    assert set(re.findall(r"<title>([^<]*)</title>", chart)) == {"small: $0.03", "large: $3.90"}


def test_a_bar_on_a_logarithmic_axis_grows_by_the_same_length_with_each_factor_of_ten() -> None:
    axis = axis_for([1_000, 1, 10])
    assert axis.place(100) - axis.place(10) == pytest.approx(axis.place(10) - axis.place(1))
    assert axis.place(1) == pytest.approx(math.log10(math.sqrt(10)))
