"""Evaluation: what every candidate answered to the holdout, measured; the verdict; evaluation.json.

Means come with a 95 % interval, because a holdout is a sample. Nothing here depends on the order of the
answers.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict

from distillery.dataset.split import Reference
from distillery.evaluation.gate import GateRules, Verdict, decide
from distillery.evaluation.metrics import CandidateMetrics, Graded, candidate_metrics, grade_answers, lead
from distillery.runs.states import Candidate
from distillery.task.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from distillery.cost.prices import Price
    from distillery.evaluation.answers import Answer
    from distillery.evaluation.judging import JudgeGrades
    from distillery.task.channels import ChannelConfig

WORST_QUERIES = 10
SHOWN_CHARACTERS = 300
"""Of an answer that cannot be read."""


class WorstQuery(BaseModel):
    """A query that the distilled model weighed badly. `text` is what it said, where that cannot be read."""

    model_config = ConfigDict(frozen=True)

    query: str
    reference: Weights
    predicted: Weights | None
    weight_score: int
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
        """The few figures per candidate that the run table keeps; what was not measured is left out."""
        kept = {
            "weight_score": "weight_score_mean",
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
    channel_config: ChannelConfig,
    rules: GateRules,
    *,
    served_by: Iterable[str],
    reference: Reference,
    prices_as_of: date,
    at: datetime,
) -> Evaluation:
    """Measure every candidate, compare, decide."""
    graded = {name: grade_answers(subject.answers, channel_config) for name, subject in subjects.items()}
    baseline = graded.get("baseline", [])
    candidates = {}
    for name, subject in subjects.items():
        ahead = None if name == "baseline" else lead(graded[name], baseline)
        metrics = candidate_metrics(subject.answers, channel_config, subject.price, subject.grades)
        candidates[name] = metrics.model_copy(
            update={
                "model_id": subject.model_id,
                "weight_score_lead": ahead[0] if ahead else None,
                "weight_score_lead_ci95": ahead[1] if ahead else None,
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


def _worst(graded: Sequence[Graded]) -> tuple[WorstQuery, ...]:
    """The lowest weight scores, among equals the largest error; unreadable answers come first."""
    queries = []
    for entry in graded:
        if entry.weight_score is None or entry.answer.reference is None:
            continue
        routing = entry.routing
        errors = entry.errors(tuple(entry.answer.reference)) if routing else None
        queries.append(
            WorstQuery(
                query=entry.answer.query,
                reference=entry.answer.reference,
                predicted=routing.weights if routing else None,
                weight_score=entry.weight_score,
                largest_error=max(errors.values()) if errors else None,
                reasoning=routing.reasoning if routing else "",
                text="" if routing else (entry.answer.text or entry.answer.error or "")[:SHOWN_CHARACTERS],
            )
        )
    queries.sort(
        key=lambda q: (q.weight_score, -math.inf if q.largest_error is None else -q.largest_error, q.query)
    )
    return tuple(queries[:WORST_QUERIES])
