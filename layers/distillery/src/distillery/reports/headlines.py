"""The headline figures of a run. The report and `distillery show` print the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.messages import usd
from distillery.reports.page import UNKNOWN, dollars, milliseconds, percent, score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distillery.runs.states import Run


class Headline(NamedTuple):
    """A headline figure: its key in the scores of a run, its label, and how it is printed."""

    key: str
    label: str
    shown: Callable[[float | None], str]
    higher_is_better: bool

    def cell(self, scores: Mapping[str, Any]) -> str:
        """The figure of a candidate, given its scores in the run table or in evaluation.json."""
        return self.shown(scores.get(self.key))

    def is_better(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether the first candidate's figure is better than the second's by what a reader can see."""
        first, second = one.get(self.key), other.get(self.key)
        if first is None or second is None or self.shown(first) == self.shown(second):
            return False
        return bool(first > second) is self.higher_is_better


HEADLINES: tuple[Headline, ...] = (
    Headline("weight_score", "mean weight score (1 to 5)", score, higher_is_better=True),
    Headline("dominant_agreement", "dominant-channel agreement", percent, higher_is_better=True),
    Headline("judge", "mean judge grade (1 to 5)", score, higher_is_better=True),
    Headline("valid_json", "valid JSON", percent, higher_is_better=True),
    Headline("latency_p50_ms", "median latency", milliseconds, higher_is_better=False),
    Headline("cost_per_1000_usd", "cost of 1,000 queries", dollars, higher_is_better=False),
)


def cost_sentences(run: Run) -> list[str]:
    """What the run costs, by the estimate and by the tokens that were used."""
    sentences = []
    if run.estimate is not None:
        span = f"{usd(run.estimate.low)} to {usd(run.estimate.high)}"
        sentences.append(f"The estimate was {span}{_without(run.estimate.unknown)}.")
    if run.measured_cost is not None:
        sentences.append(
            f"The answers to the holdout cost {dollars(run.measured_cost.usd)} by the tokens used"
            f"{_without(run.measured_cost.unknown)}. Bedrock reports no tokens for training and judging."
        )
    return sentences


def _without(unknown: list[str]) -> str:
    return f", without {', '.join(unknown)} ({UNKNOWN} price)" if unknown else ""
