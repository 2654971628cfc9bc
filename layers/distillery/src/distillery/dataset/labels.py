"""What the assistant's turn of a line must say: a weight for every channel and, if wanted, a reasoning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.dataset.findings import Finding, Flaw, found
from distillery.dataset.strict_json import RepeatedKey, parse, text_after
from distillery.dataset.texts import check_reserved, sound, without_controls
from distillery.messages import cause, cut, kind, shown
from distillery.task.channels import REASONING
from distillery.task.weights import SUM_SLACK, TOLERANCE, normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distillery.task.weights import Weights

FIXABLE_SUM = 0.05
"""A sum this far off 1 is scaled, and said; beyond it a weight is missing or wrong."""
MOST_KNOWN = 4_096
LONGEST_KNOWN = 1_000
"""Spellings remembered, and the characters of one: labels are short, and what is not one stays out."""
_BEFORE_REASONING = (f', "{REASONING}": "', f',"{REASONING}":"')


class Label(NamedTuple):
    """Weights in the channel configuration's order that sum to 1, and the reasoning (may be empty)."""

    weights: Weights
    reasoning: str


class _Weights(NamedTuple):
    """Weights as they are used, and what was fixed: the code and the sum; no code where nothing was."""

    values: Weights
    code: str | None
    total: float


class LabelReader:
    """Reads labels over the same channels.

    Labels come from a grid, so few sets of weights are distinct: those of each spelling are checked once.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        self._known: dict[str, _Weights] = {}

    def read(self, text: str, line: int, findings: list[Finding]) -> Label:
        """The label of a line; raises Flaw, and appends what was fixed to `findings`."""
        text = without_controls(text, "label", line, findings)
        weights, reasoning = self._read_known(text) or self._read_anew(text)
        if weights.code is not None:
            findings.append(_scaled(weights, line))
        if reasoning:
            reasoning = sound(without_controls(reasoning, REASONING, line, findings).strip(), "assistant")
            check_reserved(reasoning, REASONING)
        # A copy, so that whoever changes a label changes no other.
        return Label(weights.values.copy(), reasoning)

    def _read_known(self, text: str) -> tuple[_Weights, str] | None:
        """A label whose part before the reasoning was checked before, letter for letter."""
        for before in _BEFORE_REASONING:
            at = text.find(before)
            if at >= 0:
                weights = self._known.get(text[:at])
                reasoning = None if weights is None else text_after(text, at + len(before))
                if weights is None or reasoning is None or text[reasoning[1] :] != "}":
                    return None
                return weights, reasoning[0]
        weights = self._known.get(text)
        return None if weights is None else (weights, "")

    def _read_anew(self, text: str) -> tuple[_Weights, str]:
        content = _object(text)
        weights = self._weights(content)
        reasoning = content.get(REASONING, "")
        if type(reasoning) is not str:
            raise Flaw("reasoning_not_text", f"The reasoning is {kind(reasoning)}.")
        self._remember(text, content, weights)
        return weights, reasoning

    def _remember(self, text: str, content: dict[str, Any], weights: _Weights) -> None:
        heads = [text]
        if REASONING in content:
            parts = [text.partition(before) for before in _BEFORE_REASONING]
            heads = [head for head, named, _ in parts if named and _is_whole(head, content)]
        for head in heads:
            if len(head) <= LONGEST_KNOWN and len(self._known) < MOST_KNOWN:
                self._known[head] = weights

    def _weights(self, content: dict[str, Any]) -> _Weights:
        if len(content) != len(self._channels) + (REASONING in content):
            raise _other_channels(content, self._channels)
        if any(channel not in content for channel in self._channels):
            raise _other_channels(content, self._channels)
        values = {channel: _weight(channel, content[channel]) for channel in self._channels}
        total = math.fsum(values.values())
        off = abs(total - 1)
        if off <= TOLERANCE:
            return _Weights(values, None, total)
        if off > FIXABLE_SUM + TOLERANCE:
            raise Flaw("weights_sum", f"The weights sum to {total:.4g} instead of 1.")
        code = "weights_rounded" if off <= SUM_SLACK + TOLERANCE else "weights_renormalised"
        return _Weights(normalise(values, self._channels), code, total)


def _object(text: str) -> dict[str, Any]:
    try:
        content = parse(text, constants=True)
    except RepeatedKey as error:
        raise Flaw("duplicate_key", f"The label names {shown(str(error))} twice.") from error
    except (ValueError, RecursionError) as error:
        raise Flaw("label_not_json", f"The label is not JSON: {cause(error)}.") from error
    if type(content) is not dict:
        raise Flaw("label_not_object", f"The label is {kind(content)}, not an object.")
    return content


def _is_whole(head: str, content: dict[str, Any]) -> bool:
    """Whether `head` is an object that lacks only its end, with all of `content` but the reasoning."""
    try:
        weights = parse(f"{head}}}", constants=True)
    except (ValueError, RecursionError):
        return False
    return bool({**weights, REASONING: content[REASONING]} == content and REASONING not in weights)


def _scaled(weights: _Weights, line: int) -> Finding:
    told = f"The weights sum to {weights.total:.6g} and were scaled to 1."
    return found(weights.code or "", line, told)


def _other_channels(content: dict[str, Any], channels: Sequence[str]) -> Flaw:
    unknown = ", ".join(shown(name) for name in content if name not in channels and name != REASONING)
    missing = ", ".join(channel for channel in channels if channel not in content)
    known = f"The channel configuration's channels are {', '.join(channels)}."
    if unknown:
        lacking = f" and lacks {missing}" if missing else ""
        return Flaw("unknown_channel", f"The label has the unknown channel {cut(unknown)}{lacking}.", known)
    return Flaw("missing_channel", f"The label lacks {missing}.", f"{known} Give 0 where one is of no use.")


def _weight(channel: str, value: Any) -> float:
    # Not isinstance: True is an int to Python, and no weight to anybody.
    if type(value) is not float and type(value) is not int:
        raise Flaw("weight_not_number", f"The weight of {channel} is {kind(value)}.")
    if 0 <= value <= 1:
        return float(value) + 0.0  # -0.0 becomes 0.0: the two are equal and would be written differently
    code, told = (
        ("weight_not_finite", "not finite")
        # An int is never infinite, and may be too large for isfinite.
        if type(value) is float and not math.isfinite(value)
        else ("negative_weight", "below 0")
        if value < 0
        else ("weight_above_one", "above 1")
    )
    raise Flaw(code, f"The weight of {channel} is {told}.")
