"""Finds the query templates that a dataset repeats.

A frame word is a word that occurs in at least 5 % of the queries. A query's template is its frame words in
their order, with everything between them replaced by one slot: "drone shot of a red barn" and "drone shot of
the old harbour" may both have the template "drone shot of _". A template needs at least three frame words,
because two queries that share only "of the" do not share a template.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Sequence

FRAME_SHARE = 0.05
FRAME_WORDS = 3
TOP = 10
"""Templates that are reported at most."""
SLOT = "_"
_words = re.compile(r"\w+").findall


class QueryTemplate(BaseModel):
    """A template (`shape` in validation.json) and the number of sampled queries that have it."""

    shape: str
    queries: int


def top_templates(queries: Sequence[str]) -> list[QueryTemplate]:
    """The ten most common templates, most common first; templates of a single query are left out."""
    split = [_words(query.casefold()) for query in queries]
    counts = Counter(word for words in split for word in set(words))
    least = max(FRAME_SHARE * len(queries), 2)
    frame_words = {word for word, count in counts.items() if count >= least}
    templates = Counter(template for words in split if (template := _template(words, frame_words)))
    return [
        QueryTemplate(shape=template, queries=count)
        for template, count in templates.most_common(TOP)
        if count > 1
    ]


def _template(words: Sequence[str], frame_words: set[str]) -> str:
    """The template of a query; empty if the query has too few frame words."""
    if sum(word in frame_words for word in words) < FRAME_WORDS:
        return ""
    slotted = (word if word in frame_words else SLOT for word in words)
    return " ".join(word for word, _ in groupby(slotted))
