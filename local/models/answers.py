"""Stand-ins for the models behind Amazon Bedrock: they prove the pipeline and say nothing about Nova.

Every answer is a pure function of the model and the query, so that a run can be repeated exactly. Token
counts are estimates (four characters a token) and latencies are drawn, not measured: the means of the
distilled model and the baseline are those published in AWS's article on distilling search intent (833 ms
and 1,741 ms), the teacher's and the base model's are guesses of the same order.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from distillery.errors import UnreadableRouting
from distillery.task.answers import parse_routing
from distillery.task.weights import dominants, weight_score
from local.models.keyword_guidelines import Guidelines, from_grid, on_grid
from local.models.prompt_reader import channel_config_of_prompt, channels_of_label, channels_of_prompt
from local.models.query_writer import invented_queries, invention_of_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from distillery.task.channels import ChannelConfig
    from distillery.task.weights import Weights
    from local.models.keyword_guidelines import Reading

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. Tokens are estimated and `latency_ms` is emulated; both depend on the query only."""

    text: str
    input_tokens: int
    output_tokens: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Log-normal latency: its mean in milliseconds and the spread of its logarithm."""

    mean_ms: float
    sigma: float

    def draw(self, rng: random.Random) -> float:
        """One latency in milliseconds."""
        centre = math.log(self.mean_ms) - self.sigma**2 / 2
        return round(rng.lognormvariate(centre, self.sigma), 1)


class Fitted(Protocol):
    """The part of `distillery.student.Student` that answers need."""

    def predict(self, query: str) -> Weights:
        """Weights for a query."""
        ...

    def explain(self, query: str) -> str:
        """Why, naming the words that moved each channel."""
        ...


class Teacher:
    """A strong model that follows the channel configuration's guidelines and is now and then a step off."""

    pace = Pace(1500, 0.28)
    _prior = 1.6
    _slips = 0.1

    def __init__(self, channel_config: ChannelConfig) -> None:
        self._guidelines = Guidelines(channel_config)

    def label(self, query: str) -> tuple[Weights, str]:
        """Weights on the channel configuration's grid, and the reasoning for them."""
        return self._label(self._guidelines, query)

    def answer(self, system: str, user: str) -> Answer:
        """Bare JSON, always valid, over the channels that the prompt asks about (or its own, if about none).

        A prompt that asks to invent queries is answered with a list of them.
        """
        wanted = invention_of_prompt(system)
        if wanted:
            invented = json.dumps(invented_queries(wanted, user), ensure_ascii=False)
            return _answer(invented, system, user, self.pace, "teacher")
        weights, reasoning = self._label(_guidelines(system) or self._guidelines, user)
        return _answer(_as_json(weights, reasoning), system, user, self.pace, "teacher")

    def _label(self, guidelines: Guidelines, query: str) -> tuple[Weights, str]:
        channel_config = guidelines.channel_config
        reading = guidelines.read(query, prior=self._prior)
        steps = on_grid(reading.weights, channel_config.label_grid)
        rng = _chance("teacher", query)
        if rng.random() < self._slips:
            _slip(steps, rng)
        weights = from_grid(steps, channel_config.names)
        return weights, _reasoning(reading, weights)


class Baseline:
    """The model in use before distillation: the same guidelines, a weaker hold on them, mostly clean JSON."""

    pace = Pace(1741, 0.3)
    _prior = 1.2
    _slips = 0.4
    _second_slips = 0.1
    _fences = 0.06

    def __init__(self, channel_config: ChannelConfig) -> None:
        self._guidelines = Guidelines(channel_config)

    def answer(self, system: str, user: str) -> Answer:
        """JSON, fenced now and then, over the channels that the prompt asks about (or its own)."""
        guidelines = _guidelines(system) or self._guidelines
        reading = guidelines.read(user, prior=self._prior)
        steps = on_grid(reading.weights, guidelines.channel_config.label_grid)
        rng = _chance("baseline", user)
        for likelihood in (self._slips, self._second_slips):
            if rng.random() < likelihood:
                _slip(steps, rng)
        weights = from_grid(steps, guidelines.channel_config.names)
        text = _as_json(weights, _reasoning(reading, weights))
        if rng.random() < self._fences:
            text = _fenced(text)
        return _answer(text, system, user, self.pace, "baseline")


class Distilled:
    """The fitted student, answering as the customised model does: in the form it was trained on."""

    pace = Pace(833, 0.22)

    def __init__(self, student: Fitted) -> None:
        self._student = student

    def answer(self, system: str, user: str) -> Answer:
        """Bare JSON with the student's own explanation, always valid."""
        text = _as_json(self._student.predict(user), self._student.explain(user))
        return _answer(text, system, user, self.pace, "distilled")


class Untuned:
    """A small model before distillation: it knows the channels from the prompt and little about the task."""

    pace = Pace(700, 0.25)

    def answer(self, system: str, user: str) -> Answer:
        """Whatever an untuned model may say: fenced, wrapped in prose, oddly keyed, cut short, or no JSON."""
        rng = _chance("untuned", user)
        channels = channels_of_prompt(system)
        text = _untuned_text(_hunch(channels, rng), rng) if channels else _NO_IDEA
        return _answer(text, system, user, self.pace, "untuned")


@lru_cache(64)
def _guidelines(system: str) -> Guidelines | None:
    """What a prompt tells to label by; None when it tells of no channels."""
    channel_config = channel_config_of_prompt(system)
    return Guidelines(channel_config) if channel_config else None


def judge(prompt: str, reference: str, response: str) -> tuple[float, str]:
    """Grade a response as an LLM judge would: 0 to 1, and why.

    The weight score mapped to 0..1, one grade off for about a tenth of the responses, as judges are. Raises
    UnreadableRouting when the reference itself cannot be read: there is nothing to judge by.
    """
    channels = channels_of_label(reference)
    if not channels:
        raise UnreadableRouting("The reference holds no weights.")
    wanted = parse_routing(reference, channels).weights
    try:
        given = parse_routing(response, channels).weights
    except UnreadableRouting:
        return 0.0, "The response holds no weights that can be read."
    grade = weight_score(wanted, given, channels)
    rng = _chance("judge", prompt, response)
    if rng.random() < _MOODS:
        grade = min(5, max(1, grade + rng.choice((-1, 1))))
    worst = max(channels, key=lambda channel: abs(wanted[channel] - given[channel]))
    agree = "the same" if dominants(wanted) & dominants(given) else "another"
    off = abs(wanted[worst] - given[worst])
    return (grade - 1) / 4, (
        f"Puts {agree} channel first; the largest difference is {off:.2f}, at {worst} "
        f"({given[worst]:.2f} where the reference has {wanted[worst]:.2f})."
    )


_MOODS = 0.1


def _chance(*keys: str) -> random.Random:
    """Chance that is the same for the same keys on every machine (seeding with text hashes it)."""
    return random.Random("\x1f".join(keys))


def _slip(steps: dict[str, int], rng: random.Random) -> None:
    """Move one step of the grid from a channel that has one to another."""
    giver = rng.choice([channel for channel, count in steps.items() if count])
    taker = rng.choice([channel for channel in steps if channel != giver])
    steps[giver] -= 1
    steps[taker] += 1


def _reasoning(reading: Reading, weights: Mapping[str, float]) -> str:
    ranked = sorted(weights, key=lambda channel: -weights[channel])
    parts = [
        f"{channel} for {' and '.join(repr(text) for text in reading.found[channel][:2])}"
        for channel in ranked
        if weights[channel] and reading.found[channel]
    ]
    if not parts:
        return "Nothing in the query points to one channel, so the usual weights apply."
    lead = "The query asks for " + ", then ".join(parts) + "."
    idle = [channel for channel in ranked if not weights[channel]]
    return f"{lead} Nothing points to {' or '.join(idle)}." if idle else lead


def _as_json(weights: Mapping[str, object], reasoning: str) -> str:
    return json.dumps({**weights, "reasoning": reasoning}, ensure_ascii=False)


def _fenced(text: str) -> str:
    return f"```json\n{text}\n```"


def _answer(text: str, system: str, user: str, pace: Pace, name: str) -> Answer:
    return Answer(
        text=text,
        input_tokens=estimated_tokens(system + user),
        output_tokens=estimated_tokens(text),
        latency_ms=pace.draw(_chance("latency", name, user)),
    )


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is; at least one."""
    return max(1, math.ceil(len(text) / CHARACTERS_PER_TOKEN))


# The untuned model's habits

_NO_IDEA = "I can help with that! What would you like to know about your videos?"


def _hunch(channels: Sequence[str], rng: random.Random) -> Weights:
    """Weights with little thought behind them: the first channel is favoured, the rest is chance."""
    raw = {channel: rng.random() + (0.8 if channel == channels[0] else 0.4) for channel in channels}
    total = math.fsum(raw.values())
    return from_grid(on_grid({channel: value / total for channel, value in raw.items()}, 0.1), channels)


def _untuned_text(weights: Weights, rng: random.Random) -> str:
    habits, likelihoods = zip(*_HABITS, strict=True)
    habit: Callable[[Weights], str] = rng.choices(habits, likelihoods)[0]
    return habit(weights)


def _guess(weights: Weights) -> str:
    return f"The query is mostly about {max(weights, key=lambda channel: weights[channel])} content."


def _clean(weights: Weights) -> str:
    return _as_json(weights, _guess(weights))


def _in_prose(weights: Weights) -> str:
    return f"Sure! Here are the weights for your query:\n\n{_clean(weights)}\n\nTell me if you need more."


def _in_a_fence(weights: Weights) -> str:
    return f"Here is the JSON:\n\n{_fenced(json.dumps({**weights, 'reasoning': _guess(weights)}, indent=2))}"


def _with_longer_keys(weights: Weights) -> str:
    return _as_json({f"{channel}_weight": weight for channel, weight in weights.items()}, _guess(weights))


def _with_other_keys(weights: Weights) -> str:
    numbered = {f"channel_{at}": weight for at, weight in enumerate(weights.values(), 1)}
    return _as_json(numbered, _guess(weights))


def _without_zeros(weights: Weights) -> str:
    return _as_json({channel: weight for channel, weight in weights.items() if weight}, _guess(weights))


def _with_one_missing(weights: Weights) -> str:
    return _as_json(dict(list(weights.items())[:-1]), _guess(weights))


def _as_text(weights: Weights) -> str:
    return _as_json({channel: f"{weight:g}" for channel, weight in weights.items()}, _guess(weights))


def _as_percentages(weights: Weights) -> str:
    return _as_json({channel: f"{weight:.0%}" for channel, weight in weights.items()}, _guess(weights))


def _with_trailing_comma(weights: Weights) -> str:
    return _clean(weights).removesuffix("}") + ",}"


def _cut_short(weights: Weights) -> str:
    return _fenced(json.dumps(weights, indent=2))[:30]


def _only_prose(weights: Weights) -> str:
    return f"{_guess(weights)} I would search there first and then look at the other channels if needed."


_HABITS: Sequence[tuple[Callable[[Weights], str], float]] = (
    (_clean, 16),
    (_in_prose, 16),
    (_in_a_fence, 20),
    (_with_longer_keys, 8),
    (_with_other_keys, 3),
    (_without_zeros, 6),
    (_with_one_missing, 4),
    (_as_text, 7),
    (_as_percentages, 7),
    (_with_trailing_comma, 7),
    (_cut_short, 2),
    (_only_prose, 4),
)
"""The habits and how often each shows, in parts of their sum."""
