"""The features of a query: n-grams of its words and characters, each with the words it overlaps."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_QUERY = 2_000
"""Characters read; more than the 1,000 that a query may have, so that time is bounded for any text."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_EDGE = "\x02"
_NAME, _NUMBER = "\x03name", "\x03number"

Grams = dict[str, tuple[str, ...]]
"""n-gram -> the words of the query that it overlaps."""


def features(query: str) -> tuple[Grams, Grams]:
    """The word n-grams and the character n-grams of a query (both empty where it has no visible text)."""
    tokens = _TOKEN.findall(unicodedata.normalize("NFKC", query[:LONGEST_QUERY])[:LONGEST_QUERY])
    words = [token.casefold() for token in tokens]
    masked = [
        _NUMBER if token.isdigit() else _NAME if place and token[:1].isupper() else word
        for place, (token, word) in enumerate(zip(tokens, words, strict=True))
    ]
    return _word_grams(words, masked), _character_grams(words)


def _word_grams(words: Sequence[str], masked: Sequence[str]) -> Grams:
    grams: Grams = {word: (word,) for word in words}
    if not words:
        return grams
    for pair in pairwise(words):
        grams[f"{pair[0]} {pair[1]}"] = pair
    ends = [_EDGE, *masked, _EDGE]
    owners = [(), *((word,) for word in words), ()]
    for word, owner in zip(ends, owners, strict=True):
        if owner:
            grams[word] = owner
    for place in range(len(ends) - 1):
        pair_text = f"{ends[place]} {ends[place + 1]}"
        pair_owners = owners[place] + owners[place + 1]
        grams[pair_text] = pair_owners
        if place + 2 < len(ends):
            grams[f"{pair_text} {ends[place + 2]}"] = pair_owners + owners[place + 2]
    return grams


def _character_grams(words: Iterable[str]) -> Grams:
    grams: Grams = {}
    for word in words:
        padded, owner = f" {word} ", (word,)
        for size in (2, 3, 4):
            for start in range(len(padded) - size + 1):
                grams[padded[start : start + size]] = owner
    return grams
