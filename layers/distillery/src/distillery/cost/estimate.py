"""What a run may cost before anything is paid: estimate.json.

Everything is a low and a high, from counts of characters and the price list; what has no price is named and
never guessed. Tokens are estimated, since nobody publishes how the models cut text: 3 to 5 ASCII characters a
token, 0.4 to 2 tokens for any other character. English is within a third of the truth that way; for scripts
other than Latin low and high lie up to five times apart.
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
"""One short sentence to two long ones: what a model may answer with where no label shows it."""
EPOCHS = (1, 5)
"""Passes over the training data that are billed; Bedrock chooses and does not say how many."""
GRADE_TOKENS = (50, 400)
"""A judge's grade with its explanation."""
JUDGE_FRAME_TOKENS = (0, 500)
"""What Bedrock may put around a metric's instructions; it does not say."""
WARM_UPS = 3
"""Calls before the first measured one; a fresh deployment answers its first calls slowly."""
QUERIES_PRICED = 1_000
USD_DIGITS = 6
ESTIMATE = (
    "Tokens are estimated from characters: 3 to 5 ASCII characters a token, 0.4 to 2 tokens for any other "
    "character. For English the truth may lie up to a third off the middle; for scripts other than Latin low "
    "and high lie up to five times apart. Retries are not counted."
)


class Span(BaseModel):
    """Between low and high, both inclusive."""

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
        """A number that is known."""
        return cls(low=value, high=value)

    def __add__(self, other: Span) -> Span:
        return Span(low=self.low + other.low, high=self.high + other.high)

    def __mul__(self, other: Span) -> Span:
        return Span(low=self.low * other.low, high=self.high * other.high)

    def rounded(self, digits: int) -> Span:
        """With so many digits after the point."""
        return Span(low=round(self.low, digits), high=round(self.high, digits))


NOTHING = Span.exactly(0)


class Line(BaseModel):
    """One thing that is paid for. Tokens are in all; `usd` is None where there is no price."""

    name: str
    calls: Span | None = None
    input_tokens: Span | None = None
    output_tokens: Span | None = None
    usd: Span | None
    note: str = ""


class BreakEven(BaseModel):
    """Routed queries after which the run has paid for itself, by what is known; None means never."""

    low: int | None
    high: int | None


class Estimate(BaseModel):
    """estimate.json. `known` is the sum of the lines with a price, `unknown` the names of those without.

    `unpriced` names the models without a price. `pays_off_after` is None where a price of the router's calls
    is missing.
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
    estimate: str = ESTIMATE

    def sentence(self) -> str:
        """The estimate for people."""
        unknown = f", without {', '.join(self.unknown)}, whose price is not known" if self.unknown else ""
        return f"The run costs {dollars(self.known)}{unknown}. {self._routing()} {self._paying_off()}"

    def _routing(self) -> str:
        student, baseline = (
            dollars(span) if span else "an unknown amount"
            for span in (self.per_thousand["student"], self.per_thousand["baseline"])
        )
        return f"A thousand routed queries cost {student} with the student and {baseline} with the baseline."

    def _paying_off(self) -> str:
        after = self.pays_off_after
        if after is None:
            return "When the run has paid for itself cannot be said."
        if after.low is None:
            return "At these prices it never pays for itself."
        known = "By what is known it" if self.unknown else "It"
        if after.high is None:
            return f"{known} has paid for itself after {after.low:,} queries at the earliest, or never."
        return f"{known} has paid for itself after {after.low:,} to {after.high:,} queries."

    def short(self, limit: float) -> EstimatedCost:
        """What the run table keeps, and whether a person has to approve it: above the limit, in USD."""
        return EstimatedCost(
            low=round(self.known.low, 4),
            high=round(self.known.high, 4),
            unknown=self.unknown,
            approval_reason=self._waits_because(limit),
        )

    def _waits_because(self, limit: float) -> str:
        if self.unpriced:
            return f"the price list of {self.prices_as_of:%F} has no price for {', '.join(self.unpriced)}"
        if self.known.high > limit:
            return f"it may cost {usd(self.known.high)}, and the stack's limit is {usd(limit)}"
        return ""


def dollars(span: Span) -> str:
    """`$0.61 to $17.20`."""
    low, high = usd(span.low), usd(span.high)
    return low if low == high else f"{low} to {high}"


def tokens(characters: Characters) -> Span:
    """The tokens of so many characters."""
    plain = Span.exactly(characters.total - characters.beyond_ascii)
    per_plain = Span(low=1 / ASCII_PER_TOKEN[0], high=1 / ASCII_PER_TOKEN[1])
    per_other = Span(low=TOKENS_PER_OTHER[0], high=TOKENS_PER_OTHER[1])
    return plain * per_plain + Span.exactly(characters.beyond_ascii) * per_other


def text_tokens(text: str) -> Span:
    """The tokens of one text."""
    return tokens(Characters(total=len(text), beyond_ascii=beyond_ascii(text)))


def make_estimate(
    report: DatasetReport, channel_config: ChannelConfig, models: Mapping[str, str], prices: PriceList
) -> Estimate:
    """The estimate for a validated dataset; `models` are the ids by role: teacher, student, baseline, judge."""
    return _Estimator(report, channel_config, models, prices).estimate()


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
        self._answer = shape + _of_a_model(_mean(statistics.reasoning_characters, statistics.labelled))
        self._student_prompt = text_tokens(student_prompt(channel_config)) + self._query
        self._teacher_prompt = text_tokens(teacher_prompt(channel_config)) + self._query
        self._judged = (
            text_tokens(judge_instructions(channel_config))
            + Span(low=JUDGE_FRAME_TOKENS[0], high=JUDGE_FRAME_TOKENS[1])
            + self._student_prompt
            + self._label
            + self._answer
        )
        # What answers for each candidate, and what it is asked with.
        student, baseline = models["student"], models["baseline"]
        self._respondents: dict[str, tuple[str, Price | None, Span]] = {
            "distilled": (student, prices.find(student, customised=True), self._student_prompt),
            "untuned": (student, prices.find(student), self._student_prompt),
            "baseline": (baseline, prices.find(baseline), self._teacher_prompt),
        }

    def estimate(self) -> Estimate:
        lines = [self._teaching(), self._training(), self._storage(), *self._evaluation(), self._judging()]
        priced = [line.usd for line in lines if line.usd is not None]
        known = sum(priced, start=NOTHING).rounded(USD_DIGITS)
        per_thousand = {"student": self._routing("distilled"), "baseline": self._routing("baseline")}
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

    def _teaching(self) -> Line:
        """Bedrock asks the teacher for each missing label, and for prompts that it makes up itself."""
        unlabelled = min(self._report.statistics.records - self._report.labelled, self._report.train)
        calls = Span(low=unlabelled, high=max(MAX_RECORDS, unlabelled))
        note = f"{unlabelled:,} prompts without a label; Bedrock may ask about up to {MAX_RECORDS:,} in all"
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
        note = "of the custom model, each month until it is deleted; one month is counted"
        return Line(name="storage", usd=None if price is None else Span.exactly(price), note=note)

    def _evaluation(self) -> Iterable[Line]:
        calls = Span.exactly(self._report.holdout + min(WARM_UPS, self._report.holdout))
        respondents = dict(self._respondents)
        if self._report.reference == "teacher":
            teacher = self._models["teacher"]
            respondents["teacher"] = (teacher, self._prices.find(teacher), self._teacher_prompt)
        for name, (model_id, price, prompt) in respondents.items():
            yield _calls(f"evaluation of the {name} model", calls, prompt, self._answer, price, model_id)

    def _judging(self) -> Line:
        calls = Span.exactly(self._report.holdout * len(self._respondents))
        grade = Span(low=GRADE_TOKENS[0], high=GRADE_TOKENS[1])
        judge = self._models["judge"]
        return _calls("judge", calls, self._judged, grade, self._prices.find(judge), judge)

    def _routing(self, name: str) -> Span | None:
        _, price, prompt = self._respondents[name]
        return _cost(Span.exactly(QUERIES_PRICED), prompt, self._answer, price)

    def _unpriced(self) -> list[str]:
        found = {f"the {name} model {model}": price for name, (model, price, _) in self._respondents.items()}
        for role in ("teacher", "judge"):
            found[f"the {role} {self._models[role]}"] = self._prices.find(self._models[role])
        return [name for name, price in found.items() if price is None]


def _mean(characters: Characters, texts: int) -> Span:
    """The tokens of one of so many texts, on average."""
    return tokens(characters) * Span.exactly(1 / texts) if texts else NOTHING


def _of_a_model(labels: Span) -> Span:
    """The reasoning of an answer: as long as the labels' or as long as models write, whichever is farther."""
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
    """Low and high are compared with each other: what is off in the tokens of one is off in the other's."""
    if student is None or baseline is None:
        return None
    saved = sorted((baseline.low - student.low, baseline.high - student.high))
    low, high = (
        math.ceil(amount / saving * QUERIES_PRICED) if saving > 0 else None
        for amount, saving in ((cost.low, saved[1]), (cost.high, saved[0]))
    )
    return BreakEven(low=low, high=high)
