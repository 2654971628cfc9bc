"""Weights over facets: normalising and comparing them, and the weight rubric."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Weights = dict[str, float]

TOLERANCE = 1e-9
"""Comparisons of the rubric and of ties allow this much."""
SUM_SLACK = 0.011
"""A sum this close to 1 is what rounding to two decimals can leave; beyond it a missing facet is a guess."""
DECIMALS = 6


def dominant(weights: Mapping[str, float]) -> str:
    """The facet with the largest weight; the first of the mapping's order where several tie."""
    return max(weights, key=lambda facet: weights[facet])


def dominants(weights: Mapping[str, float]) -> frozenset[str]:
    """Every facet that ties for the largest weight."""
    top = max(weights.values())
    return frozenset(facet for facet, weight in weights.items() if weight >= top - TOLERANCE)


def normalise(weights: Mapping[str, float], facets: Sequence[str]) -> Weights:
    """Scale to a sum of exactly 1 (to six decimals; what rounding leaves goes to the largest weight).

    Raises ValueError for a negative, non-finite or all-zero input: there is nothing to scale.
    """
    values = [float(weights.get(facet, 0.0)) for facet in facets]
    total = math.fsum(values)
    if min(values) < 0 or not math.isfinite(total) or total <= 0:
        raise ValueError("weights must be finite, non-negative and not all zero")
    scaled = {facet: round(value / total, DECIMALS) for facet, value in zip(facets, values, strict=True)}
    largest = dominant(scaled)
    others = math.fsum(weight for facet, weight in scaled.items() if facet != largest)
    scaled[largest] = round(1.0 - others, DECIMALS)
    return scaled


def rubric(
    reference: Mapping[str, float], predicted: Mapping[str, float] | None, facets: Sequence[str]
) -> int:
    """The weight rubric, 1 (useless) to 5 (as good as equal); `None` stands for an unreadable answer."""
    if predicted is None or any(facet not in predicted for facet in facets):
        return 1
    errors = [abs(reference[facet] - predicted[facet]) for facet in facets]
    largest = max(errors)
    if largest <= 0.05 + TOLERANCE:
        return 5
    if largest <= 0.10 + TOLERANCE:
        return 4
    if largest > 0.30 + TOLERANCE:
        return 1
    agrees = bool(dominants({f: reference[f] for f in facets}) & dominants({f: predicted[f] for f in facets}))
    return 3 if agrees and math.fsum(errors) / len(errors) < 0.15 - TOLERANCE else 2
