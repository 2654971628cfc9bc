"""The metrics of one candidate. Every figure of a run's report is computed here.

To add a metric to the report:
1. Add a field to `CandidateMetrics` and compute it in `candidate_metrics`.
2. Add a row to `FIGURES` in reports/run_report.py.

A holdout is a sample, so means come with a 95% confidence interval. No metric depends on the order of the
answers.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

from distillery import earlier_names
from distillery.earlier_names import renamed
from distillery.errors import UnreadableRouting
from distillery.task.answers import Routing, parse_routing
from distillery.task.repairs import Repair
from distillery.task.weights import Weights, dominants, weight_score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from distillery.cost.prices import Price
    from distillery.evaluation.answers import Answer
    from distillery.evaluation.judging import JudgeGrades

WEIGHT_SCORE_SCALE = (1, 2, 3, 4, 5)
MIN_SCORE, MAX_SCORE = WEIGHT_SCORE_SCALE[0], WEIGHT_SCORE_SCALE[-1]
Z95 = 1.959964
"""95% of a normal distribution lies within this many standard deviations; a holdout has at least 50."""


class Interval(BaseModel):
    """A 95% confidence interval."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float


class CandidateMetrics(BaseModel):
    """How one candidate did. None means "not measured", never 0.

    - `answers` is the size of the holdout, `answered` the number of calls that returned a text, and
      `compared` the number of answers that have a reference.
    - Over `compared`: the weight score and `dominant_agreement`. An unreadable answer scores 1 and does not
      agree.
    - Over the readable answers of `compared`: `mae`, the mean absolute error over all channels, and
      `mae_per_channel`.
    - Over `answers`: `valid_json_rate` counts answers that are one JSON object with weights.
      `readable_rate` also counts answers that were repaired or extracted from prose; the router needs no
      more than that.
    - Over `answered`: latencies (milliseconds, as Bedrock reports them), tokens, and cost (USD).
    - `weight_score_difference` is the mean difference to the baseline, paired query by query. It is None
      for the baseline itself.
    - `judge_missing` is the number of answers without a grade.
    """

    model_config = ConfigDict(frozen=True)

    model_id: str = ""
    answers: int
    answered: int
    compared: int
    weight_score_mean: float | None
    weight_score_ci95: Interval | None
    weight_score_counts: dict[int, int]
    weight_score_difference: float | None = None
    weight_score_difference_ci95: Interval | None = None
    mae: float | None
    mae_per_channel: dict[str, float]
    dominant_agreement: float | None
    valid_json_rate: float | None
    readable_rate: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    input_tokens: int
    output_tokens: int
    cost_per_1000_usd: float | None
    judge_mean: float | None = None
    judge_ci95: Interval | None = None
    judge_grades: int = 0
    judge_missing: int = 0

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        return renamed(content, earlier_names.CANDIDATE_METRICS)


class ScoredAnswer(NamedTuple):
    """An answer with the weights that were read from it.

    `routing` is None when the answer is unreadable; `weight_score` is None when it has no reference.
    """

    answer: Answer
    routing: Routing | None
    weight_score: int | None

    @property
    def is_json(self) -> bool:
        """Whether the answer is one JSON object with weights."""
        return self.routing is not None and self.routing.was_json

    def absolute_errors(self, channels: Sequence[str]) -> Weights:
        """Return the absolute error of each channel. The answer must be readable and have a reference."""
        reference, routing = self.answer.reference or {}, self.routing
        predicted = routing.weights if routing else {}
        return {channel: abs(reference[channel] - predicted[channel]) for channel in channels}

    def dominant_channel_agrees(self, channels: Sequence[str]) -> bool:
        """Whether answer and reference share a channel of largest weight."""
        reference = self.answer.reference
        if self.routing is None or reference is None:
            return False
        expected = dominants({channel: reference[channel] for channel in channels})
        return bool(expected & dominants(self.routing.weights))


def score_answers(answers: Iterable[Answer], channels: Sequence[str]) -> list[ScoredAnswer]:
    """Read the weights from each answer and score them against the reference."""
    return [_score_answer(answer, channels) for answer in answers]


def _score_answer(answer: Answer, channels: Sequence[str]) -> ScoredAnswer:
    try:
        routing = parse_routing(answer.text or "", channels)
    except UnreadableRouting:
        routing = None
    if answer.reference is None:
        return ScoredAnswer(answer, routing, None)
    # The router reads a channel that is left out as 0. The weight score counts such an answer as incomplete.
    complete = routing is not None and Repair.MISSING_CHANNEL not in routing.repairs
    weights = routing.weights if routing and complete else None
    return ScoredAnswer(answer, routing, weight_score(answer.reference, weights, channels))


def candidate_metrics(
    scored: Sequence[ScoredAnswer],
    channels: Sequence[str],
    price: Price | None = None,
    grades: JudgeGrades | None = None,
    *,
    model_id: str = "",
    baseline: Sequence[ScoredAnswer] = (),
) -> CandidateMetrics:
    """Compute the metrics of one candidate.

    Without `price` the cost is unknown. Without `grades` every grade is missing. Without `baseline` there is
    no difference to it.
    """
    compared = [entry for entry in scored if entry.weight_score is not None]
    weight_scores = [entry.weight_score for entry in compared if entry.weight_score is not None]
    difference = difference_to_baseline(scored, baseline)
    errors = [entry.absolute_errors(channels) for entry in compared if entry.routing is not None]
    answered = [entry.answer for entry in scored if entry.answer.text is not None]
    latencies = sorted(answer.latency_ms for answer in answered if not answer.warm_up)
    input_tokens = sum(answer.input_tokens for answer in answered)
    output_tokens = sum(answer.output_tokens for answer in answered)
    mae_per_channel = {
        channel: value for channel in channels if (value := _mean([e[channel] for e in errors])) is not None
    }
    counts = Counter(weight_scores)
    return CandidateMetrics(
        model_id=model_id,
        answers=len(scored),
        answered=len(answered),
        compared=len(compared),
        weight_score_mean=_mean(weight_scores),
        weight_score_ci95=mean_interval(weight_scores, low=MIN_SCORE, high=MAX_SCORE),
        weight_score_counts={score: counts[score] for score in WEIGHT_SCORE_SCALE},
        weight_score_difference=difference[0] if difference else None,
        weight_score_difference_ci95=difference[1] if difference else None,
        mae=_mean(list(mae_per_channel.values())),
        mae_per_channel=mae_per_channel,
        dominant_agreement=_mean([entry.dominant_channel_agrees(channels) for entry in compared]),
        valid_json_rate=_mean([entry.is_json for entry in scored]),
        readable_rate=_mean([entry.routing is not None for entry in scored]),
        latency_p50_ms=_percentile(latencies, 0.50),
        latency_p95_ms=_percentile(latencies, 0.95),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_per_1000_usd=(
            price.cost_per_1000(input_tokens, output_tokens, len(answered)) if price and answered else None
        ),
        judge_mean=grades.mean if grades else None,
        judge_ci95=mean_interval(grades.grades, low=MIN_SCORE, high=MAX_SCORE) if grades else None,
        judge_grades=len(grades.grades) if grades else 0,
        judge_missing=max(len(scored) - len(grades.grades), 0) if grades else len(scored),
    )


def difference_to_baseline(
    candidate: Sequence[ScoredAnswer], baseline: Sequence[ScoredAnswer]
) -> tuple[float, Interval | None] | None:
    """Return the mean difference of the weight score (candidate minus baseline) and its interval.

    Answers are paired query by query. Queries that only one of the two has are left out. Returns None when
    there is no pair.
    """
    baseline_scores = _scores_by_query(baseline)
    differences = [
        float(score - baseline_scores[key])
        for key, score in _scores_by_query(candidate).items()
        if key in baseline_scores
    ]
    mean = _mean(differences)
    span = MAX_SCORE - MIN_SCORE
    return None if mean is None else (mean, mean_interval(differences, low=-span, high=span))


def _scores_by_query(scored: Sequence[ScoredAnswer]) -> dict[tuple[str, str, int], int]:
    """Weight scores by query, reference, and a number that tells repeated pairs of the two apart."""
    repeats: Counter[tuple[str, str]] = Counter()
    weight_scores = {}
    for entry in scored:
        if entry.weight_score is not None:
            pair = (entry.answer.query, json.dumps(entry.answer.reference, sort_keys=True))
            weight_scores[*pair, repeats[pair]] = entry.weight_score
            repeats[pair] += 1
    return weight_scores


def mean_interval(values: Sequence[float], *, low: float, high: float) -> Interval | None:
    """Return the 95% interval of a mean (normal approximation), limited to `low` and `high`.

    Returns None for fewer than two values.
    """
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    margin = Z95 * math.sqrt(variance / len(values))
    return Interval(low=max(low, mean - margin), high=min(high, mean + margin))


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that is at least as large as `share` of all values."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None
