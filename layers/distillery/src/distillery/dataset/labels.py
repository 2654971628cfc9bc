"""Reads a label, the assistant turn of a line: a weight for every channel and an optional reasoning."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.dataset.findings import Finding, LineError, new_finding
from distillery.dataset.strict_json import RepeatedKey, Trailing, parse, text_after
from distillery.dataset.texts import check_reserved, cleaned, encodable
from distillery.messages import cause, cut, kind, shown
from distillery.task.channels import REASONING
from distillery.task.weights import SUM_SLACK, TOLERANCE, normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distillery.task.weights import Weights

FIXABLE_SUM = 0.05
"""A sum that differs from 1 by at most this is scaled and reported. Beyond it, a weight is missing or
wrong."""
LabelKey = tuple[float, ...]
"""The weights of a label in the channel configuration's order."""
MOST_KNOWN = 4_096
"""Spellings of weights that are remembered at most."""
LONGEST_KNOWN = 1_000
"""Characters of a remembered spelling at most: real labels are short."""
_FENCE = re.compile(r"\s*```\w*[ \t]*\n?(.*?)```\s*", re.DOTALL)
_BEFORE_REASONING = (f', "{REASONING}": "', f',"{REASONING}":"')


class Label(NamedTuple):
    """Weights in the channel configuration's order, with a sum of 1, and the reasoning (may be empty)."""

    weights: Weights
    reasoning: str


class _Weights(NamedTuple):
    """Weights with a sum of 1.

    `code` is the finding's code if they were scaled, else None; `total` is their sum before.
    """

    values: Weights
    code: str | None
    total: float


class LabelReader:
    """Reads labels with the same channels.

    Labels come from a grid, so a file has few distinct sets of weights. Each spelling is checked only once.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        self._known: dict[str, _Weights] = {}

    def read(self, text: str, line: int, findings: list[Finding]) -> Label:
        """The label of a line. Raises LineError if it is not valid; appends fixes to `findings`."""
        text = cleaned(text, "label", line, findings)
        weights, reasoning = self._read_known(text) or self._read_anew(text, line, findings)
        if weights.code is not None:
            findings.append(_scaled(weights, line))
        if reasoning:
            reasoning = encodable(cleaned(reasoning, REASONING, line, findings).strip(), "assistant")
            check_reserved(reasoning, REASONING)
        # A copy: a caller that changes a label must not change the remembered weights.
        return Label(weights.values.copy(), reasoning)

    def _read_known(self, text: str) -> tuple[_Weights, str] | None:
        """The weights and reasoning, if the same text before the reasoning was checked before."""
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

    def _read_anew(self, text: str, line: int, findings: list[Finding]) -> tuple[_Weights, str]:
        fenced = _FENCE.fullmatch(text)
        content = _object(fenced[1] if fenced else text)
        weights = self._weights(content)
        reasoning = content.get(REASONING, "")
        if fenced:
            findings.append(
                new_finding("line_form", line, "The label is in a code fence; this is corrected.")
            )
        if reasoning is None:
            findings.append(new_finding("line_form", line, "The reasoning is null; this is corrected."))
            return weights, ""
        if fenced:
            return weights, _reasoning_text(reasoning)
        reasoning = _reasoning_text(reasoning)
        self._remember(text, content, weights)
        return weights, reasoning

    def _remember(self, text: str, content: dict[str, Any], weights: _Weights) -> None:
        heads = [text]
        if REASONING in content:
            parts = [text.partition(before) for before in _BEFORE_REASONING]
            heads = [head for head, has_reasoning, _ in parts if has_reasoning and _is_whole(head, content)]
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
            raise LineError("weights_sum", f"The weights sum to {total:.4g} instead of 1.")
        code = "weights_rounded" if off <= SUM_SLACK + TOLERANCE else "weights_renormalised"
        return _Weights(normalise(values, self._channels), code, total)


def _reasoning_text(reasoning: Any) -> str:
    if type(reasoning) is not str:
        raise LineError("reasoning_not_text", f"The reasoning is {kind(reasoning)}.")
    return reasoning


def _object(text: str) -> dict[str, Any]:
    try:
        content = parse(text, constants=True)
    except RepeatedKey as error:
        raise LineError("duplicate_key", f"The label has the key {shown(str(error))} twice.") from error
    except Trailing as error:
        message = f"The label has more text after its JSON object, at character {error.at + 1}."
        raise LineError("label_not_json", message) from error
    except (ValueError, RecursionError) as error:
        raise LineError("label_not_json", f"The label is not JSON: {cause(error)}.") from error
    if type(content) is not dict:
        raise LineError("label_not_object", f"The label is {kind(content)}, not an object.")
    return content


def _is_whole(head: str, content: dict[str, Any]) -> bool:
    """Whether `head`, closed with a brace, is all of `content` except the reasoning."""
    try:
        weights = parse(f"{head}}}", constants=True)
    except (ValueError, RecursionError):
        return False
    return bool({**weights, REASONING: content[REASONING]} == content and REASONING not in weights)


def _scaled(weights: _Weights, line: int) -> Finding:
    message = f"The weights sum to {weights.total:.6g} and were scaled to 1."
    return new_finding(weights.code or "", line, message)


def _other_channels(content: dict[str, Any], channels: Sequence[str]) -> LineError:
    unknown = ", ".join(shown(name) for name in content if name not in channels and name != REASONING)
    missing = ", ".join(channel for channel in channels if channel not in content)
    fix = f"Use the channels of the channel configuration: {', '.join(channels)}."
    if unknown:
        lacking = f" and has no weight for {missing}" if missing else ""
        message = f"The label has the unknown channel {cut(unknown)}{lacking}."
        return LineError("unknown_channel", message, fix)
    fix = f"{fix} Give a channel that does not matter the weight 0."
    return LineError("missing_channel", f"The label has no weight for {missing}.", fix)


def _weight(channel: str, value: Any) -> float:
    # Not isinstance: in Python True is an int, but it is not a weight.
    if type(value) is not float and type(value) is not int:
        raise LineError("weight_not_number", f"The weight of {channel} is {kind(value)}.")
    if 0 <= value <= 1:
        return float(value) + 0.0  # turns -0.0 into 0.0, which is equal but written differently
    code, problem = (
        ("weight_not_finite", "not finite")
        # An int is always finite, and may be too large for isfinite.
        if type(value) is float and not math.isfinite(value)
        else ("negative_weight", "below 0")
        if value < 0
        else ("weight_above_one", "above 1")
    )
    raise LineError(code, f"The weight of {channel} is {problem}.")
