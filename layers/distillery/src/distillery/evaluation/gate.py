"""The quality gate: the rules that the distilled model must meet to be promoted.

Each rule gives one `Check` with a sentence that explains the result, whether the rule is met or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillery import earlier_names
from distillery.earlier_names import renamed
from distillery.task.weights import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distillery.evaluation.metrics import CandidateMetrics
    from distillery.runs.states import Candidate

MAX_DECIMALS = 6
MIN_COMPARED_SHARE = 0.95
"""A comparison needs readable answers to this share of the holdout from both models. Below it, the missing
answers and not the models would decide: unreadable answers score 1, so a baseline without answers loses to
any model."""

RuleName = Literal["weight_score", "weight_score_loss", "valid_json", "cost"]


class GateRules(BaseModel):
    """The thresholds of the gate.

    `max_weight_score_loss` is how far the mean weight score may lie below the baseline's. The cost per query
    must be below `max_cost_share` times the baseline's; None turns this rule off.
    """

    model_config = ConfigDict(frozen=True)

    min_weight_score: float = Field(default=3.5, ge=1, le=5)
    max_weight_score_loss: float = Field(default=0.2, ge=0, le=4)
    min_valid_json: float = Field(default=0.98, ge=0, le=1)
    max_cost_share: float | None = Field(default=1.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        return renamed(content, earlier_names.GATE_RULES)


class Check(BaseModel):
    """One rule, whether it is met, and a sentence that says why."""

    model_config = ConfigDict(frozen=True)

    rule: RuleName
    met: bool
    reason: str

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("rule") in earlier_names.RULE_NAMES:
            return {**content, "rule": earlier_names.RULE_NAMES[content["rule"]]}
        return content


class Verdict(BaseModel):
    """Whether to promote the distilled model: only if every check is met."""

    model_config = ConfigDict(frozen=True)

    promote: bool
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> list[str]:
        """The sentence of each check."""
        return [check.reason for check in self.checks]


def apply_gate(metrics: Mapping[Candidate, CandidateMetrics], rules: GateRules) -> Verdict:
    """Check the distilled model against the thresholds, and against the baseline where a rule compares.

    The rules compare means, because the thresholds leave a margin for chance. The sentences also give the
    intervals. A figure that was not measured, or a cost without a known price, meets no rule. Nor does a
    comparison in which a model gave readable answers to less than `MIN_COMPARED_SHARE` of the holdout.
    """
    distilled, baseline = metrics.get("distilled"), metrics.get("baseline")
    checks = [
        _check_weight_score(distilled, rules.min_weight_score),
        _check_weight_score_loss(distilled, baseline, rules.max_weight_score_loss),
        _check_valid_json(distilled, rules.min_valid_json),
    ]
    if rules.max_cost_share is not None:
        checks.append(_check_cost(distilled, baseline, rules.max_cost_share))
    return Verdict(promote=all(check.met for check in checks), checks=tuple(checks))


def _check_weight_score(distilled: CandidateMetrics | None, minimum: float) -> Check:
    mean = distilled.weight_score_mean if distilled else None
    if distilled is None or mean is None:
        return Check(
            rule="weight_score", met=False, reason="The distilled model's weight score was not measured."
        )
    met = mean >= minimum - TOLERANCE
    shown, required = _distinct_decimals(mean, minimum)
    interval = distilled.weight_score_ci95
    interval_text = f" (95% interval {interval.low:.2f} to {interval.high:.2f})" if interval else ""
    reason = (
        f"The distilled model's mean weight score is {shown}{interval_text} over {distilled.compared:,} "
        f"answers, {'at least' if met else 'below'} the required {required}."
    )
    return Check(rule="weight_score", met=met, reason=reason)


def _check_weight_score_loss(
    distilled: CandidateMetrics | None, baseline: CandidateMetrics | None, maximum: float
) -> Check:
    distilled_mean = distilled.weight_score_mean if distilled else None
    baseline_mean = baseline.weight_score_mean if baseline else None
    if distilled is None or distilled_mean is None or baseline_mean is None:
        return Check(
            rule="weight_score_loss",
            met=False,
            reason="The weight score cannot be compared with the baseline's.",
        )
    if too_few := _too_few_answers(distilled, baseline):
        return Check(
            rule="weight_score_loss", met=False, reason=f"The weight scores are not compared: {too_few}"
        )
    loss = baseline_mean - distilled_mean
    met = loss <= maximum + TOLERANCE
    allowed = f"{maximum:g}"
    if loss < -TOLERANCE:
        comparison = f"{-loss:.2f} above"
    elif loss <= TOLERANCE:
        comparison = "equal to"
    else:
        shown, allowed = _distinct_decimals(loss, maximum)
        comparison = f"{shown} below"
    reason = f"Its mean weight score is {comparison} the baseline's {baseline_mean:.2f}"
    interval = distilled.weight_score_difference_ci95
    if interval:
        reason += f" (95% interval of the difference {interval.low:+.2f} to {interval.high:+.2f})"
    reason += f"; up to {allowed} below is allowed."
    if interval and interval.low < -maximum - TOLERANCE <= interval.high:
        reason += " The limit lies within the interval: another holdout could give the opposite result."
    return Check(rule="weight_score_loss", met=met, reason=reason)


def _check_valid_json(distilled: CandidateMetrics | None, minimum: float) -> Check:
    rate = distilled.valid_json_rate if distilled else None
    if rate is None:
        return Check(rule="valid_json", met=False, reason="The distilled model gave no answers.")
    met = rate >= minimum - TOLERANCE
    shown, required = _distinct_decimals(rate * 100, minimum * 100, decimals=1)
    reason = (
        f"{shown}% of its answers are valid JSON, {'at least' if met else 'below'} the required {required}%."
    )
    return Check(rule="valid_json", met=met, reason=reason)


def _check_cost(distilled: CandidateMetrics | None, baseline: CandidateMetrics | None, share: float) -> Check:
    distilled_cost = distilled.cost_per_1000_usd if distilled else None
    baseline_cost = baseline.cost_per_1000_usd if baseline else None
    if distilled_cost is None or baseline_cost is None:
        costs = {"the distilled model": distilled_cost, "the baseline": baseline_cost}
        unknown = " or ".join(name for name, cost in costs.items() if cost is None)
        reason = f"The cost cannot be compared: the price list (prices.yaml) has no price for {unknown}."
        return Check(rule="cost", met=False, reason=reason)
    if too_few := _too_few_answers(distilled, baseline):
        return Check(rule="cost", met=False, reason=f"The costs are not compared: {too_few}")
    met = distilled_cost < baseline_cost * share
    limit = "the baseline's" if share == 1 else f"{share:.0%} of the baseline's"
    reason = (
        f"Its cost per 1,000 queries is ${distilled_cost:.4f}, {'below' if met else 'not below'} "
        f"{limit} ${baseline_cost:.4f}."
    )
    return Check(rule="cost", met=met, reason=reason)


def _too_few_answers(distilled: CandidateMetrics | None, baseline: CandidateMetrics | None) -> str:
    """Say which models answered too little of the holdout for a comparison; empty if none did."""
    models = {"the baseline": baseline, "the distilled model": distilled}
    rates = {name: (metrics.readable_rate if metrics else None) or 0.0 for name, metrics in models.items()}
    few = {name: rate for name, rate in rates.items() if rate < MIN_COMPARED_SHARE - TOLERANCE}
    if not few:
        return ""
    shown = []
    for name, rate in few.items():
        share, required = _distinct_decimals(rate * 100, MIN_COMPARED_SHARE * 100, decimals=1)
        shown.append(f"{name} gave readable answers to {share}% of the queries")
    return f"{' and '.join(shown)}; a comparison needs {required}%."


def _distinct_decimals(value: float, limit: float, decimals: int = 2) -> tuple[str, str]:
    """Format two numbers with as many decimals, up to `MAX_DECIMALS`, as it takes for them to differ."""
    while decimals < MAX_DECIMALS and f"{value:.{decimals}f}" == f"{limit:.{decimals}f}" and value != limit:
        decimals += 1
    return f"{value:.{decimals}f}", f"{limit:.{decimals}f}"
