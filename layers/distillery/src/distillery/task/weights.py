"""Weights over channels: normalising and comparing them, and the weight score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Weights = dict[str, float]

TOLERANCE = 1e-9
"""Comparisons of the weight score and of ties allow this much."""
SUM_SLACK = 0.011
"""A sum this close to 1 is what rounding to two decimals can leave; beyond it a missing channel is a guess."""
DECIMALS = 6


def dominant(weights: Mapping[str, float]) -> str:
    """The channel with the largest weight; the first of the mapping's order where several tie."""
    return max(weights, key=lambda channel: weights[channel])


def dominants(weights: Mapping[str, float]) -> frozenset[str]:
    """Every channel that ties for the largest weight."""
    top = max(weights.values())
    return frozenset(channel for channel, weight in weights.items() if weight >= top - TOLERANCE)


def normalise(weights: Mapping[str, float], channels: Sequence[str]) -> Weights:
    """Scale to a sum of exactly 1 (to six decimals; what rounding leaves goes to the largest weight).

    Raises ValueError for a negative, non-finite or all-zero input: there is nothing to scale.
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
    """The weight score, 1 (useless) to 5 (as good as equal); `None` stands for an unreadable answer."""
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
    agrees = bool(
        dominants({f: reference[f] for f in channels}) & dominants({f: predicted[f] for f in channels})
    )
    return 3 if agrees and math.fsum(errors) / len(errors) < 0.15 - TOLERANCE else 2
