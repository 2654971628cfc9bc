"""The report's pictures: SVG by pygal, without scripts, styles or identifiers of its own.

pygal writes a script, a style sheet and a link to its site into each chart. All of that is taken out: colours
and fonts come from the page (so that a chart follows its light, dark and printed forms), and values show as
the browser's own tooltips.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pygal
from markupsafe import Markup
from pygal.style import Style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from distillery.evaluation.metrics import Interval

LABEL_PIXELS = 12
"""Font size within charts; the page's style sheet says the same."""
ROW_PIXELS = 30
FURTHER_BAR = 0.6
"""What each further bar of a group adds to its row."""
AXIS_PIXELS = 34
LEGEND_PIXELS = 26
HISTOGRAM_WIDTH = 230
HISTOGRAM_LABELS = 6
"""As many fit side by side."""
DROPPED = frozenset({"script", "style", "defs"})
DROPPED_CLASSES = frozenset({"plot tooltip-overlay", "x centered", "y centered", "x", "y", "x_label"})

# Colours are the page's; pygal wants as many as there are series, and a colour for values on each.
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


def bars(
    description: str,
    rows: Sequence[tuple[str, str, float | None, Interval | None]],
    *,
    top: float | None = None,
    formatter: Callable[[float], str],
) -> Markup:
    """One bar a row, from the top down: its label, its colour class, its value and perhaps its interval."""
    chart = _horizontal(pygal.HorizontalBar, len(rows), formatter, top)
    chart.x_labels = [label for label, *_ in reversed(rows)]
    chart.add(description, [_bar(colour, value, spread) for _, colour, value, spread in reversed(rows)])
    return _svg(chart, description)


def grouped_bars(
    description: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    colours: Mapping[str, str],
    formatter: Callable[[float], str],
    top: float | None = None,
    wide: bool = False,
    legend: bool = True,
) -> Markup:
    """One group a label, from the top down, with a bar for each series."""
    rows = len(labels) * (1 + (len(series) - 1) * FURTHER_BAR)
    chart = _horizontal(pygal.HorizontalBar, rows, formatter, top, legend=legend, wide=wide)
    chart.config(show_legend=legend, legend_at_bottom_columns=len(series))
    chart.x_labels = list(reversed(labels))
    for name, values in series.items():
        chart.add(name, [_bar(colours[name], value) for value in reversed(values)])
    return _svg(chart, description, legend=[colours[name] for name in series])


def stacked_rows(
    description: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    colours: Mapping[str, str],
    formatter: Callable[[float], str],
    legend: bool = True,
    top: float | None = None,
) -> Markup:
    """One row a label, in which the series follow each other."""
    chart = _horizontal(pygal.HorizontalStackedBar, len(labels), formatter, top, legend=legend, wide=True)
    chart.config(show_legend=legend, legend_at_bottom_columns=len(series))
    chart.x_labels = list(reversed(labels))
    for name, values in series.items():
        chart.add(name, [_bar(colours[name], value) for value in reversed(values)])
    return _svg(chart, description, legend=[colours[name] for name in series])


def histogram(description: str, labels: Sequence[str], counts: Sequence[int]) -> Markup:
    """Upright bars without gaps to speak of, with the counts as tooltips."""
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
    top: float | None,
    *,
    legend: bool = False,
    wide: bool = False,
) -> Any:
    height = round(rows * ROW_PIXELS) + AXIS_PIXELS + (LEGEND_PIXELS if legend else 0)
    scale = {"range": (0, top)} if top else {"include_x_axis": True}
    return kind(
        **_COMMON, width=900 if wide else 430, height=height, value_formatter=formatter, max_scale=5, **scale
    )


def _bar(colour: str, value: float | None, spread: Interval | None = None) -> dict[str, Any] | None:
    if value is None:
        return None
    bar: dict[str, Any] = {"value": value, "color": f"var(--{colour})"}
    if spread is not None:
        bar["ci"] = {"low": spread.low, "high": spread.high}
    return bar


def _svg(chart: Any, description: str, legend: Sequence[str] = ()) -> Markup:
    def clean(root: Any) -> Any:
        _prune(root)
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
    # pygal escapes what it writes; the declaration has no place within a page.
    return Markup(svg[svg.index("<svg") :])  # noqa: S704 (drawn by pygal, which escapes its texts)


def _prune(parent: Any) -> None:
    """Drop what is not a picture, and make values into titles, which browsers show as tooltips."""
    texts = {child.get("class"): child.text for child in _elements(parent) if child.tag == "desc"}
    for child in list(parent):
        named = child.get("class") or ""
        if not isinstance(child.tag, str) or child.tag in DROPPED or named in DROPPED_CLASSES:
            parent.remove(child)
        elif child.tag == "title":
            # The chart's name and the guides' positions; aria-label has the first.
            parent.remove(child)
        elif child.tag == "desc":
            child.tag = "title"
            child.attrib.clear()
            where = texts.get("x_label")
            child.text = f"{where}: {child.text}" if where else child.text
        else:
            _prune(child)


def _elements(parent: Any) -> Iterable[Any]:
    return (child for child in parent if isinstance(child.tag, str))
