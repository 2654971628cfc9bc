"""What the pages share: their frame, how numbers are shown, and the pictures of a dataset.

A page is one file that needs neither network nor script. Whatever comes from queries or models is text to it:
the template engine escapes it, the charts' library escapes its labels, and the page forbids itself to load or
run anything.
"""

from __future__ import annotations

from datetime import UTC
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from distillery.reports import charts

if TYPE_CHECKING:
    from datetime import datetime

    from markupsafe import Markup

    from distillery.dataset.statistics import Statistics
    from distillery.task.channels import ChannelConfig

UNKNOWN = "unknown"


class Picture(NamedTuple):
    """A chart with its heading and what to know when reading it; no chart where nothing was measured."""

    title: str
    svg: Markup | None
    note: str = ""


def weight_pictures(statistics: Statistics, channel_config: ChannelConfig) -> list[Picture]:
    """How often each weight stands in the labels, channel by channel; empty without labels."""
    if not statistics.labelled:
        return []
    bins = [f"{step:g}" for step in statistics.weight_bins]
    return [
        Picture(
            channel,
            charts.histogram(f"Labels by weight of {channel}", bins, statistics.weight_histograms[channel]),
            f"mean {statistics.mean_weights[channel]:.2f}, dominant in "
            f"{statistics.dominant_counts[channel] / statistics.labelled:.0%}",
        )
        for channel in channel_config.names
    ]


def grade(value: float | None) -> str:
    """A mean on the scale of 1 to 5."""
    return UNKNOWN if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A share."""
    return UNKNOWN if value is None else f"{value:.1%}"


def milliseconds(value: float | None) -> str:
    """A latency."""
    return UNKNOWN if value is None else f"{value:,.0f} ms"


def dollars(value: float | None) -> str:
    """US dollars, with enough decimals for a fraction of a cent."""
    if value is None:
        return UNKNOWN
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def duration(seconds: float | None) -> str:
    """A time span in the two units that matter."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def moment(at: datetime) -> str:
    """A time in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@cache
def environment() -> Environment:
    """The templates of the package."""
    made = Environment(
        loader=PackageLoader("distillery.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for shown in (grade, percent, milliseconds, dollars, duration, moment):
        made.filters[shown.__name__] = shown
    return made
