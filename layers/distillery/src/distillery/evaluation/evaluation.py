"""Evaluation: what every candidate answered to the holdout, measured; the verdict; evaluation.json.

Means come with a 95 % interval, because a holdout is a sample. Nothing here depends on the order of the
answers.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from distillery.dataset.split import Reference
from distillery.errors import UnreadableRouting
from distillery.evaluation.gate import GateRules, Verdict, decide
from distillery.runs.states import Candidate
from distillery.task.weights import Repair, Routing, Weights, dominants, parse_routing, rubric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from distillery.cost.prices import Price
    from distillery.evaluation.judging import JudgeGrades
    from distillery.task.channels import Taxonomy

Z95 = 1.959964
"""A normal distribution has 95 % of its mass within so many standard deviations; a holdout has 50 or more."""
WARM_UPS = 3
"""Calls before the first measured one; a fresh deployment answers its first calls slowly."""
RUBRIC_SCALE = (1, 2, 3, 4, 5)
WORST_QUERIES = 10
SHOWN_CHARACTERS = 300
"""Of an answer that cannot be read."""
NOT_JSON = frozenset({Repair.SURROUNDINGS, Repair.TRAILING_COMMA})
"""Repairs of an answer that a JSON parser would have refused."""


class Answer(BaseModel):
    """One line of `predictions/<candidate>.jsonl`: a query of the holdout and what a model said to it.

    `latency_ms` is Bedrock's own `metrics.latencyMs`: the model's time, without the network or the waiting
    of retries. `reference` is the label (or the teacher's weights), `error` says why there is no `text`.
    """

    model_config = ConfigDict(frozen=True)

    query: str
    reference: Weights | None
    text: str | None
    error: str | None = None
    latency_ms: float = Field(default=0.0, ge=0)
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)


def dump_answers(answers: Iterable[Answer]) -> bytes:
    """Answers as JSON lines."""
    return "".join(f"{answer.model_dump_json()}\n" for answer in answers).encode()


def load_answers(content: bytes) -> list[Answer]:
    """Answers from JSON lines, in their order."""
    return [Answer.model_validate_json(line) for line in content.split(b"\n") if line.strip()]


class Interval(BaseModel):
    """A 95 % confidence interval."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float


class CandidateMetrics(BaseModel):
    """How one candidate did. None stands for "not measured" everywhere: never for 0.

    `answers` is the holdout's size, `answered` how many calls gave a text, `compared` how many have a
    reference. The rubric and `dominant_agreement` are over `compared`, an unreadable answer being a 1 and
    no agreement; the errors (`mae`: absolute, over facets) are over the readable ones of those. The rates are
    over `answers`: `valid_json_rate` counts bare JSON objects with weights, `readable_rate` also what had to
    be picked out of prose or repaired, which is all that the router needs. Latencies (ms, of Bedrock) and
    cost (USD) are over `answered`. `rubric_lead` is the mean of the differences to the baseline, query by
    query. `judge_missing` counts answers without a grade.
    """

    model_config = ConfigDict(frozen=True)

    model_id: str = ""
    answers: int
    answered: int
    compared: int
    rubric_mean: float | None
    rubric_ci95: Interval | None
    rubric_counts: dict[int, int]
    rubric_lead: float | None = None
    rubric_lead_ci95: Interval | None = None
    mae: float | None
    mae_per_facet: dict[str, float]
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


class WorstQuery(BaseModel):
    """A query that the distilled model weighed badly. `text` is what it said, where that cannot be read."""

    model_config = ConfigDict(frozen=True)

    query: str
    reference: Weights
    predicted: Weights | None
    rubric: int
    largest_error: float | None
    reasoning: str = ""
    text: str = ""


class Evaluation(BaseModel):
    """evaluation.json. `served_by` is what Bedrock says of who provides the models."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    evaluated_at: AwareDatetime
    served_by: tuple[str, ...]
    reference: Reference
    holdout: int
    candidates: dict[Candidate, CandidateMetrics]
    gate: GateRules
    verdict: Verdict
    worst: tuple[WorstQuery, ...]
    prices_as_of: date

    def scores(self) -> dict[str, dict[str, Any]]:
        """The few figures per candidate that the ledger keeps; what was not measured is left out."""
        kept = {
            "rubric": "rubric_mean",
            "judge": "judge_mean",
            "valid_json": "valid_json_rate",
            "latency_p50_ms": "latency_p50_ms",
            "cost_per_1000_usd": "cost_per_1000_usd",
        }
        return {
            candidate: {
                name: round(value, 6)
                for name, field in kept.items()
                if (value := getattr(metrics, field)) is not None
            }
            for candidate, metrics in self.candidates.items()
        }


class Subject(NamedTuple):
    """A candidate as it is examined: what it is, what it said, what a call costs, what the judge said."""

    model_id: str
    answers: Sequence[Answer]
    price: Price | None
    grades: JudgeGrades | None = None


def evaluate(
    run_id: str,
    subjects: Mapping[Candidate, Subject],
    taxonomy: Taxonomy,
    rules: GateRules,
    *,
    served_by: Iterable[str],
    reference: Reference,
    prices_as_of: date,
    at: datetime,
) -> Evaluation:
    """Measure every candidate, compare, decide."""
    graded = {name: _graded(subject.answers, taxonomy) for name, subject in subjects.items()}
    baseline = graded.get("baseline", [])
    candidates = {}
    for name, subject in subjects.items():
        lead = None if name == "baseline" else _lead(graded[name], baseline)
        metrics = candidate_metrics(subject.answers, taxonomy, subject.price, subject.grades)
        candidates[name] = metrics.model_copy(
            update={
                "model_id": subject.model_id,
                "rubric_lead": lead[0] if lead else None,
                "rubric_lead_ci95": lead[1] if lead else None,
            }
        )
    return Evaluation(
        run_id=run_id,
        evaluated_at=at,
        served_by=tuple(dict.fromkeys(served_by)),
        reference=reference,
        holdout=max((len(subject.answers) for subject in subjects.values()), default=0),
        candidates=candidates,
        gate=rules,
        verdict=decide(candidates, rules),
        worst=_worst(graded.get("distilled", [])),
        prices_as_of=prices_as_of,
    )


def candidate_metrics(
    answers: Sequence[Answer],
    taxonomy: Taxonomy,
    price: Price | None = None,
    grades: JudgeGrades | None = None,
) -> CandidateMetrics:
    """Measure one candidate; without a price its cost is unknown, without grades every grade is missing."""
    facets = taxonomy.names
    graded = _graded(answers, taxonomy)
    compared = [entry for entry in graded if entry.rubric is not None]
    rubrics = [entry.rubric for entry in compared if entry.rubric is not None]
    errors = [entry.errors(facets) for entry in compared if entry.routing is not None]
    answered = [entry for entry in graded if entry.answer.text is not None]
    latencies = sorted(entry.answer.latency_ms for entry in answered)
    input_tokens = sum(entry.answer.input_tokens for entry in answered)
    output_tokens = sum(entry.answer.output_tokens for entry in answered)
    per_facet = {facet: value for facet in facets if (value := _mean([e[facet] for e in errors])) is not None}
    counts = Counter(rubrics)
    low, high = RUBRIC_SCALE[0], RUBRIC_SCALE[-1]
    return CandidateMetrics(
        answers=len(graded),
        answered=len(answered),
        compared=len(compared),
        rubric_mean=_mean(rubrics),
        rubric_ci95=mean_interval(rubrics, low=low, high=high),
        rubric_counts={grade: counts[grade] for grade in RUBRIC_SCALE},
        mae=_mean(list(per_facet.values())),
        mae_per_facet=per_facet,
        dominant_agreement=_mean([entry.agrees(facets) for entry in compared]),
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


class _Graded(NamedTuple):
    """An answer with what could be read out of it; `rubric` is None without a reference."""

    answer: Answer
    routing: Routing | None
    rubric: int | None

    @property
    def is_json(self) -> bool:
        return self.routing is not None and not NOT_JSON.intersection(self.routing.repairs)

    def errors(self, facets: Sequence[str]) -> Weights:
        """Absolute error per facet; only for a readable answer with a reference."""
        reference, routing = self.answer.reference or {}, self.routing
        predicted = routing.weights if routing else {}
        return {facet: abs(reference[facet] - predicted[facet]) for facet in facets}

    def agrees(self, facets: Sequence[str]) -> bool:
        reference = self.answer.reference
        if self.routing is None or reference is None:
            return False
        wanted = dominants({facet: reference[facet] for facet in facets})
        return bool(wanted & dominants(self.routing.weights))


def _graded(answers: Iterable[Answer], taxonomy: Taxonomy) -> list[_Graded]:
    return [_grade(answer, taxonomy.names) for answer in answers]


def _grade(answer: Answer, facets: Sequence[str]) -> _Graded:
    try:
        routing = parse_routing(answer.text or "", facets)
    except UnreadableRouting:
        routing = None
    if answer.reference is None:
        return _Graded(answer, routing, None)
    # The router takes a facet that is left out for 0; the rubric does not.
    whole = routing is not None and Repair.MISSING_FACET not in routing.repairs
    weights = routing.weights if routing and whole else None
    return _Graded(answer, routing, rubric(answer.reference, weights, facets))


def _lead(mine: Sequence[_Graded], theirs: Sequence[_Graded]) -> tuple[float, Interval | None] | None:
    """Mean difference of the rubric over the answers that both have, paired query by query."""
    paired = _by_query(theirs)
    differences = [float(grade - paired[key]) for key, grade in _by_query(mine).items() if key in paired]
    mean = _mean(differences)
    span = RUBRIC_SCALE[-1] - RUBRIC_SCALE[0]
    return None if mean is None else (mean, mean_interval(differences, low=-span, high=span))


def _by_query(graded: Sequence[_Graded]) -> dict[tuple[str, str, int], int]:
    """Rubrics by query and reference, numbered where a holdout has the same pair more than once."""
    seen: Counter[tuple[str, str]] = Counter()
    rubrics = {}
    for entry in graded:
        if entry.rubric is not None:
            pair = (entry.answer.query, json.dumps(entry.answer.reference, sort_keys=True))
            rubrics[*pair, seen[pair]] = entry.rubric
            seen[pair] += 1
    return rubrics


def _worst(graded: Sequence[_Graded]) -> tuple[WorstQuery, ...]:
    """The lowest rubrics, among equals the largest error; unreadable answers come first."""
    queries = []
    for entry in graded:
        if entry.rubric is None or entry.answer.reference is None:
            continue
        routing = entry.routing
        errors = entry.errors(tuple(entry.answer.reference)) if routing else None
        queries.append(
            WorstQuery(
                query=entry.answer.query,
                reference=entry.answer.reference,
                predicted=routing.weights if routing else None,
                rubric=entry.rubric,
                largest_error=max(errors.values()) if errors else None,
                reasoning=routing.reasoning if routing else "",
                text="" if routing else (entry.answer.text or entry.answer.error or "")[:SHOWN_CHARACTERS],
            )
        )
    queries.sort(
        key=lambda q: (q.rubric, -math.inf if q.largest_error is None else -q.largest_error, q.query)
    )
    return tuple(queries[:WORST_QUERIES])


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None
