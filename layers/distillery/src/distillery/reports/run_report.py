"""report.html: one run's verdict on one page."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from distillery.evaluation.metrics import WEIGHT_SCORE_SCALE
from distillery.reports import charts
from distillery.reports.page import (
    UNKNOWN,
    Picture,
    dollars,
    duration,
    environment,
    grade,
    milliseconds,
    percent,
    weight_pictures,
)
from distillery.runs.states import CANDIDATES, ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from markupsafe import Markup

    from distillery.dataset.validation import DatasetReport
    from distillery.evaluation.evaluation import Evaluation, WorstQuery
    from distillery.evaluation.metrics import CandidateMetrics
    from distillery.runs.states import Candidate, Run
    from distillery.task.channels import ChannelConfig

TOP_GRADE = 5.0
SPREADS = {"weight_score_mean": "weight_score_ci95", "judge_mean": "judge_ci95"}
MEANINGS: Mapping[Candidate, str] = {
    "distilled": "the student after distillation",
    "untuned": "the same model before it",
    "baseline": "the model in use today, with the teacher prompt",
}
GRADE_COLOURS = {f"{grade}": f"grade{grade}" for grade in WEIGHT_SCORE_SCALE}


class Span(NamedTuple):
    """A stay in a state, in seconds; `lasted` is None for a state that is not left."""

    state: str
    step: str
    at: datetime
    offset: float
    lasted: float | None


def render(evaluation: Evaluation, run: Run, validation: DatasetReport, channel_config: ChannelConfig) -> str:
    """The page. `run` may still be on its way to the verdict; the timeline then ends with the evaluation."""
    measured = {name: evaluation.candidates[name] for name in CANDIDATES if name in evaluation.candidates}
    spans = timeline(run, evaluation.evaluated_at)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            run=run,
            validation=validation,
            channels=channel_config.names,
            basis=basis(evaluation, validation),
            measured=measured,
            meanings=MEANINGS,
            tiles=_tiles(measured),
            weight_pictures=weight_pictures(validation.statistics, channel_config),
            candidate_pictures=_candidate_pictures(measured),
            channel_errors=_channel_errors(measured, channel_config),
            weight_score_mix=_weight_score_mix(measured),
            worst=[(query, _worst_picture(query, channel_config)) for query in evaluation.worst],
            spans=spans,
            timeline=_timeline_picture(spans),
            lineage=_lineage(evaluation, run, validation),
        )
    )


def basis(evaluation: Evaluation, validation: DatasetReport) -> str:
    """What the comparison rests on, in a sentence or two: whose answers, and whether they were trained on."""
    queries = f"{evaluation.holdout:,} queries"
    if evaluation.reference == "teacher":
        few = f"only {validation.labelled:,} labels" if validation.labelled else "no labels"
        return (
            f"The dataset has {few}, so the answers to {queries} are compared with the teacher's own. The "
            "student was trained on these queries too: the figures say how closely it follows the teacher, "
            "and rather flatter it."
        )
    if "holdout_in_training" in validation.finding_counts:
        return (
            f"The answers to {queries} are compared with their labels, on which the student was trained as "
            "well, because nothing could be spared: the figures flatter it."
        )
    return f"The answers to {queries} that the student has never seen are compared with their labels."


def timeline(run: Run, until: datetime) -> list[Span]:
    """The run's states in their order; the last one lasts `until` unless it is an end."""
    moves = sorted(run.history, key=lambda move: move.at)
    if not moves:
        return []
    start = moves[0].at
    spans = [
        Span(
            move.state,
            move.step,
            move.at,
            (move.at - start).total_seconds(),
            (after.at - move.at).total_seconds(),
        )
        for move, after in pairwise(moves)
    ]
    last = moves[-1]
    lasted = None if last.state in ENDED else max((until - last.at).total_seconds(), 0.0)
    return [*spans, Span(last.state, last.step, last.at, (last.at - start).total_seconds(), lasted)]


def _tiles(measured: Mapping[Candidate, CandidateMetrics]) -> list[tuple[str, str, str]]:
    """The distilled model's four figures, each with the baseline's."""
    mine, theirs = measured.get("distilled"), measured.get("baseline")
    if mine is None:
        return []
    figures: tuple[tuple[str, Callable[[float | None], str], str], ...] = (
        ("mean weight score of 5", grade, "weight_score_mean"),
        ("valid JSON", percent, "valid_json_rate"),
        ("median latency", milliseconds, "latency_p50_ms"),
        ("per 1,000 queries", dollars, "cost_per_1000_usd"),
    )
    return [
        (name, shown(getattr(mine, field)), f"baseline {shown(getattr(theirs, field, None))}")
        for name, shown, field in figures
    ]


def _candidate_pictures(measured: Mapping[Candidate, CandidateMetrics]) -> list[Picture]:
    def chart(
        title: str, field: str, shown: Callable[[float | None], str], note: str, top: float | None = None
    ) -> Picture:
        rows = [
            (f"{name}  {shown(value)}", name, value, getattr(metrics, SPREADS.get(field, ""), None))
            for name, metrics in measured.items()
            for value in [getattr(metrics, field)]
        ]
        drawn = any(value is not None for _, _, value, _ in rows)
        svg = charts.bars(title, rows, top=top, formatter=lambda value: f"{value:g}") if drawn else None
        return Picture(title, svg, note if drawn else "Not measured for any candidate.")

    missing = ", ".join(
        f"{metrics.judge_missing} of {name}" for name, metrics in measured.items() if metrics.judge_missing
    )
    judged = f"1 to 5 by a model as judge{missing and f'; without a grade: {missing}'}"
    return [
        chart(
            "Mean weight score",
            "weight_score_mean",
            grade,
            "1 to 5 against the reference; lines: 95 % interval",
            TOP_GRADE,
        ),
        chart(
            "Mean judge grade",
            "judge_mean",
            grade,
            judged,
            TOP_GRADE,
        ),
        _latency_picture(measured),
        chart(
            "Cost of 1,000 queries",
            "cost_per_1000_usd",
            dollars,
            "USD, tokens at list prices; lower is better",
        ),
    ]


def _latency_picture(measured: Mapping[Candidate, CandidateMetrics]) -> Picture:
    series = {
        "median": [metrics.latency_p50_ms for metrics in measured.values()],
        "95th percentile": [metrics.latency_p95_ms for metrics in measured.values()],
    }
    drawn = any(value is not None for values in series.values() for value in values)
    svg = charts.grouped_bars(
        "Latency in milliseconds",
        [f"{name}  {milliseconds(metrics.latency_p50_ms)}" for name, metrics in measured.items()],
        series,
        colours={"median": "strong", "95th percentile": "soft"},
        formatter=lambda value: f"{value:,.0f}",
    )
    note = "milliseconds as Bedrock reports them, without the network; lower is better"
    return Picture("Latency", svg, note) if drawn else Picture("Latency", None, "No candidate answered.")


def _channel_errors(
    measured: Mapping[Candidate, CandidateMetrics], channel_config: ChannelConfig
) -> Markup | None:
    if not any(metrics.mae_per_channel for metrics in measured.values()):
        return None
    return charts.grouped_bars(
        "Mean absolute error per channel",
        channel_config.names,
        {
            name: [metrics.mae_per_channel.get(channel) for channel in channel_config.names]
            for name, metrics in measured.items()
        },
        colours={name: name for name in measured},
        formatter=lambda value: f"{value:.2f}",
        wide=True,
    )


def _weight_score_mix(measured: Mapping[Candidate, CandidateMetrics]) -> Markup | None:
    compared = {name: metrics for name, metrics in measured.items() if metrics.compared}
    if not compared:
        return None
    return charts.stacked_rows(
        "Share of answers by weight score",
        list(compared),
        {
            f"{grade}": [100 * m.weight_score_counts[grade] / m.compared for m in compared.values()]
            for grade in WEIGHT_SCORE_SCALE
        },
        colours=GRADE_COLOURS,
        formatter=lambda value: f"{value:.0f} %",
        top=100,
    )


def _worst_picture(query: WorstQuery, channel_config: ChannelConfig) -> Markup:
    series: dict[str, list[float | None]] = {
        "reference": [query.reference.get(channel) for channel in channel_config.names]
    }
    if query.predicted is not None:
        series["distilled"] = [query.predicted.get(channel) for channel in channel_config.names]
    return charts.grouped_bars(
        "Reference and predicted weights",
        channel_config.names,
        series,
        colours={"reference": "reference", "distilled": "distilled"},
        formatter=lambda value: f"{value:g}",
        top=1.0,
        legend=False,
    )


def _timeline_picture(spans: list[Span]) -> Markup | None:
    timed = [span for span in spans if span.lasted is not None]
    if not timed:
        return None
    return charts.stacked_rows(
        "Time spent in each state",
        [f"{span.state.lower()}  {duration(span.lasted)}" for span in timed],
        {
            "before": [span.offset for span in timed],
            "in the state": [span.lasted or 0.0 for span in timed],
        },
        colours={"before": "nothing", "in the state": "distilled"},
        formatter=duration,
        legend=False,
    )


def _lineage(evaluation: Evaluation, run: Run, validation: DatasetReport) -> list[tuple[str, str]]:
    source = run.source
    after = "moves right after this report" if evaluation.verdict.promote else "stays as it is"
    rows = [
        ("run", run.run_id),
        ("dataset", f"s3://{source.bucket}/{source.key}"),
        ("object version", source.version_id),
        ("fingerprint of the content", validation.fingerprint or run.fingerprint or UNKNOWN),
        ("records trained on, held out", f"{validation.train:,}, {validation.holdout:,}"),
        ("channel configuration digest", run.channel_config_digest or UNKNOWN),
        *((f"{name} prompt digest", digest) for name, digest in sorted(run.prompt_digests.items())),
        *((f"{name} model", model) for name, model in run.models.items()),
        ("customization job", run.job_arn or UNKNOWN),
        ("custom model", run.model_arn or UNKNOWN),
        ("deployment", run.deployment_arn or UNKNOWN),
        *((f"judge job, {name}", arn) for name, arn in run.evaluation_jobs.items()),
        ("active model, version before", _version(run.active_model_version_before) or UNKNOWN),
        ("active model, version after", _version(run.active_model_version_after) or after),
        ("prices as of", evaluation.prices_as_of.isoformat()),
    ]
    return [(name, value) for name, value in rows if value]


def _version(number: int | None) -> str:
    return "" if number is None else str(number)
