"""evaluation.json: the metrics of every candidate, the verdict of the gate, and the worst queries."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator

from distillery import earlier_names
from distillery.cost.estimate import evaluation_item
from distillery.dataset.split import Reference
from distillery.earlier_names import renamed
from distillery.evaluation.gate import GateRules, Verdict, apply_gate
from distillery.evaluation.metrics import CandidateMetrics, ScoredAnswer, candidate_metrics, score_answers
from distillery.messages import counted
from distillery.runs.states import Candidate, MeasuredCost
from distillery.task.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from distillery.cost.prices import Price
    from distillery.evaluation.answers import Answer
    from distillery.evaluation.judging import JudgeGrades
    from distillery.task.channels import ChannelConfig

WORST_QUERIES = 10
SMALL_HOLDOUT = 100
"""Below this number of compared answers, one answer changes a share by more than 1%."""
MAX_TEXT_CHARACTERS = 300
"""Characters of an unreadable answer that evaluation.json keeps."""


class WorstQuery(BaseModel):
    """A query with a low weight score of the distilled model. `text` is the answer if it is unreadable."""

    model_config = ConfigDict(frozen=True)

    query: str
    reference: Weights
    predicted: Weights | None
    weight_score: int
    largest_error: float | None
    reasoning: str = ""
    text: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        return renamed(content, earlier_names.WORST_QUERY)


class Usage(BaseModel):
    """Tokens of the answers of a model to the holdout. `usd` is None if the price of the model is not known.

    `name` is the name of the item in the cost estimate.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None


class Evaluation(BaseModel):
    """The content of evaluation.json. `served_by` lists the providers of the models as Bedrock names them."""

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
    usage: tuple[Usage, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return {**content, "candidates": renamed(content.get("candidates"), earlier_names.CANDIDATES)}

    def scores(self) -> dict[str, dict[str, Any]]:
        """Return the figures of each candidate that the run table keeps, without those not measured."""
        fields = {
            "weight_score": "weight_score_mean",
            "dominant_agreement": "dominant_agreement",
            "judge": "judge_mean",
            "valid_json": "valid_json_rate",
            "latency_p50_ms": "latency_p50_ms",
            "cost_per_1000_usd": "cost_per_1000_usd",
        }
        return {
            candidate: {
                name: round(value, 6)
                for name, field in fields.items()
                if (value := getattr(metrics, field)) is not None
            }
            for candidate, metrics in self.candidates.items()
        }

    def measured_cost(self) -> MeasuredCost | None:
        """Return what the answers to the holdout cost; None for an evaluation that has no usage."""
        if not self.usage:
            return None
        return MeasuredCost(
            usd=round(math.fsum(item.usd for item in self.usage if item.usd is not None), 6),
            unknown=[item.name for item in self.usage if item.usd is None],
        )

    def caveats(self, *, trained_on_holdout: bool) -> list[str]:
        """Return what a reader must know before relying on the figures, in sentences."""
        found = []
        distilled = self.candidates.get("distilled")
        if distilled is not None and 0 < distilled.compared < SMALL_HOLDOUT:
            interval = distilled.weight_score_ci95
            precision = (
                f", and the mean weight score is known to within {(interval.high - interval.low) / 2:.2f}"
                if interval
                else ""
            )
            found.append(
                f"The holdout is small: {counted(distilled.compared, 'answer')} of the distilled model were "
                f"compared, so one answer changes a share by {1 / distilled.compared:.1%}{precision}."
            )
        if trained_on_holdout:
            found.append(
                "The student was trained on the queries of the evaluation, so its figures are too high for "
                "queries it has not seen."
            )
        return found


class CandidateInput(NamedTuple):
    """The input for one candidate: its model, its answers, the price of the model, and the judge's grades."""

    model_id: str
    answers: Sequence[Answer]
    price: Price | None
    grades: JudgeGrades | None = None


def evaluate_candidates(
    run_id: str,
    candidates: Mapping[Candidate, CandidateInput],
    channel_config: ChannelConfig,
    rules: GateRules,
    *,
    served_by: Iterable[str],
    reference: Reference,
    prices_as_of: date,
    at: datetime,
    teacher: CandidateInput | None = None,
) -> Evaluation:
    """Compute the metrics of every candidate and apply the gate.

    `teacher` has the teacher's answers, if they are the reference.
    """
    channels = channel_config.names
    scored = {name: score_answers(candidate.answers, channels) for name, candidate in candidates.items()}
    metrics = {
        name: candidate_metrics(
            scored[name],
            channels,
            candidate.price,
            candidate.grades,
            model_id=candidate.model_id,
            baseline=() if name == "baseline" else scored.get("baseline", ()),
        )
        for name, candidate in candidates.items()
    }
    return Evaluation(
        run_id=run_id,
        evaluated_at=at,
        served_by=tuple(dict.fromkeys(served_by)),
        reference=reference,
        holdout=max((len(answers) for answers in scored.values()), default=0),
        candidates=metrics,
        gate=rules,
        verdict=apply_gate(metrics, rules),
        worst=_worst_queries(scored.get("distilled", [])),
        prices_as_of=prices_as_of,
        usage=(
            *(_usage(name, candidate) for name, candidate in candidates.items()),
            *([_usage("teacher", teacher)] if teacher else []),
        ),
    )


def _usage(name: str, asked: CandidateInput) -> Usage:
    answers = [answer for answer in asked.answers if answer.text is not None]
    tokens = sum(answer.input_tokens for answer in answers), sum(answer.output_tokens for answer in answers)
    return Usage(
        name=evaluation_item(name),
        calls=len(answers),
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        usd=round(asked.price.cost(*tokens), 6) if asked.price else None,
    )


def _worst_queries(scored: Sequence[ScoredAnswer]) -> tuple[WorstQuery, ...]:
    """The queries with the lowest weight scores; within a score, unreadable answers, then large errors."""
    queries = []
    for entry in scored:
        if entry.weight_score is None or entry.answer.reference is None:
            continue
        routing = entry.routing
        errors = entry.absolute_errors(tuple(entry.answer.reference)) if routing else None
        queries.append(
            WorstQuery(
                query=entry.answer.query,
                reference=entry.answer.reference,
                predicted=routing.weights if routing else None,
                weight_score=entry.weight_score,
                largest_error=max(errors.values()) if errors else None,
                reasoning=routing.reasoning if routing else "",
                text="" if routing else (entry.answer.text or entry.answer.error or "")[:MAX_TEXT_CHARACTERS],
            )
        )
    queries.sort(
        key=lambda q: (q.weight_score, -math.inf if q.largest_error is None else -q.largest_error, q.query)
    )
    return tuple(queries[:WORST_QUERIES])
