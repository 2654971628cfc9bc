"""validation.html: what the doctor says of a dataset, on one page, pictures first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from distillery.dataset.findings import CODES, SEVERITIES
from distillery.reports import charts
from distillery.reports.page import Picture, environment, percent, weight_pictures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from distillery.dataset.findings import Code, Finding, Severity
    from distillery.dataset.validation import DatasetReport
    from distillery.task.channels import ChannelConfig

OFFENDERS = 10
"""Findings of one code that are shown; validation.json has more."""
LANGUAGES = 8
COLOURS: Mapping[Severity, str] = {"error": "no", "warning": "baseline", "note": "soft"}


class Found(NamedTuple):
    """A code with how often it was found, and the first findings."""

    code: str
    kind: Code
    times: int
    first: list[Finding]


def render_validation(report: DatasetReport, channel_config: ChannelConfig) -> str:
    """The page. It holds nothing that is not in the report, and is the same each time it is drawn."""
    return (
        environment()
        .get_template("validation.html.j2")
        .render(
            report=report,
            tiles=_tiles(report),
            weight_pictures=weight_pictures(report.statistics, channel_config),
            coverage=_coverage(report),
            codes=_codes_picture(found_by_code(report)),
            strata=_strata_picture(report),
            found=found_by_code(report),
        )
    )


def found_by_code(report: DatasetReport) -> list[Found]:
    """The codes found, the worst and the commonest first."""
    found = [
        Found(code, CODES[code], count, [f for f in report.findings if f.code == code][:OFFENDERS])
        for code, count in report.finding_counts.items()
    ]
    return sorted(found, key=lambda one: (SEVERITIES.index(one.kind.severity), -one.times, one.code))


def _tiles(report: DatasetReport) -> list[tuple[str, str, str]]:
    def share(part: int, whole: int) -> str:
        return f"{percent(part / whole)} of {whole:,}" if whole else ""

    return [
        (f"{report.accepted:,}", "lines accepted", share(report.accepted, report.lines)),
        (f"{report.quarantined:,}", "lines set aside", share(report.quarantined, report.lines)),
        (f"{report.fixed:,}", "lines fixed", share(report.fixed, report.lines)),
        (f"{report.labelled:,}", "labels", share(report.labelled, report.statistics.records)),
        (f"{report.distinct:,}", "distinct queries", share(report.distinct, report.statistics.records)),
        (f"{report.holdout:,}", "held out", f"{report.train:,} to train on"),
    ]


def _coverage(report: DatasetReport) -> list[Picture]:
    statistics = report.statistics
    pictures = []
    if statistics.labelled:
        pictures.append(
            Picture(
                "Dominant channel",
                _bars("Labels by dominant channel", statistics.dominant_counts),
                f"of {statistics.labelled:,} labels; a tie counts for the channel named first",
            )
        )
    if statistics.records:
        lengths = {
            f"up to {part.up_to:,}" if part.up_to else "more": part.queries
            for part in statistics.query_lengths
        }
        pictures.append(Picture("Length", _bars("Queries by length", lengths), "characters of a query"))
    if statistics.languages:
        svg = _bars("Queries by language", dict(list(statistics.languages.items())[:LANGUAGES]))
        note = f"of {statistics.sampled:,} distinct queries chosen by hash; ISO 639 codes, as a model sees it"
        pictures.append(Picture("Language", svg, note))
    if statistics.shapes:
        svg = _bars("Queries by shape", {shape.shape: shape.queries for shape in statistics.shapes})
        shared = sum(shape.queries for shape in statistics.shapes)
        note = f"{percent(shared / statistics.sampled)} of {statistics.sampled:,} have one of these"
        pictures.append(Picture("Commonest shapes", svg, note))
    return pictures


def _bars(description: str, counts: Mapping[str, int]) -> Markup:
    rows = [(f"{_cut(name)}  {count:,}", "distilled", float(count), None) for name, count in counts.items()]
    return charts.bars(description, rows, formatter=lambda value: f"{value:,.0f}")


def _cut(name: str, most: int = 34) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _codes_picture(found: list[Found]) -> Markup | None:
    if not found:
        return None
    return charts.bars(
        "Findings by code",
        [(f"{one.code}  {one.times:,}", COLOURS[one.kind.severity], float(one.times), None) for one in found],
        formatter=lambda value: f"{value:,.0f}",
    )


def _strata_picture(report: DatasetReport) -> Markup | None:
    if not report.split.strata or not report.holdout:
        return None
    return charts.grouped_bars(
        "Records held out by dominant channel",
        list(report.split.strata),
        {
            "wanted": [float(part.wanted) for part in report.split.strata.values()],
            "held": [float(part.held) for part in report.split.strata.values()],
        },
        colours={"wanted": "reference", "held": "distilled"},
        formatter=lambda value: f"{value:,.0f}",
        wide=True,
    )
