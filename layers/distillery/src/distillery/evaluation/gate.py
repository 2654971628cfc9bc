"""The gate: may the distilled model take charge? One rule, one sentence, whether it is met or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from distillery.task.weights import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distillery.evaluation.metrics import CandidateMetrics, Interval
    from distillery.runs.states import Candidate

MOST_DECIMALS = 6

RuleName = Literal["weight_score", "weight_score_loss", "valid_json", "cost"]


class GateRules(BaseModel):
    """What the distilled model has to reach.

    `max_cost_share` is the share of the baseline's cost that it has to stay below; None leaves cost out.
    """

    model_config = ConfigDict(frozen=True)

    min_weight_score: float = Field(default=3.5, ge=1, le=5)
    max_weight_score_loss: float = Field(default=0.2, ge=0, le=4)
    min_valid_json: float = Field(default=0.98, ge=0, le=1)
    max_cost_share: float | None = Field(default=1.0, gt=0)


class Check(BaseModel):
    """One rule, whether it is met, and the sentence that says why."""

    model_config = ConfigDict(frozen=True)

    rule: RuleName
    met: bool
    reason: str


class Verdict(BaseModel):
    """Whether to promote; it takes every check."""

    model_config = ConfigDict(frozen=True)

    promote: bool
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> list[str]:
        """A sentence per rule."""
        return [check.reason for check in self.checks]


def decide(metrics: Mapping[Candidate, CandidateMetrics], rules: GateRules) -> Verdict:
    """Judge the candidate `distilled`, against `baseline` where a rule says so.

    Rules compare means, as the threshold's margin is meant to cover chance; the sentences give the
    intervals. What was not measured, or has no known price, meets no rule.
    """
    distilled, baseline = metrics.get("distilled"), metrics.get("baseline")
    checks = [
        _weight_score(distilled, rules.min_weight_score),
        _weight_score_loss(distilled, baseline, rules.max_weight_score_loss),
        _valid_json(distilled, rules.min_valid_json),
    ]
    if rules.max_cost_share is not None:
        checks.append(_cost(distilled, baseline, rules.max_cost_share))
    return Verdict(promote=all(check.met for check in checks), checks=tuple(checks))


def _weight_score(distilled: CandidateMetrics | None, least: float) -> Check:
    mean = distilled.weight_score_mean if distilled else None
    if distilled is None or mean is None:
        return Check(
            rule="weight_score", met=False, reason="The distilled model's weight score was not measured."
        )
    met = mean >= least - TOLERANCE
    shown, limit = _apart(mean, least)
    reason = (
        f"The distilled model's mean weight score is {shown}{_spread(distilled.weight_score_ci95)} over "
        f"{distilled.compared} answers, {'at least' if met else 'below'} the {limit} asked for."
    )
    return Check(rule="weight_score", met=met, reason=reason)


def _weight_score_loss(
    distilled: CandidateMetrics | None, baseline: CandidateMetrics | None, most: float
) -> Check:
    mine = distilled.weight_score_mean if distilled else None
    theirs = baseline.weight_score_mean if baseline else None
    if distilled is None or mine is None or theirs is None:
        return Check(
            rule="weight_score_loss",
            met=False,
            reason="The weight score cannot be compared with the baseline's.",
        )
    loss = theirs - mine
    met = loss <= most + TOLERANCE
    if loss <= TOLERANCE:
        ahead = f"{-loss:.2f} above" if loss < -TOLERANCE else "equal to"
        said, limit = f"{ahead} the baseline's {theirs:.2f}", f"{most:g}"
    else:
        shown, limit = _apart(loss, most)
        said = f"{shown} below the baseline's {theirs:.2f}"
    lead = distilled.weight_score_lead_ci95
    spread = f" (95 % interval of the difference {lead.low:+.2f} to {lead.high:+.2f})" if lead else ""
    open_end = lead is not None and lead.low < -most - TOLERANCE <= lead.high
    doubt = " The interval spans that limit: another holdout might decide otherwise." if open_end else ""
    reason = f"Its weight score is {said}{spread}; a loss of up to {limit} is allowed.{doubt}"
    return Check(rule="weight_score_loss", met=met, reason=reason)


def _valid_json(distilled: CandidateMetrics | None, least: float) -> Check:
    rate = distilled.valid_json_rate if distilled else None
    if rate is None:
        return Check(rule="valid_json", met=False, reason="The distilled model gave no answers.")
    met = rate >= least - TOLERANCE
    shown, limit = _apart(rate * 100, least * 100, decimals=1)
    reason = (
        f"{shown} % of its answers are valid JSON, {'at least' if met else 'below'} the {limit} % asked for."
    )
    return Check(rule="valid_json", met=met, reason=reason)


def _cost(distilled: CandidateMetrics | None, baseline: CandidateMetrics | None, share: float) -> Check:
    mine = distilled.cost_per_1000_usd if distilled else None
    theirs = baseline.cost_per_1000_usd if baseline else None
    if mine is None or theirs is None:
        unknown = " and ".join(
            name for name, cost in (("distilled", mine), ("baseline", theirs)) if cost is None
        )
        reason = f"Its cost cannot be compared: no price is known for what {unknown} ran on (prices.yaml)."
        return Check(rule="cost", met=False, reason=reason)
    met = mine < theirs * share
    limit = "the baseline's" if share == 1 else f"{share:.0%} of the baseline's"
    reason = f"A thousand queries cost ${mine:.4f}, {'below' if met else 'not below'} {limit} ${theirs:.4f}."
    return Check(rule="cost", met=met, reason=reason)


def _spread(interval: Interval | None) -> str:
    return f" (95 % interval {interval.low:.2f} to {interval.high:.2f})" if interval else ""


def _apart(value: float, limit: float, decimals: int = 2) -> tuple[str, str]:
    """Both numbers with as many decimals as it takes to tell them apart."""
    while decimals < MOST_DECIMALS and f"{value:.{decimals}f}" == f"{limit:.{decimals}f}" and value != limit:
        decimals += 1
    return f"{value:.{decimals}f}", f"{limit:.{decimals}f}"
