"""Charts of the reports: SVG drawn by pygal, without scripts, styles and element ids.

pygal writes a script, a style sheet and a link to its site into each chart. All three are removed. Colours
and fonts come from the page's style sheet, so that a chart follows the light, dark and print styles. Values
are shown as the browser's tooltips.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median_low
from typing import TYPE_CHECKING, Any, NamedTuple

import pygal
from markupsafe import Markup
from pygal.style import Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from distillery.evaluation.metrics import Interval

LABEL_PIXELS = 13
"""Font size of labels; report.css sets the same size."""
WIDTH = 320
"""Width of a chart in pixels, so that labels are readable on a phone; the page shows charts side by side."""
ROW_PIXELS = 30
EXTRA_BAR_ROWS = 0.6
"""Rows that each bar of a group needs after the first."""
AXIS_PIXELS = 34
HISTOGRAM_WIDTH = 230
HISTOGRAM_LABELS = 6
"""Labels that fit side by side."""
TICKS = 4
"""Steps of an axis, at most."""
AXIS_CHARACTERS = 16
"""Characters of all numbers of an axis, at most."""
NICE_FACTORS = (1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0)
TOLERANCE = 1e-9
DWARFED = 20
"""An axis is logarithmic if the largest value is more than this many times the median."""
REMOVED_TAGS = frozenset({"script", "style", "defs"})
REMOVED_CLASSES = frozenset({"plot tooltip-overlay", "x centered", "y centered", "x", "y", "x_label"})

# The page sets the colours. pygal still needs one colour for each series and one for each series' values.
_STYLE = Style(
    background="none",
    plot_background="none",
    font_family="sans-serif",
    label_font_size=LABEL_PIXELS,
    major_label_font_size=LABEL_PIXELS,
    value_font_size=LABEL_PIXELS,
    title_font_size=LABEL_PIXELS,
    colors=("none",) * 12,
    value_colors=("none",) * 12,
)
_COMMON: dict[str, Any] = {
    "js": [],
    "css": [],
    "style": _STYLE,
    "margin": 4,
    "show_legend": False,
    "truncate_label": -1,
    "spacing": 8,
}

Formatter = Callable[[float], str]


class Bar(NamedTuple):
    """A row of a bar chart. `colour` names a colour of report.css; without a `value` no bar is drawn."""

    label: str
    colour: str
    value: float | None
    interval: Interval | None = None


class Axis(NamedTuple):
    """Where values are drawn, and the numbers on the axis.

    A linear axis starts at 0. A logarithmic axis starts below the smallest value above 0; no bar is drawn
    for 0.
    """

    top: float
    ticks: tuple[float, ...]
    start: float | None = None

    def place(self, value: float) -> float:
        """The length of the bar for a value."""
        if self.start is None:
            return value
        return math.log10(value / self.start) if value > self.start else 0.0

    @property
    def note(self) -> str:
        """What a reader must know about the axis."""
        return "" if self.start is None else "logarithmic axis"

    def options(self) -> dict[str, Any]:
        """The options of a pygal chart."""
        return {
            "range": (0, self.place(self.top)),
            "y_labels": [{"label": _number(tick), "value": self.place(tick)} for tick in self.ticks],
        }


def axis_for(values: Iterable[float], maximum: float | None = None, *, logarithmic: bool = True) -> Axis:
    """The axis for values of 0 and more: logarithmic where one value would dwarf the others.

    `maximum` fixes the end of a linear axis. `logarithmic` permits a logarithmic axis. Whole numbers have
    whole numbers on their axis.
    """
    positive = sorted(value for value in values if value > 0)
    largest = maximum or (positive[-1] if positive else 1.0)
    if logarithmic and maximum is None and positive and largest > DWARFED * median_low(positive):
        start = positive[0] / math.sqrt(10)
        exponents = range(math.ceil(math.log10(start)), math.ceil(math.log10(largest)) + 1)
        every = math.ceil(len(exponents) / TICKS)
        ticks = tuple(10.0**exponent for exponent in exponents[::every])
        return Axis(max(largest, ticks[-1]), ticks, start)
    whole = maximum is None and all(value == int(value) for value in positive)
    smallest = 10.0 ** math.floor(math.log10(largest / TICKS))
    for factor in NICE_FACTORS:
        step = smallest * factor
        steps = math.ceil(largest / step - TOLERANCE)
        ticks = tuple(round(step * number, 12) for number in range(steps + 1))
        if (
            steps <= TICKS
            and sum(len(_number(tick)) for tick in ticks) <= AXIS_CHARACTERS
            and (not whole or step == int(step))
            and (maximum is None or abs(ticks[-1] - maximum) < TOLERANCE)
        ):
            return Axis(max(largest, ticks[-1]), ticks)
    return Axis(largest, (0.0, largest))


def _number(value: float) -> str:
    return f"{value:,.10g}"


def bar_chart(
    description: str, bars: Sequence[Bar], *, maximum: float | None = None, formatter: Formatter
) -> Markup:
    """Draw horizontal bars from top to bottom."""
    axis = axis_for(_known(bar.value for bar in bars), maximum)
    chart = _horizontal(pygal.HorizontalBar, len(bars), axis)
    chart.x_labels = [bar.label for bar in reversed(bars)]
    chart.add(
        description, [_value(axis, formatter, bar.colour, bar.value, bar.interval) for bar in reversed(bars)]
    )
    return _svg(chart, _sentence(description, [bar.label for bar in bars], axis))


def grouped_bar_chart(
    description: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    colours: Mapping[str, str],
    formatter: Formatter,
    maximum: float | None = None,
    logarithmic: bool = True,
) -> Markup:
    """Draw one group of horizontal bars for each label, from top to bottom, with one bar for each series."""
    rows = len(labels) * (1 + (len(series) - 1) * EXTRA_BAR_ROWS)
    known = [value for values in series.values() for value in _known(values)]
    axis = axis_for(known, maximum, logarithmic=logarithmic)
    chart = _horizontal(pygal.HorizontalBar, rows, axis)
    return _grouped(chart, description, labels, series, colours, formatter, axis)


def stacked_bar_chart(
    description: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    colours: Mapping[str, str],
    formatter: Formatter,
    maximum: float,
) -> Markup:
    """Draw one horizontal bar for each label, in which the values of the series follow each other."""
    axis = axis_for((), maximum)
    chart = _horizontal(pygal.HorizontalStackedBar, len(labels), axis)
    return _grouped(chart, description, labels, series, colours, formatter, axis)


def histogram(description: str, labels: Sequence[str], counts: Sequence[int]) -> Markup:
    """Draw vertical bars; the counts are tooltips."""

    def formatter(count: float) -> str:
        return f"{count:,.0f}"

    axis = axis_for(counts)
    chart = pygal.Bar(**_COMMON, **axis.options(), width=HISTOGRAM_WIDTH, height=140)
    chart.x_title = axis.note or None
    chart.x_labels = labels
    chart.x_labels_major = labels[:: math.ceil(len(labels) / HISTOGRAM_LABELS)]
    chart.show_minor_x_labels = False
    chart.add(description, [_value(axis, formatter, "distilled", count) for count in counts])
    figures = [f"{label}: {formatter(count)}" for label, count in zip(labels, counts, strict=True)]
    return _svg(chart, _sentence(description, figures, axis))


def _grouped(
    chart: Any,
    description: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    colours: Mapping[str, str],
    formatter: Formatter,
    axis: Axis,
) -> Markup:
    chart.x_labels = list(reversed(labels))
    for name, values in series.items():
        chart.add(name, [_value(axis, formatter, colours[name], value) for value in reversed(values)])
    figures = [
        f"{label}: "
        + ", ".join(
            f"{name} {'unknown' if value is None else formatter(value)}"
            for name, value in ((name, values[place]) for name, values in series.items())
        )
        for place, label in enumerate(labels)
    ]
    return _svg(chart, _sentence(description, figures, axis))


def _horizontal(kind: Callable[..., Any], rows: float, axis: Axis) -> Any:
    height = round(rows * ROW_PIXELS) + AXIS_PIXELS
    if axis.note:
        height += LABEL_PIXELS + 4
    chart = kind(**_COMMON, **axis.options(), width=WIDTH, height=height)
    chart.x_title = axis.note or None
    return chart


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _sentence(description: str, figures: Sequence[str], axis: Axis) -> str:
    """The text alternative of a chart: what it shows, and every figure in it."""
    shown = "; ".join(" ".join(figure.split()) for figure in figures)
    return f"{description}{axis.note and f', {axis.note}'}: {shown}"


def _value(
    axis: Axis, formatter: Formatter, colour: str, value: float | None, interval: Interval | None = None
) -> dict[str, Any] | None:
    """A value as pygal takes it."""
    if value is None:
        return None
    entry: dict[str, Any] = {
        "value": axis.place(value),
        "formatter": lambda _: formatter(value),
        "color": f"var(--{colour})",
    }
    if interval is not None:
        entry["ci"] = {"low": axis.place(interval.low), "high": axis.place(interval.high)}
    return entry


def _svg(chart: Any, description: str) -> Markup:
    def clean(root: Any) -> Any:
        _clean_children(root)
        root.attrib.pop("id", None)
        root.set("role", "img")
        root.set("aria-label", description)
        return root

    chart.add_xml_filter(clean)
    svg: str = chart.render(is_unicode=True)
    # The XML declaration before <svg> is not allowed inside a page.
    return Markup(svg[svg.index("<svg") :])  # noqa: S704 (pygal escapes the texts)


def _clean_children(parent: Any) -> None:
    """Remove elements that are not part of the drawing; turn values into <title>, shown as a tooltip."""
    texts = {child.get("class"): child.text for child in _elements(parent) if child.tag == "desc"}
    for child in list(parent):
        css_class = child.get("class") or ""
        if not isinstance(child.tag, str) or child.tag in REMOVED_TAGS or css_class in REMOVED_CLASSES:
            parent.remove(child)
        elif child.tag == "title":
            # pygal's titles: the name of the chart, which aria-label repeats, and positions of grid lines.
            parent.remove(child)
        elif child.tag == "desc":
            child.tag = "title"
            child.attrib.clear()
            label = texts.get("x_label")
            child.text = f"{label}: {child.text}" if label else child.text
        else:
            _clean_children(child)


def _elements(parent: Any) -> Iterable[Any]:
    return (child for child in parent if isinstance(child.tag, str))
