"""report.html: the verdict of a run, the metrics of its candidates, and its history on one page."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.cost.estimate import dollars as dollars_span
from distillery.evaluation.metrics import MAX_SCORE, WEIGHT_SCORE_SCALE
from distillery.reports import charts
from distillery.reports.charts import Bar
from distillery.reports.headlines import HEADLINES, cost_sentences
from distillery.reports.page import (
    UNKNOWN,
    Chart,
    Tile,
    dollars,
    duration,
    milliseconds,
    percent,
    score,
    template_environment,
    timestamp,
    weight_histograms,
)
from distillery.runs.states import CANDIDATES, ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from markupsafe import Markup

    from distillery.cost.estimate import Estimate
    from distillery.dataset.validation import DatasetReport
    from distillery.evaluation.evaluation import Evaluation, WorstQuery
    from distillery.evaluation.metrics import CandidateMetrics, Interval
    from distillery.runs.states import Candidate, Run
    from distillery.task.channels import ChannelConfig

    Measured = Mapping[Candidate, CandidateMetrics]

DESCRIPTIONS: Mapping[Candidate, str] = {
    "distilled": "the student model after distillation",
    "untuned": "the student model before distillation",
    "baseline": "the model in use before the first promotion, with the long teacher prompt",
}
SCORE_COLOURS = {f"{step}": f"score{step}" for step in WEIGHT_SCORE_SCALE}


class Figure(NamedTuple):
    """A row of the table "All figures": its label, and the text of its cell for each candidate."""

    label: str
    cell: Callable[[CandidateMetrics], str]


def _with_interval(value: float | None, interval: Interval | None, number_format: str = ".2f") -> str:
    if value is None:
        return UNKNOWN
    limits = f" ({interval.low:{number_format}} to {interval.high:{number_format}})" if interval else ""
    return f"{value:{number_format}}{limits}"


def _difference(metrics: CandidateMetrics) -> str:
    difference = metrics.weight_score_difference
    if difference is None:
        return "-"
    return _with_interval(difference, metrics.weight_score_difference_ci95, "+.2f")


def _error(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


FIGURES: tuple[Figure, ...] = (
    Figure("queries answered", lambda m: f"{m.answered:,} of {m.answers:,}"),
    Figure(
        "weight score, mean (95% interval)",
        lambda m: _with_interval(m.weight_score_mean, m.weight_score_ci95),
    ),
    Figure("weight score, mean difference to the baseline (95% interval)", _difference),
    Figure("dominant-channel agreement", lambda m: percent(m.dominant_agreement)),
    Figure("judge grade, mean (95% interval)", lambda m: _with_interval(m.judge_mean, m.judge_ci95)),
    Figure("judge grades", lambda m: f"{m.judge_grades:,} given, {m.judge_missing:,} missing"),
    Figure("valid JSON", lambda m: percent(m.valid_json_rate)),
    Figure("readable, including repaired answers", lambda m: percent(m.readable_rate)),
    Figure("latency, median", lambda m: milliseconds(m.latency_p50_ms)),
    Figure("latency, 95th percentile", lambda m: milliseconds(m.latency_p95_ms)),
    Figure("tokens", lambda m: f"{m.input_tokens:,} input, {m.output_tokens:,} output"),
    Figure("cost of 1,000 queries", lambda m: dollars(m.cost_per_1000_usd)),
    Figure("mean absolute error, all channels", lambda m: _error(m.mae)),
)
"""Rows of the table. The errors of the single channels follow them."""


class StateSpan(NamedTuple):
    """The time a run spent in a state, in seconds. `lasted` is None for a state that ends a run."""

    state: str
    step: str
    entered: datetime
    lasted: float | None


def render_run_report(
    evaluation: Evaluation,
    run: Run,
    validation: DatasetReport,
    channel_config: ChannelConfig,
    estimate: Estimate | None = None,
) -> str:
    """Return the page. The timeline of a run that has not ended yet ends with the evaluation."""
    measured = {name: evaluation.candidates[name] for name in CANDIDATES if name in evaluation.candidates}
    spans = timeline(run, evaluation.evaluated_at)
    return (
        template_environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            run=run,
            validation=validation,
            comparison_basis=comparison_basis(evaluation, validation),
            measured=measured,
            descriptions=DESCRIPTIONS,
            tiles=_tiles(evaluation.scores()),
            cost_sentences=cost_sentences(run),
            costs=_costs(evaluation, estimate),
            weight_histograms=weight_histograms(validation.statistics, channel_config),
            candidate_charts=_candidate_charts(measured),
            error_charts=[
                chart
                for chart in (
                    _channel_error_chart(measured, channel_config.names),
                    _score_share_chart(measured),
                )
                if chart
            ],
            worst=[(query, _worst_query_chart(query, channel_config.names)) for query in evaluation.worst],
            spans=spans,
            timeline=_timeline_chart(spans),
            lineage=_lineage(evaluation, run, validation),
            figures=_figures(measured, channel_config.names),
        )
    )


def comparison_basis(evaluation: Evaluation, validation: DatasetReport) -> str:
    """Say what the answers are compared with, and whether the student was trained on the same queries."""
    queries = f"{evaluation.holdout:,} queries"
    if evaluation.reference == "teacher":
        labels = f"only {validation.labelled:,} labels" if validation.labelled else "no labels"
        return (
            f"The dataset has {labels}, so the answers to {queries} are compared with the teacher's answers. "
            "The student was trained on the same queries: the figures show how closely it follows the "
            "teacher, and are too high for queries it has not seen."
        )
    if "holdout_in_training" in validation.finding_counts:
        return (
            f"The answers to {queries} are compared with their labels. The dataset is too small for a "
            "separate holdout, so the student was trained on the same queries: the figures are too high for "
            "queries it has not seen."
        )
    return (
        f"The answers to {queries} of the holdout, on which the student was not trained, are compared with "
        "their labels."
    )


def timeline(run: Run, until: datetime) -> list[StateSpan]:
    """Return the states of a run in order. The last state lasts `until` that time, unless it ends the run."""
    moves = sorted(run.history, key=lambda move: move.at)
    if not moves:
        return []
    spans = [
        StateSpan(
            move.state,
            move.step,
            move.at,
            (following.at - move.at).total_seconds(),
        )
        for move, following in pairwise(moves)
    ]
    last = moves[-1]
    lasted = None if last.state in ENDED else max((until - last.at).total_seconds(), 0.0)
    return [*spans, StateSpan(last.state, last.step, last.at, lasted)]


def _tiles(scores: Mapping[str, Mapping[str, Any]]) -> list[Tile]:
    """The distilled model's headline figures, each with the baseline's."""
    if "distilled" not in scores:
        return []
    distilled, baseline = scores["distilled"], scores.get("baseline", {})
    tiles = []
    for headline in HEADLINES:
        behind = headline.is_better(baseline, distilled)
        note = f"baseline {headline.cell(baseline)}{', which is better' if behind else ''}"
        tiles.append(Tile(headline.cell(distilled), headline.label, note, behind))
    return tiles


def _costs(evaluation: Evaluation, estimate: Estimate | None) -> list[tuple[str, str, str, str]]:
    """The items of the run's cost: name, estimate, tokens used, and cost by the tokens used."""
    estimated = {line.name: line.usd for line in estimate.lines} if estimate else {}
    used = {usage.name: usage for usage in evaluation.usage}
    rows = []
    for name in dict.fromkeys([*estimated, *used]):
        span, usage = estimated.get(name), used.get(name)
        tokens = f"{usage.input_tokens:,} input, {usage.output_tokens:,} output" if usage else "not reported"
        rows.append(
            (
                name,
                dollars_span(span) if span else UNKNOWN,
                tokens,
                dollars(usage.usd) if usage else "not reported",
            )
        )
    return rows


def _candidate_charts(measured: Measured) -> list[Chart]:
    missing = ", ".join(
        f"{metrics.judge_missing:,} of {name}" for name, metrics in measured.items() if metrics.judge_missing
    )
    return [
        _candidate_chart(
            "Mean weight score",
            measured,
            lambda m: (m.weight_score_mean, m.weight_score_ci95),
            score,
            "1 to 5, computed against the reference; higher is better. Lines: 95% interval",
            MAX_SCORE,
        ),
        _candidate_chart(
            "Mean judge grade",
            measured,
            lambda m: (m.judge_mean, m.judge_ci95),
            score,
            "1 to 5, given by a model that compares the answer with the reference; higher is better. "
            f"Lines: 95% interval{missing and f'. Missing grades: {missing}'}",
            MAX_SCORE,
        ),
        _candidate_chart(
            "Dominant-channel agreement",
            measured,
            lambda m: (m.dominant_agreement, None),
            percent,
            "share of the answers with the same channel of largest weight as the reference; higher is better",
            1.0,
        ),
        _candidate_chart(
            "Valid JSON",
            measured,
            lambda m: (m.valid_json_rate, None),
            percent,
            "share of the answers that are one JSON object with weights; higher is better",
            1.0,
        ),
        _latency_chart(measured),
        _candidate_chart(
            "Cost of 1,000 queries",
            measured,
            lambda m: (m.cost_per_1000_usd, None),
            dollars,
            "USD, input and output tokens at list prices; lower is better",
        ),
    ]


def _candidate_chart(
    title: str,
    measured: Measured,
    figure: Callable[[CandidateMetrics], tuple[float | None, Interval | None]],
    shown: Callable[[float | None], str],
    note: str,
    maximum: float | None = None,
) -> Chart:
    """Draw one bar for each candidate; `figure` returns its value and interval."""
    bars = []
    for name, metrics in measured.items():
        value, interval = figure(metrics)
        bars.append(Bar(f"{name}  {shown(value)}", name, value, interval))
    if all(bar.value is None for bar in bars):
        return Chart(title, None, "Not measured for any candidate.")
    svg = charts.bar_chart(title, bars, maximum=maximum, formatter=shown)
    return Chart(title, svg, note)


def _latency_chart(measured: Measured) -> Chart:
    legend = {"median": "strong", "95th percentile": "soft"}
    series = {
        "median": [metrics.latency_p50_ms for metrics in measured.values()],
        "95th percentile": [metrics.latency_p95_ms for metrics in measured.values()],
    }
    if all(value is None for values in series.values() for value in values):
        return Chart("Latency", None, "No candidate answered.")
    svg = charts.grouped_bar_chart(
        "Latency in milliseconds",
        [f"{name}  {milliseconds(metrics.latency_p50_ms)}" for name, metrics in measured.items()],
        series,
        colours=legend,
        formatter=milliseconds,
    )
    note = "milliseconds, as Bedrock reports them, without the network; lower is better"
    return Chart("Latency", svg, note, legend)


def _channel_error_chart(measured: Measured, channels: Sequence[str]) -> Chart | None:
    if not any(metrics.mae_per_channel for metrics in measured.values()):
        return None
    legend: dict[str, str] = {name: name for name in measured}
    svg = charts.grouped_bar_chart(
        "Mean absolute error per channel",
        channels,
        {
            name: [metrics.mae_per_channel.get(channel) for channel in channels]
            for name, metrics in measured.items()
        },
        colours=legend,
        formatter=lambda value: f"{value:.3f}",
        logarithmic=False,
    )
    note = "difference between predicted and reference weight, over readable answers; lower is better"
    return Chart("Mean absolute error per channel", svg, note, legend)


def _score_share_chart(measured: Measured) -> Chart | None:
    compared = {name: metrics for name, metrics in measured.items() if metrics.compared}
    if not compared:
        return None
    svg = charts.stacked_bar_chart(
        "Share of answers by weight score",
        list(compared),
        {
            f"{step}": [100 * m.weight_score_counts[step] / m.compared for m in compared.values()]
            for step in WEIGHT_SCORE_SCALE
        },
        colours=SCORE_COLOURS,
        formatter=lambda value: f"{value:.0f}%",
        maximum=100,
    )
    note = (
        "percent of the answers. 5: no channel is off by more than 0.05. 4: none by more than 0.10. 1: a "
        "channel is off by more than 0.30, or the answer is unreadable or lacks a channel. Otherwise 3 if "
        "the dominant channel (that of the largest weight) is right and the mean error is below 0.15, else 2."
    )
    return Chart("Answers by weight score", svg, note, SCORE_COLOURS)


def _worst_query_chart(query: WorstQuery, channels: Sequence[str]) -> Markup:
    series: dict[str, list[float | None]] = {
        "reference": [query.reference.get(channel) for channel in channels]
    }
    if query.predicted is not None:
        series["distilled"] = [query.predicted.get(channel) for channel in channels]
    return charts.grouped_bar_chart(
        "Reference and predicted weights",
        channels,
        series,
        colours={"reference": "reference", "distilled": "distilled"},
        formatter=lambda value: f"{value:g}",
        maximum=1.0,
    )


def _timeline_chart(spans: list[StateSpan]) -> Chart | None:
    bars = [
        Bar(f"{span.state.lower()}  {duration(span.lasted)}", "distilled", span.lasted)
        for span in spans
        if span.lasted is not None
    ]
    if not bars:
        return None
    svg = charts.bar_chart("Time spent in each state", bars, formatter=duration)
    return Chart("Time spent in each state", svg, f"seconds, since {timestamp(spans[0].entered)}")


def _lineage(evaluation: Evaluation, run: Run, validation: DatasetReport) -> list[tuple[str, str]]:
    """What the run was made from and what it made; entries without a value are left out."""
    source = run.source
    version_after = _version(run.active_model_version_after) or (
        "set after this report" if evaluation.verdict.promote else "unchanged"
    )
    entries = [
        ("run", run.run_id),
        ("dataset", f"s3://{source.bucket}/{source.key}"),
        ("object version", source.version_id),
        ("content fingerprint", validation.fingerprint or run.fingerprint or UNKNOWN),
        ("training records", f"{validation.train:,}"),
        ("holdout records", f"{validation.holdout:,}"),
        ("channel configuration digest", run.channel_config_digest or UNKNOWN),
        *((f"{name} prompt digest", digest) for name, digest in sorted(run.prompt_digests.items())),
        *((f"{name} model", model) for name, model in run.models.items()),
        ("customization job", run.job_arn or UNKNOWN),
        ("custom model", run.model_arn or UNKNOWN),
        ("deployment", run.deployment_arn or UNKNOWN),
        *((f"judge job, {name}", arn) for name, arn in run.evaluation_jobs.items()),
        ("active-model version before", _version(run.active_model_version_before) or UNKNOWN),
        ("active-model version after", version_after),
        ("prices as of", evaluation.prices_as_of.isoformat()),
    ]
    return [(label, value) for label, value in entries if value]


def _version(number: int | None) -> str:
    return "" if number is None else str(number)


def _figures(measured: Measured, channels: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The rows of the table "All figures": a label and a cell for each candidate."""
    candidates = measured.values()
    figures = [(figure.label, [figure.cell(metrics) for metrics in candidates]) for figure in FIGURES]
    errors = [
        (
            f"mean absolute error, {channel}",
            [_error(metrics.mae_per_channel.get(channel)) for metrics in candidates],
        )
        for channel in channels
    ]
    return figures + errors
