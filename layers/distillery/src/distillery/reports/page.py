"""Shared parts of the pages: the template environment, number formats, and the charts of a dataset.

A page is one HTML file without scripts that loads nothing. Text from queries and models is escaped by the
template engine and by the chart library, and the page's Content-Security-Policy forbids to load or run
anything.
"""

from __future__ import annotations

from datetime import UTC
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from distillery.reports import charts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from markupsafe import Markup

    from distillery.dataset.statistics import Statistics
    from distillery.task.channels import ChannelConfig

UNKNOWN = "unknown"


class Chart(NamedTuple):
    """A chart with its heading and a note on how to read it. `svg` is None when nothing was measured.

    `legend` names what each colour of report.css stands for, where the chart has more than one.
    """

    title: str
    svg: Markup | None
    note: str = ""
    legend: Mapping[str, str] = MappingProxyType({})


class Tile(NamedTuple):
    """One of the large figures at the top of a page."""

    value: str
    label: str
    note: str
    behind: bool = False
    """Whether the note names a better figure."""


def weight_histograms(statistics: Statistics, channel_config: ChannelConfig) -> list[Chart]:
    """Draw the distribution of each channel's weights in the labels; return an empty list without labels."""
    if not statistics.labelled:
        return []
    bins = [f"{step:g}" for step in statistics.weight_bins]
    return [
        Chart(
            channel,
            charts.histogram(f"Labels by weight of {channel}", bins, statistics.weight_histograms[channel]),
            f"mean {statistics.mean_weights[channel]:.2f}, dominant channel in "
            f"{statistics.dominant_counts[channel] / statistics.labelled:.0%} of the labels",
        )
        for channel in channel_config.names
    ]


def score(value: float | None) -> str:
    """Format a weight score or a judge grade."""
    return UNKNOWN if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """Format a share of 0 to 1 as a percentage."""
    return UNKNOWN if value is None else f"{value:.1%}"


def milliseconds(value: float | None) -> str:
    """Format a latency."""
    return UNKNOWN if value is None else f"{value:,.0f} ms"


def dollars(value: float | None) -> str:
    """Format US dollars; amounts below one dollar have four decimals."""
    if value is None:
        return UNKNOWN
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def duration(seconds: float | None) -> str:
    """Format a time span in its two largest units."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def timestamp(at: datetime) -> str:
    """Format a time in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@cache
def template_environment() -> Environment:
    """Return the environment of the package's templates with the filters `duration` and `timestamp`."""
    environment = Environment(
        loader=PackageLoader("distillery.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for formatter in (duration, timestamp):
        environment.filters[formatter.__name__] = formatter
    return environment
