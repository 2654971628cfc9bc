"""The cost estimate of a run, made before anything is billed: estimate.json.

Each amount has a low and a high bound, computed from counts of characters and the price list. Items without a
known price are listed by name and left out of the sums. Tokens are estimated, because the tokenizers of the
models are not published: 3 to 5 ASCII characters per token, and 0.4 to 2 tokens for any other character. For
English the estimate is within a third of the true number; for other scripts than Latin, low and high can
differ by a factor of five.
"""

from __future__ import annotations

import json
import math
from datetime import date
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillery.cost.prices import MILLION
from distillery.dataset.scan import MAX_RECORDS
from distillery.dataset.statistics import Characters
from distillery.dataset.texts import beyond_ascii
from distillery.messages import usd
from distillery.runs.states import EstimatedCost
from distillery.task.channels import REASONING
from distillery.task.prompts import judge_instructions, student_prompt, teacher_prompt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from distillery.cost.prices import Price, PriceList
    from distillery.dataset.validation import DatasetReport
    from distillery.task.channels import ChannelConfig

ASCII_PER_TOKEN = (5.0, 3.0)
TOKENS_PER_OTHER = (0.4, 2.0)
REASONING_CHARACTERS = (60, 400)
"""Length of a model's reasoning where no label shows it: one short sentence to two long ones."""
EPOCHS = (1, 5)
"""Passes over the training data that are billed; Bedrock chooses the number and does not publish it."""
GRADE_TOKENS = (50, 400)
"""Tokens of a judge's grade with its explanation."""
JUDGE_FRAME_TOKENS = (0, 500)
"""Tokens that Bedrock may add around a metric's instructions; AWS does not publish the number."""
QUERIES_PRICED = 1_000
USD_DIGITS = 6
METHOD = (
    "Tokens are estimated from characters: 3 to 5 ASCII characters per token, 0.4 to 2 tokens for any other "
    "character. For English the true number can differ from the middle by up to a third; for other scripts "
    "than Latin, low and high can differ by a factor of five. Retries are not counted. AWS services "
    "(DynamoDB, SQS, Lambda, logs) add about $0.0033 to $0.011 per 1,000 queries, whichever model answers."
)
"""The cost of the services is calculated from the price list and the reads, writes and requests of a query
(docs/cost.md)."""


class Span(BaseModel):
    """A range from low to high, both inclusive."""

    model_config = ConfigDict(frozen=True)

    low: float = Field(ge=0)
    high: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self

    @classmethod
    def exactly(cls, value: float) -> Span:
        """The range of a known number."""
        return cls(low=value, high=value)

    def __add__(self, other: Span) -> Span:
        return Span(low=self.low + other.low, high=self.high + other.high)

    def __mul__(self, other: Span) -> Span:
        return Span(low=self.low * other.low, high=self.high * other.high)

    def rounded(self, digits: int) -> Span:
        """Both bounds, rounded to this many decimals."""
        return Span(low=round(self.low, digits), high=round(self.high, digits))


ZERO = Span.exactly(0)


class Line(BaseModel):
    """One billed item. Calls and tokens are totals; `usd` is None if no price is known."""

    name: str
    calls: Span | None = None
    input_tokens: Span | None = None
    output_tokens: Span | None = None
    usd: Span | None
    note: str = ""


class BreakEven(BaseModel):
    """Number of queries after which the run has paid for itself, by the known prices; None means never."""

    low: int | None
    high: int | None


class Estimate(BaseModel):
    """The content of estimate.json.

    `known` is the sum of the lines with a price, `unknown` the names of the lines without one. `unpriced`
    names the models without a price. `per_thousand` is the cost of 1,000 queries by model. `pays_off_after`
    is None when the price of the student or of the baseline is not known. `estimate` describes the method.
    """

    run_id: str | None = None
    models: dict[str, str]
    prices_as_of: date
    prompts: int
    labelled: int
    lines: list[Line]
    known: Span
    unknown: list[str]
    unpriced: list[str]
    per_thousand: dict[str, Span | None]
    pays_off_after: BreakEven | None
    estimate: str = METHOD

    def sentence(self) -> str:
        """The estimate in a few sentences."""
        unknown = f", plus {', '.join(self.unknown)} (price not known)" if self.unknown else ""
        return f"The run costs {dollars(self.known)}{unknown}. {self._query_cost()} {self._break_even()}"

    def _query_cost(self) -> str:
        student, baseline = (
            dollars(span) if span else "an unknown amount"
            for span in (self.per_thousand["student"], self.per_thousand["baseline"])
        )
        return f"1,000 queries cost {student} with the distilled model and {baseline} with the baseline."

    def _break_even(self) -> str:
        after = self.pays_off_after
        if after is None:
            return "The number of queries after which the run has paid for itself is not known."
        if after.low is None:
            return "At these prices the run never pays for itself."
        known = "By the known prices the run" if self.unknown else "The run"
        if after.high is None:
            return f"{known} has paid for itself after {after.low:,} queries at the earliest, possibly never."
        return f"{known} has paid for itself after {after.low:,} to {after.high:,} queries."

    def short(self, limit: float) -> EstimatedCost:
        """The form for the run table, with the reason for approval if the cost may exceed `limit` (USD)."""
        return EstimatedCost(
            low=round(self.known.low, 4),
            high=round(self.known.high, 4),
            unknown=self.unknown,
            approval_reason=self._approval_reason(limit),
        )

    def _approval_reason(self, limit: float) -> str:
        if self.unpriced:
            return f"the price list of {self.prices_as_of:%F} has no price for {', '.join(self.unpriced)}"
        if self.known.high > limit:
            return f"it may cost {usd(self.known.high)}, and the stack's limit is {usd(limit)}"
        return ""


def evaluation_item(model: str) -> str:
    """The name of the line for a model's answers to the holdout."""
    return f"evaluation of the {model} model"


def dollars(span: Span) -> str:
    """The range as text, such as `$0.61 to $17.20`."""
    low, high = usd(span.low), usd(span.high)
    return low if low == high else f"{low} to {high}"


def tokens(characters: Characters) -> Span:
    """The estimated number of tokens."""
    ascii_characters = Span.exactly(characters.total - characters.beyond_ascii)
    per_ascii = Span(low=1 / ASCII_PER_TOKEN[0], high=1 / ASCII_PER_TOKEN[1])
    per_other = Span(low=TOKENS_PER_OTHER[0], high=TOKENS_PER_OTHER[1])
    return ascii_characters * per_ascii + Span.exactly(characters.beyond_ascii) * per_other


def text_tokens(text: str) -> Span:
    """The estimated number of tokens of a text."""
    return tokens(Characters(total=len(text), beyond_ascii=beyond_ascii(text)))


def make_estimate(
    report: DatasetReport,
    channel_config: ChannelConfig,
    models: Mapping[str, str],
    prices: PriceList,
    *,
    trained: bool = False,
) -> Estimate:
    """The estimate for a validated dataset; `models` has the ids of teacher, student, baseline and judge.

    With `trained` the run uses a model that an earlier run trained, so no training is counted.
    """
    return _Estimator(report, channel_config, models, prices).estimate(trained=trained)


class _Estimator:
    def __init__(
        self,
        report: DatasetReport,
        channel_config: ChannelConfig,
        models: Mapping[str, str],
        prices: PriceList,
    ) -> None:
        self._report, self._models, self._prices = report, models, prices
        statistics = report.statistics
        shape = text_tokens(json.dumps({**channel_config.fallback, REASONING: ""}))
        self._query = _mean(statistics.query_characters, statistics.records)
        self._label = shape + _mean(statistics.reasoning_characters, statistics.labelled)
        self._answer = shape + _answered_reasoning(
            _mean(statistics.reasoning_characters, statistics.labelled)
        )
        self._student_prompt = text_tokens(student_prompt(channel_config)) + self._query
        self._teacher_prompt = text_tokens(teacher_prompt(channel_config)) + self._query
        self._judged = (
            text_tokens(judge_instructions(channel_config))
            + Span(low=JUDGE_FRAME_TOKENS[0], high=JUDGE_FRAME_TOKENS[1])
            + self._student_prompt
            + self._label
            + self._answer
        )
        # Each candidate's model id, price and prompt tokens.
        student, baseline = models["student"], models["baseline"]
        self._candidates: dict[str, tuple[str, Price | None, Span]] = {
            "distilled": (student, prices.find(student, customised=True), self._student_prompt),
            "untuned": (student, prices.find(student), self._student_prompt),
            "baseline": (baseline, prices.find(baseline), self._teacher_prompt),
        }

    def estimate(self, *, trained: bool) -> Estimate:
        training = [] if trained else [self._teacher_labels(), self._training(), self._storage()]
        lines = [*training, *self._evaluation(), self._judging()]
        priced = [line.usd for line in lines if line.usd is not None]
        known = sum(priced, start=ZERO).rounded(USD_DIGITS)
        per_thousand = {
            "student": self._cost_per_thousand("distilled"),
            "baseline": self._cost_per_thousand("baseline"),
        }
        return Estimate(
            run_id=self._report.run_id,
            models=dict(self._models),
            prices_as_of=self._prices.as_of,
            prompts=self._report.train,
            labelled=self._report.labelled,
            lines=lines,
            known=known,
            unknown=[line.name for line in lines if line.usd is None],
            unpriced=self._unpriced(),
            per_thousand=per_thousand,
            pays_off_after=_break_even(known, per_thousand["student"], per_thousand["baseline"]),
        )

    def _teacher_labels(self) -> Line:
        """Bedrock calls the teacher for each missing label, and for prompts that it adds itself."""
        unlabelled = min(self._report.statistics.records - self._report.labelled, self._report.train)
        calls = Span(low=unlabelled, high=max(MAX_RECORDS, unlabelled))
        note = (
            f"{unlabelled:,} prompts without a label; Bedrock may add prompts, up to {MAX_RECORDS:,} in all"
        )
        price = self._prices.find(self._models["teacher"])
        return _calls("teacher's answers", calls, self._student_prompt, self._answer, price, note)

    def _training(self) -> Line:
        trained = Span(low=self._report.train, high=max(MAX_RECORDS, self._report.train))
        seen = trained * Span(low=EPOCHS[0], high=EPOCHS[1]) * (self._student_prompt + self._answer)
        customising = self._prices.find_customising(self._models["student"])
        price = customising.training if customising else None
        return Line(
            name="training",
            input_tokens=seen.rounded(0),
            usd=None if price is None else (seen * Span.exactly(price / MILLION)).rounded(USD_DIGITS),
            note=f"{EPOCHS[0]} to {EPOCHS[1]} passes over the records and what Bedrock adds to them",
        )

    def _storage(self) -> Line:
        customising = self._prices.find_customising(self._models["student"])
        price = customising.storage if customising else None
        note = "storage of the custom model, per month until it is deleted; one month is counted"
        return Line(name="storage", usd=None if price is None else Span.exactly(price), note=note)

    def _evaluation(self) -> Iterable[Line]:
        calls = Span.exactly(self._report.holdout)
        candidates = dict(self._candidates)
        if self._report.reference == "teacher":
            teacher = self._models["teacher"]
            candidates["teacher"] = (teacher, self._prices.find(teacher), self._teacher_prompt)
        for name, (model_id, price, prompt) in candidates.items():
            yield _calls(evaluation_item(name), calls, prompt, self._answer, price, model_id)

    def _judging(self) -> Line:
        calls = Span.exactly(self._report.holdout * len(self._candidates))
        grade = Span(low=GRADE_TOKENS[0], high=GRADE_TOKENS[1])
        judge = self._models["judge"]
        return _calls("judge", calls, self._judged, grade, self._prices.find(judge), judge)

    def _cost_per_thousand(self, name: str) -> Span | None:
        _, price, prompt = self._candidates[name]
        return _cost(Span.exactly(QUERIES_PRICED), prompt, self._answer, price)

    def _unpriced(self) -> list[str]:
        found = {f"the {name} model {model}": price for name, (model, price, _) in self._candidates.items()}
        for role in ("teacher", "judge"):
            found[f"the {role} {self._models[role]}"] = self._prices.find(self._models[role])
        return [name for name, price in found.items() if price is None]


def _mean(characters: Characters, texts: int) -> Span:
    """The mean number of tokens per text."""
    return tokens(characters) * Span.exactly(1 / texts) if texts else ZERO


def _answered_reasoning(labels: Span) -> Span:
    """Tokens of an answer's reasoning; the range covers the labels' length and a model's usual length."""
    usual = Span(
        low=REASONING_CHARACTERS[0] / ASCII_PER_TOKEN[0], high=REASONING_CHARACTERS[1] / ASCII_PER_TOKEN[1]
    )
    low = min(usual.low, labels.low) if labels.low else usual.low
    return Span(low=low, high=max(usual.high, labels.high))


def _calls(name: str, calls: Span, each_in: Span, each_out: Span, price: Price | None, note: str) -> Line:
    return Line(
        name=name,
        calls=calls,
        input_tokens=(calls * each_in).rounded(0),
        output_tokens=(calls * each_out).rounded(0),
        usd=_cost(calls, each_in, each_out, price),
        note=note,
    )


def _cost(calls: Span, each_in: Span, each_out: Span, price: Price | None) -> Span | None:
    if price is None:
        return None
    rates = Span.exactly(price.input / MILLION), Span.exactly(price.output / MILLION)
    return (calls * (each_in * rates[0] + each_out * rates[1])).rounded(USD_DIGITS)


def _break_even(cost: Span, student: Span | None, baseline: Span | None) -> BreakEven | None:
    """Number of queries whose saving pays for the run.

    The student's low is compared with the baseline's low and high with high, because an error in the
    estimated tokens affects both models alike.
    """
    if student is None or baseline is None:
        return None
    saved = sorted((baseline.low - student.low, baseline.high - student.high))
    low, high = (
        math.ceil(amount / saving * QUERIES_PRICED) if saving > 0 else None
        for amount, saving in ((cost.low, saved[1]), (cost.high, saved[0]))
    )
    return BreakEven(low=low, high=high)
