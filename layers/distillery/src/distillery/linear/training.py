"""Fitting the linear model that `model` describes. Needs numpy and scipy; no function imports this module.

The method is ridge regression from n-grams to columns. The target of a candidate's column is the weight
score that answering with the candidate would have earned on the record, less a small share of the
squared error. The target of a channel's column is the label's weight. Targets are averaged over the
copies of a query, and a query counts as often as it occurs. It is solved by conjugate gradients on the
sparse matrix, so that no Gram matrix of 15,000 records (of n-grams or of queries) has to fit in memory.

The choices come from five-fold cross-validation over the distinct queries of 1,388 records labelled by
Amazon Nova Premier. Mean weight scores: the vector nearest to ridge weights 4.18, multinomial regression
over the vectors 4.28, the weight score regressed on TF-IDF 4.35, this method 4.37 (six random divisions,
which differ by about 0.01). Nothing else was tuned: `RIDGE` gives the same score from 0.35 to 0.8;
n-grams that occur in one query only, inverse document frequencies and longer n-grams add nothing.
"""

from __future__ import annotations

import math
import unicodedata
from array import array
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from distillery.errors import BadInput
from distillery.linear.features import features
from distillery.linear.model import MOST_BYTES, MOST_CANDIDATES, ZERO, Block, LinearModel, Parts
from distillery.task.weights import weight_score

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from distillery.task.channels import ChannelConfig

    Steps = tuple[int, ...]
    Floats = NDArray[np.float64]

RIDGE = 0.5
"""Penalty, in records. Feature vectors have length 1, so it does not depend on the number of records."""
LEAST_QUERIES = 2
"""Distinct queries that an n-gram must occur in to get coefficients."""
NEARNESS = 4
"""Weight score points that a squared error of 1 costs.

The weight score alone hardly distinguishes answers that are far from the label, so that a small dataset
teaches little. This term makes no difference on the real labels (4.379 without it, 4.377 with it) and raises
4.74 to 4.88 on 100 records of a simple synthetic teacher.
"""
POOL = 400
"""Where there are more labels than `MOST_CANDIDATES`, candidates are chosen among this many frequent ones."""
ITERATIONS = 200
PRECISION = 3e-3
"""Conjugate gradients stop at this share of the first residual; 1e-3 scores the same and takes longer."""
LARGEST = 127
"""A coefficient's largest byte, counted from ZERO."""


def fit(examples: Iterable[tuple[str, Mapping[str, float]]], channel_config: ChannelConfig) -> LinearModel:
    """Fit a linear model on (query, weights) pairs in any order.

    Raises BadInput when there is no example, or when a label does not weight the configuration's channels.
    """
    return LinearModel(train(examples, channel_config))


def train(examples: Iterable[tuple[str, Mapping[str, float]]], channel_config: ChannelConfig) -> Parts:
    """Fit on (query, weights) pairs in any order; the same pairs give the same parts.

    Raises BadInput when there is no example, or when a label does not weight the configuration's channels.
    """
    steps = max(2, round(1 / channel_config.label_grid))
    labels: dict[str, Counter[Steps]] = {}
    for query, weights in examples:
        surface = " ".join(unicodedata.normalize("NFKC", query).split())
        labels.setdefault(surface, Counter())[_on_grid(weights, channel_config.names, steps)] += 1
    if not labels:
        raise BadInput(
            "The linear model has nothing to learn from.", fix="Give at least one labelled record."
        )
    labels = dict(sorted(labels.items()))

    frequency: Counter[Steps] = Counter()
    for of_query in labels.values():
        frequency.update(of_query)
    candidates = _candidates(frequency, channel_config.names, steps)
    targets, copies = _targets(list(labels.values()), candidates, channel_config.names, steps)
    intercepts = (targets * copies[:, None]).sum(axis=0) / copies.sum()

    kept = _kept(labels, MOST_BYTES // targets.shape[1])
    coefficients = _ridge(_matrix(labels, kept), targets - intercepts, copies)
    border = len(kept[0])
    blocks = (_block(kept[0], coefficients[:border]), _block(kept[1], coefficients[border:]))
    return Parts(channel_config.names, steps, tuple(candidates), tuple(intercepts.tolist()), blocks)


def _on_grid(weights: Mapping[str, float], channels: Sequence[str], steps: int) -> Steps:
    """Weights as whole steps that add up to `steps`, rounded by largest remainder."""
    try:
        values = [float(weights[channel]) for channel in channels]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"A label needs a number for each of {', '.join(channels)}.") from error
    total = math.fsum(values)
    if not math.isfinite(total) or total <= 0 or min(values) < 0:
        raise BadInput("A label's weights must be finite, non-negative and not all zero.")
    exact = [round(value / total * steps, 6) for value in values]
    whole = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(whole)), key=lambda place: whole[place] - exact[place])
    for place in by_remainder[: steps - sum(whole)]:
        whole[place] += 1
    return tuple(whole)


def _earned(label: Steps, answer: Steps, channels: Sequence[str], steps: int) -> int:
    """The weight score of an answer against a label, both in steps of the grid."""
    reference = {channel: step / steps for channel, step in zip(channels, label, strict=True)}
    return weight_score(
        reference, {channel: step / steps for channel, step in zip(channels, answer, strict=True)}, channels
    )


def _worth(label: Steps, answer: Steps, channels: Sequence[str], steps: int) -> int:
    """The target of an answer's column, times `steps` squared: weight score less NEARNESS x squared error."""
    distance = sum((given - expected) ** 2 for given, expected in zip(answer, label, strict=True))
    return _earned(label, answer, channels, steps) * steps**2 - NEARNESS * distance


def _candidates(frequency: Counter[Steps], channels: Sequence[str], steps: int) -> list[Steps]:
    """The vectors to answer with: all labels, or those that together score best where there are too many."""
    pool = sorted(frequency, key=lambda label: (-frequency[label], label))
    if len(pool) <= MOST_CANDIDATES:
        return pool
    pool = pool[:POOL]
    earned = np.array([[_earned(label, answer, channels, steps) for answer in pool] for label in pool])
    counts = np.array([frequency[label] for label in pool])
    best = np.zeros(len(pool), dtype=earned.dtype)
    chosen: list[int] = []
    while len(chosen) < MOST_CANDIDATES:
        gains = counts @ np.maximum(earned, best[:, None])
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        best = np.maximum(best, earned[:, chosen[-1]])
    return [pool[place] for place in sorted(chosen)]


def _targets(
    labels: Sequence[Counter[Steps]], candidates: Sequence[Steps], channels: Sequence[str], steps: int
) -> tuple[Floats, Floats]:
    """The targets (queries x columns), and the number of copies of each query.

    Whole numbers are added before anything is divided, so that the order of the copies changes nothing.
    """
    rows: dict[Steps, NDArray[np.int64]] = {}
    sums = np.zeros((len(labels), len(candidates) + len(channels)), dtype=np.int64)
    for place, of_query in enumerate(labels):
        for label, count in of_query.items():
            if label not in rows:
                worths = (_worth(label, answer, channels, steps) for answer in candidates)
                rows[label] = np.array([*worths, *label])
            sums[place] += count * rows[label]
    copies = np.array([of_query.total() for of_query in labels], dtype=np.float64)
    targets = sums / copies[:, None]
    targets[:, : len(candidates)] /= steps**2
    targets[:, len(candidates) :] /= steps
    return targets, copies


def _kept(queries: Iterable[str], room: int) -> tuple[list[str], list[str]]:
    """The n-grams of each kind that occur in enough queries; at most `room`, the rarest are dropped."""
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for query in queries:
        for count, grams in zip(counts, features(query), strict=True):
            count.update(grams.keys())
    frequent = sorted(
        (-number, kind, gram)
        for kind, count in enumerate(counts)
        for gram, number in count.items()
        if number >= LEAST_QUERIES
    )[:room]
    words, characters = (sorted(gram for _, of_kind, gram in frequent if of_kind == kind) for kind in (0, 1))
    return words, characters


def _matrix(queries: Iterable[str], kept: tuple[list[str], list[str]]) -> sparse.csr_matrix:
    """Features (queries x n-grams). Each kind of n-gram has length sqrt(1/2), so that a row has length 1."""
    words, characters = kept
    places = (
        {gram: place for place, gram in enumerate(words)},
        {gram: place for place, gram in enumerate(characters, start=len(words))},
    )
    columns, values, starts = array("i"), array("d"), array("q", [0])
    for query in queries:
        for of_kind, grams in zip(places, features(query), strict=True):
            found = sorted(of_kind[gram] for gram in grams if gram in of_kind)
            columns.extend(found)
            values.extend([math.sqrt(0.5 / len(found))] * len(found) if found else ())
        starts.append(len(columns))
    shape = (len(starts) - 1, len(words) + len(characters))
    return sparse.csr_matrix((np.array(values), np.array(columns), np.array(starts)), shape=shape)


def _ridge(features_: sparse.csr_matrix, targets: Floats, copies: Floats) -> Floats:
    """Coefficients (n-grams x columns) that minimise the squared error over records plus RIDGE x squares."""
    weighted = features_.T.tocsr().multiply(copies[None, :]).tocsr()
    solution = np.zeros((features_.shape[1], targets.shape[1]))
    residual = weighted @ targets
    direction = residual.copy()
    norms = np.einsum("ij,ij->j", residual, residual)
    enough = norms * PRECISION**2
    for _ in range(ITERATIONS):
        if bool((norms <= enough).all()):
            break
        applied = weighted @ (features_ @ direction) + RIDGE * direction
        curvature = np.einsum("ij,ij->j", direction, applied)
        # A column that is solved exactly has no direction left. Its step is zero; dividing would be by zero.
        step = np.divide(norms, curvature, out=np.zeros_like(norms), where=curvature > 0)
        solution += step * direction
        residual -= step * applied
        before, norms = norms, np.einsum("ij,ij->j", residual, residual)
        direction = (
            residual + np.divide(norms, before, out=np.zeros_like(norms), where=before > 0) * direction
        )
    return solution


def _block(grams: Sequence[str], coefficients: Floats) -> Block:
    """Coefficients as bytes, with one scale per column (which includes the factor sqrt(1/2) of the kind)."""
    largest = np.abs(coefficients).max(axis=0, initial=0.0)
    units = np.where(largest > 0, largest, 1.0) / LARGEST
    whole = np.rint(coefficients / units).astype(np.int64) + ZERO
    scales = units * math.sqrt(0.5)
    return Block(tuple(grams), whole.astype(np.uint8).tobytes(), tuple(scales.tolist()))
