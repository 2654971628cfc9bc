"""Arithmetic of channel weights: normalising, dominant channels, and the weight score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Weights = dict[str, float]

TOLERANCE = 1e-9
"""Allowance for rounding in the bounds of the weight score and in ties."""
SUM_SLACK = 0.011
"""Largest difference to 1 that rounding to two decimals can leave in a sum of weights."""
DECIMALS = 6


def dominant(weights: Mapping[str, float]) -> str:
    """The channel with the largest weight; of several that tie, the first in the mapping's order."""
    return max(weights, key=lambda channel: weights[channel])


def dominants(weights: Mapping[str, float]) -> frozenset[str]:
    """Every channel that has the largest weight."""
    top = max(weights.values())
    return frozenset(channel for channel, weight in weights.items() if weight >= top - TOLERANCE)


def normalise(weights: Mapping[str, float], channels: Sequence[str]) -> Weights:
    """Scale to a sum of exactly 1, rounded to six decimals; the rounding error goes to the largest weight.

    Raises ValueError for weights that are negative, not finite or all zero.
    """
    values = [float(weights.get(channel, 0.0)) for channel in channels]
    total = math.fsum(values)
    if min(values) < 0 or not math.isfinite(total) or total <= 0:
        raise ValueError("weights must be finite, non-negative and not all zero")
    scaled = {
        channel: round(value / total, DECIMALS) for channel, value in zip(channels, values, strict=True)
    }
    largest = dominant(scaled)
    others = math.fsum(weight for channel, weight in scaled.items() if channel != largest)
    scaled[largest] = round(1.0 - others, DECIMALS)
    return scaled


def weight_score(
    reference: Mapping[str, float], predicted: Mapping[str, float] | None, channels: Sequence[str]
) -> int:
    """The weight score from 1 (unusable) to 5 (nearly equal); `None` stands for an unreadable answer."""
    if predicted is None or any(channel not in predicted for channel in channels):
        return 1
    errors = [abs(reference[channel] - predicted[channel]) for channel in channels]
    largest = max(errors)
    if largest <= 0.05 + TOLERANCE:
        return 5
    if largest <= 0.10 + TOLERANCE:
        return 4
    if largest > 0.30 + TOLERANCE:
        return 1
    same_dominant = bool(
        dominants({name: reference[name] for name in channels})
        & dominants({name: predicted[name] for name in channels})
    )
    return 3 if same_dominant and math.fsum(errors) / len(errors) < 0.15 - TOLERANCE else 2
