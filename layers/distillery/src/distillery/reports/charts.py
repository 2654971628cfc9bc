"""Charts of the reports: SVG drawn by pygal, without scripts, styles and element ids.

pygal writes a script, a style sheet and a link to its site into each chart. All three are removed. Colours
and fonts come from the page's style sheet, so that a chart follows the light, dark and print styles. Values
are shown as the browser's tooltips.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import pygal
from markupsafe import Markup
from pygal.style import Style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from distillery.evaluation.metrics import Interval

LABEL_PIXELS = 12
"""Font size of labels; report.css sets the same size."""
ROW_PIXELS = 30
EXTRA_BAR_ROWS = 0.6
"""Rows that each bar of a group needs after the first."""
AXIS_PIXELS = 34
LEGEND_PIXELS = 26
HISTOGRAM_WIDTH = 230
HISTOGRAM_LABELS = 6
"""Labels that fit side by side."""
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
    legend_font_size=LABEL_PIXELS,
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
    "truncate_legend": -1,
    "legend_at_bottom": True,
    "legend_box_size": 10,
    "spacing": 8,
}


class Bar(NamedTuple):
    """A row of a bar chart. `colour` names a colour of report.css; without a `value` no bar is drawn."""

    label: str
    colour: str
    value: float | None
    interval: Interval | None = None


def bar_chart(
    description: str,
    bars: Sequence[Bar],
    *,
    maximum: float | None = None,
    formatter: Callable[[float], str],
) -> Markup:
    """Draw horizontal bars from top to bottom."""
    chart = _horizontal(pygal.HorizontalBar, len(bars), formatter, maximum)
    chart.x_labels = [bar.label for bar in reversed(bars)]
    chart.add(description, [_value(bar.colour, bar.value, bar.interval) for bar in reversed(bars)])
    return _svg(chart, description)


def grouped_bar_chart(
    description: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    colours: Mapping[str, str],
    formatter: Callable[[float], str],
    maximum: float | None = None,
    wide: bool = False,
    legend: bool = True,
) -> Markup:
    """Draw one group of horizontal bars for each label, from top to bottom, with one bar for each series."""
    rows = len(labels) * (1 + (len(series) - 1) * EXTRA_BAR_ROWS)
    chart = _horizontal(pygal.HorizontalBar, rows, formatter, maximum, legend=legend, wide=wide)
    chart.config(show_legend=legend, legend_at_bottom_columns=len(series))
    chart.x_labels = list(reversed(labels))
    for name, values in series.items():
        chart.add(name, [_value(colours[name], value) for value in reversed(values)])
    return _svg(chart, description, legend=[colours[name] for name in series])


def stacked_bar_chart(
    description: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    colours: Mapping[str, str],
    formatter: Callable[[float], str],
    legend: bool = True,
    maximum: float | None = None,
) -> Markup:
    """Draw one horizontal bar for each label, in which the values of the series follow each other."""
    chart = _horizontal(pygal.HorizontalStackedBar, len(labels), formatter, maximum, legend=legend, wide=True)
    chart.config(show_legend=legend, legend_at_bottom_columns=len(series))
    chart.x_labels = list(reversed(labels))
    for name, values in series.items():
        chart.add(name, [_value(colours[name], value) for value in reversed(values)])
    return _svg(chart, description, legend=[colours[name] for name in series])


def histogram(description: str, labels: Sequence[str], counts: Sequence[int]) -> Markup:
    """Draw vertical bars; the counts are tooltips."""
    chart = pygal.Bar(
        **_COMMON,
        width=HISTOGRAM_WIDTH,
        height=140,
        value_formatter=lambda count: f"{count:,.0f}",
        max_scale=4,
    )
    every = math.ceil(len(labels) / HISTOGRAM_LABELS)
    chart.x_labels = [label if index % every == 0 else "" for index, label in enumerate(labels)]
    chart.add(
        description,
        [
            {"value": count, "label": label, "color": "var(--distilled)"}
            for label, count in zip(labels, counts, strict=True)
        ],
    )
    return _svg(chart, description)


def _horizontal(
    kind: Callable[..., Any],
    rows: float,
    formatter: Callable[[float], str],
    maximum: float | None,
    *,
    legend: bool = False,
    wide: bool = False,
) -> Any:
    height = round(rows * ROW_PIXELS) + AXIS_PIXELS + (LEGEND_PIXELS if legend else 0)
    scale = {"range": (0, maximum)} if maximum else {"include_x_axis": True}
    return kind(
        **_COMMON, width=900 if wide else 430, height=height, value_formatter=formatter, max_scale=5, **scale
    )


def _value(colour: str, value: float | None, interval: Interval | None = None) -> dict[str, Any] | None:
    """A value as pygal takes it."""
    if value is None:
        return None
    entry: dict[str, Any] = {"value": value, "color": f"var(--{colour})"}
    if interval is not None:
        entry["ci"] = {"low": interval.low, "high": interval.high}
    return entry


def _svg(chart: Any, description: str, legend: Sequence[str] = ()) -> Markup:
    def clean(root: Any) -> Any:
        _clean_children(root)
        root.attrib.pop("id", None)
        root.set("role", "img")
        root.set("aria-label", description)
        swatches = [entry for entry in root.iter("g") if "legend" in entry.get("class", "").split()]
        for entry, colour in zip(swatches, legend, strict=False):
            for box in entry.iter("rect"):
                box.set("style", f"fill: var(--{colour})")
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
