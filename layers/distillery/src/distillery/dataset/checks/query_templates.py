"""How much of a dataset a few shapes of query make up.

The shape of a query is what is left of it when only its frame words stay: words that stand in at least 5 % of
the queries. Everything between them becomes one slot: "drone shot of a red barn" and "drone shot of the old
harbour" may both be "drone shot of _". A shape counts as a template when it has at least three frame words:
two queries that share "of the" share no template.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

FRAME_SHARE = 0.05
FRAME_WORDS = 3
TOP = 10
"""A few shapes are this many."""
SLOT = "_"
_words = re.compile(r"\w+").findall


class Shape(NamedTuple):
    """A template and how many of the queries looked at have it."""

    shape: str
    queries: int


def top_shapes(queries: Sequence[str]) -> list[Shape]:
    """The ten templates that most queries share, the commonest first; none that only one query has."""
    split = [_words(query.casefold()) for query in queries]
    counts = Counter(word for words in split for word in set(words))
    least = max(FRAME_SHARE * len(queries), 2)
    frame = {word for word, count in counts.items() if count >= least}
    shapes = Counter(shape for words in split if (shape := _shape(words, frame)))
    return [Shape(shape, count) for shape, count in shapes.most_common(TOP) if count > 1]


def _shape(words: Sequence[str], frame: set[str]) -> str:
    """The words with all but frame words made into slots; empty where that is no template."""
    if sum(word in frame for word in words) < FRAME_WORDS:
        return ""
    marked = (word if word in frame else SLOT for word in words)
    return " ".join(word for word, _ in groupby(marked))
