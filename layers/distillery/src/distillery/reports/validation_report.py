"""validation.html: the findings and the statistics of a dataset on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from distillery.dataset.findings import CODES, SEVERITIES
from distillery.reports import charts
from distillery.reports.charts import Bar
from distillery.reports.page import Chart, Tile, percent, template_environment, weight_histograms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from distillery.dataset.findings import Code, Finding, Severity
    from distillery.dataset.validation import DatasetReport
    from distillery.task.channels import ChannelConfig

FINDINGS_SHOWN = 10
"""Findings listed for each code. validation.json lists more."""
LANGUAGES_SHOWN = 8
SEVERITY_COLOURS: Mapping[Severity, str] = {"error": "no", "warning": "baseline", "note": "soft"}


class Found(NamedTuple):
    """A code, how many times it was found, and its first findings."""

    code: str
    kind: Code
    times: int
    first: list[Finding]


def render_validation(report: DatasetReport, channel_config: ChannelConfig) -> str:
    """Return the page. The same report always gives the same page."""
    return (
        template_environment()
        .get_template("validation.html.j2")
        .render(
            report=report,
            tiles=_tiles(report),
            weight_histograms=weight_histograms(report.statistics, channel_config),
            coverage=_coverage_charts(report),
            codes=_codes_chart(found_by_code(report)),
            strata=_strata_chart(report),
            found=found_by_code(report),
        )
    )


def found_by_code(report: DatasetReport) -> list[Found]:
    """Return the codes found, by severity and then by number."""
    found = [
        Found(code, CODES[code], count, [f for f in report.findings if f.code == code][:FINDINGS_SHOWN])
        for code, count in report.finding_counts.items()
    ]
    return sorted(found, key=lambda one: (SEVERITIES.index(one.kind.severity), -one.times, one.code))


def _tiles(report: DatasetReport) -> list[Tile]:
    def share(part: int, whole: int) -> str:
        return f"{percent(part / whole)} of {whole:,}" if whole else ""

    return [
        Tile(f"{report.accepted:,}", "lines accepted", share(report.accepted, report.lines)),
        Tile(f"{report.quarantined:,}", "lines quarantined", share(report.quarantined, report.lines)),
        Tile(f"{report.fixed:,}", "lines fixed", share(report.fixed, report.lines)),
        Tile(f"{report.labelled:,}", "labels", share(report.labelled, report.statistics.records)),
        Tile(f"{report.distinct:,}", "distinct queries", share(report.distinct, report.statistics.records)),
        Tile(f"{report.holdout:,}", "holdout records", f"{report.train:,} training records"),
    ]


def _coverage_charts(report: DatasetReport) -> list[Chart]:
    statistics = report.statistics
    coverage = []
    if statistics.labelled:
        svg = _counts_chart("Labels by dominant channel", statistics.dominant_counts)
        note = (
            f"the channel with the largest weight, in {statistics.labelled:,} labels; in a tie, the first "
            "channel of the channel configuration"
        )
        coverage.append(Chart("Dominant channel", svg, note))
    if statistics.records:
        lengths = {
            f"up to {part.up_to:,}" if part.up_to else "more": part.queries
            for part in statistics.query_lengths
        }
        svg = _counts_chart("Queries by length", lengths)
        coverage.append(Chart("Query length", svg, "characters per query"))
    if statistics.languages:
        svg = _counts_chart("Queries by language", dict(list(statistics.languages.items())[:LANGUAGES_SHOWN]))
        note = f"ISO 639 codes, detected in {statistics.sampled:,} distinct queries (sampled by hash)"
        coverage.append(Chart("Language", svg, note))
    if statistics.shapes:
        svg = _counts_chart(
            "Queries by template", {shape.shape: shape.queries for shape in statistics.shapes}
        )
        shared = sum(shape.queries for shape in statistics.shapes)
        note = f"{percent(shared / statistics.sampled)} of {statistics.sampled:,} queries match one of these"
        coverage.append(Chart("Most common query templates", svg, note))
    return coverage


def _counts_chart(description: str, counts: Mapping[str, int]) -> Markup:
    bars = [Bar(f"{_shorten(name)}  {count:,}", "distilled", float(count)) for name, count in counts.items()]
    return charts.bar_chart(description, bars, formatter=lambda value: f"{value:,.0f}")


def _shorten(name: str, length: int = 24) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _codes_chart(found: list[Found]) -> Chart | None:
    if not found:
        return None
    svg = charts.bar_chart(
        "Findings by code",
        [
            Bar(f"{one.code}  {one.times:,}", SEVERITY_COLOURS[one.kind.severity], float(one.times))
            for one in found
        ],
        formatter=lambda value: f"{value:,.0f}",
    )
    legend = {f"{severity}s": colour for severity, colour in SEVERITY_COLOURS.items()}
    return Chart("Findings by code", svg, legend=legend)


def _strata_chart(report: DatasetReport) -> Chart | None:
    if not report.split.strata or not report.holdout:
        return None
    legend = {"target": "reference", "held out": "distilled"}
    svg = charts.grouped_bar_chart(
        "Holdout records by dominant channel",
        list(report.split.strata),
        {
            "target": [float(part.wanted) for part in report.split.strata.values()],
            "held out": [float(part.held) for part in report.split.strata.values()],
        },
        colours=legend,
        formatter=lambda value: f"{value:,.0f}",
    )
    note = "the channel with the largest weight"
    return Chart("Holdout records by dominant channel", svg, note, legend)
