"""How well one candidate answered: every figure of a run's report is computed here.

Means come with a 95 % interval, because a holdout is a sample. Nothing here depends on the order of the
answers.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict

from distillery.errors import UnreadableRouting
from distillery.task.answers import Repair, Routing, parse_routing
from distillery.task.weights import Weights, dominants, weight_score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from distillery.cost.prices import Price
    from distillery.evaluation.answers import Answer
    from distillery.evaluation.judging import JudgeGrades
    from distillery.task.channels import ChannelConfig

WEIGHT_SCORE_SCALE = (1, 2, 3, 4, 5)
Z95 = 1.959964
"""A normal distribution has 95 % of its mass within so many standard deviations; a holdout has 50 or more."""
NOT_JSON = frozenset({Repair.SURROUNDINGS, Repair.TRAILING_COMMA})
"""Repairs of an answer that a JSON parser would have refused."""


class Interval(BaseModel):
    """A 95 % confidence interval."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float


class CandidateMetrics(BaseModel):
    """How one candidate did. None stands for "not measured" everywhere: never for 0.

    `answers` is the holdout's size, `answered` how many calls gave a text, `compared` how many have a
    reference. The weight score and `dominant_agreement` are over `compared`, an unreadable answer being a 1 and
    no agreement; the errors (`mae`: absolute, over channels) are over the readable ones of those. The rates are
    over `answers`: `valid_json_rate` counts bare JSON objects with weights, `readable_rate` also what had to
    be picked out of prose or repaired, which is all that the router needs. Latencies (ms, of Bedrock) and
    cost (USD) are over `answered`. `weight_score_lead` is the mean of the differences to the baseline, query by
    query. `judge_missing` counts answers without a grade.
    """

    model_config = ConfigDict(frozen=True)

    model_id: str = ""
    answers: int
    answered: int
    compared: int
    weight_score_mean: float | None
    weight_score_ci95: Interval | None
    weight_score_counts: dict[int, int]
    weight_score_lead: float | None = None
    weight_score_lead_ci95: Interval | None = None
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


def candidate_metrics(
    answers: Sequence[Answer],
    channel_config: ChannelConfig,
    price: Price | None = None,
    grades: JudgeGrades | None = None,
) -> CandidateMetrics:
    """Measure one candidate; without a price its cost is unknown, without grades every grade is missing."""
    channels = channel_config.names
    graded = grade_answers(answers, channel_config)
    compared = [entry for entry in graded if entry.weight_score is not None]
    weight_scores = [entry.weight_score for entry in compared if entry.weight_score is not None]
    errors = [entry.errors(channels) for entry in compared if entry.routing is not None]
    answered = [entry for entry in graded if entry.answer.text is not None]
    latencies = sorted(entry.answer.latency_ms for entry in answered)
    input_tokens = sum(entry.answer.input_tokens for entry in answered)
    output_tokens = sum(entry.answer.output_tokens for entry in answered)
    per_channel = {
        channel: value for channel in channels if (value := _mean([e[channel] for e in errors])) is not None
    }
    counts = Counter(weight_scores)
    low, high = WEIGHT_SCORE_SCALE[0], WEIGHT_SCORE_SCALE[-1]
    return CandidateMetrics(
        answers=len(graded),
        answered=len(answered),
        compared=len(compared),
        weight_score_mean=_mean(weight_scores),
        weight_score_ci95=mean_interval(weight_scores, low=low, high=high),
        weight_score_counts={grade: counts[grade] for grade in WEIGHT_SCORE_SCALE},
        mae=_mean(list(per_channel.values())),
        mae_per_channel=per_channel,
        dominant_agreement=_mean([entry.agrees(channels) for entry in compared]),
        valid_json_rate=_mean([entry.is_json for entry in graded]),
        readable_rate=_mean([entry.routing is not None for entry in graded]),
        latency_p50_ms=_percentile(latencies, 0.50),
        latency_p95_ms=_percentile(latencies, 0.95),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_per_1000_usd=(
            price.cost_per_1000(input_tokens, output_tokens, len(answered)) if price and answered else None
        ),
        judge_mean=grades.mean if grades else None,
        judge_ci95=mean_interval(grades.grades, low=low, high=high) if grades else None,
        judge_grades=len(grades.grades) if grades else 0,
        judge_missing=max(len(graded) - len(grades.grades), 0) if grades else len(graded),
    )


def mean_interval(values: Sequence[float], *, low: float, high: float) -> Interval | None:
    """95 % interval of a mean (normal approximation), within the scale; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    reach = Z95 * math.sqrt(variance / len(values))
    return Interval(low=max(low, mean - reach), high=min(high, mean + reach))


class Graded(NamedTuple):
    """An answer with what could be read out of it; `weight_score` is None without a reference."""

    answer: Answer
    routing: Routing | None
    weight_score: int | None

    @property
    def is_json(self) -> bool:
        return self.routing is not None and not NOT_JSON.intersection(self.routing.repairs)

    def errors(self, channels: Sequence[str]) -> Weights:
        """Absolute error per channel; only for a readable answer with a reference."""
        reference, routing = self.answer.reference or {}, self.routing
        predicted = routing.weights if routing else {}
        return {channel: abs(reference[channel] - predicted[channel]) for channel in channels}

    def agrees(self, channels: Sequence[str]) -> bool:
        reference = self.answer.reference
        if self.routing is None or reference is None:
            return False
        wanted = dominants({channel: reference[channel] for channel in channels})
        return bool(wanted & dominants(self.routing.weights))


def grade_answers(answers: Iterable[Answer], channel_config: ChannelConfig) -> list[Graded]:
    return [_grade(answer, channel_config.names) for answer in answers]


def _grade(answer: Answer, channels: Sequence[str]) -> Graded:
    try:
        routing = parse_routing(answer.text or "", channels)
    except UnreadableRouting:
        routing = None
    if answer.reference is None:
        return Graded(answer, routing, None)
    # The router takes a channel that is left out for 0; the weight score does not.
    whole = routing is not None and Repair.MISSING_CHANNEL not in routing.repairs
    weights = routing.weights if routing and whole else None
    return Graded(answer, routing, weight_score(answer.reference, weights, channels))


def lead(mine: Sequence[Graded], theirs: Sequence[Graded]) -> tuple[float, Interval | None] | None:
    """Mean difference of the weight score over the answers that both have, paired query by query."""
    paired = _by_query(theirs)
    differences = [float(grade - paired[key]) for key, grade in _by_query(mine).items() if key in paired]
    mean = _mean(differences)
    span = WEIGHT_SCORE_SCALE[-1] - WEIGHT_SCORE_SCALE[0]
    return None if mean is None else (mean, mean_interval(differences, low=-span, high=span))


def _by_query(graded: Sequence[Graded]) -> dict[tuple[str, str, int], int]:
    """Weight scores by query and reference, numbered where a holdout has the same pair more than once."""
    seen: Counter[tuple[str, str]] = Counter()
    weight_scores = {}
    for entry in graded:
        if entry.weight_score is not None:
            pair = (entry.answer.query, json.dumps(entry.answer.reference, sort_keys=True))
            weight_scores[*pair, seen[pair]] = entry.weight_score
            seen[pair] += 1
    return weight_scores


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None
