"""Near-duplicate search: finds queries that a person would call copies of each other.

Two queries are near-duplicates if they contain the same numbers in the same order, and if of the trigrams of
their words (compared as sets, so word order, case, punctuation and Unicode encoding do not matter)

- 90 % are common (Jaccard similarity), or
- 75 % are common and the words that only one query has are misspellings of words that only the other has, or
  are additional words: at most one additional word for every four words.

Numbers must be equal because another episode or year is another search. Words are compared because another
name is, too: of the pairs of the shared teacher labels that have 80 % of their trigrams in common, most
differ in one word of a template ("Tom narrating a documentary about machine learning", "Alex narrating ...").

The search is exact, except that at most `MOST_CHECKED` queries have their words compared with those of one
query. For every trigram there is one integer with a bit for each query that has it. Adding such integers bit
by bit counts the trigrams that one query shares with all others at once. The time is bounded by queries x
trigrams x queries / 64 for any input, the memory by 65,536 such integers.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter, defaultdict
from math import ceil
from typing import TYPE_CHECKING

from distillery.dataset.texts import without_ignorable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ALIKE = 0.75
"""Share of common trigrams from which the words are compared."""
EQUAL = 0.9
"""Share of common trigrams that is enough without comparing words."""
WORDS_FOR_ONE_MORE = 4
"""Words that a query must have for each additional word in the other."""
SHORTEST_MISSPELT = 4
"""Characters. In a shorter word, one changed letter makes another word (man, men; cat, car)."""
LONGEST_LOOK = 1_000
"""Characters of a query that are compared. Longer queries are not accepted at inference."""
MOST_CHECKED = 200
"""Queries whose words are compared with those of one query at most; the nearest in alphabetical order."""

_APOSTROPHES = str.maketrans("", "", "'\u2019\u02bc")
_numbers = re.compile(r"\d+").findall


def near_duplicate_clusters(queries: Sequence[str]) -> list[list[int]]:
    """Indexes of queries that are near-duplicates of each other, directly or through others.

    Only clusters of two or more, ordered by their first index. The result does not depend on the order of the
    queries.
    """
    by_numbers: dict[tuple[str, ...], list[tuple[list[str], int]]] = defaultdict(list)
    for index, query in enumerate(queries):
        words = folded_words(query)
        by_numbers[tuple(_numbers(" ".join(words)))].append((words, index))
    clusters = []
    for members in by_numbers.values():
        if len(members) > 1:
            members.sort(key=lambda member: (sorted(member[0]), member[0]))
            indexes = [index for _, index in members]
            found = _Search([words for words, _ in members]).clusters()
            clusters += [sorted(indexes[place] for place in cluster) for cluster in found]
    return sorted(clusters)


def folded_words(query: str) -> list[str]:
    """The query's words without case, punctuation and compatibility forms. Symbols count as letters."""
    text = unicodedata.normalize("NFKC", without_ignorable(query[:LONGEST_LOOK])).casefold()
    text = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
    if text.isascii() and text.replace(" ", "").isalnum():
        return text.split()
    kept = [char if unicodedata.category(char)[0] in "LMNS" else " " for char in text]
    # A query of only punctuation stays as it is.
    return "".join(kept).split() or text.split()


def trigrams(words: Sequence[str]) -> frozenset[int]:
    """The words' trigrams, with word boundaries marked, hashed to numbers below 65,536.

    The hash bounds the memory for texts in which no trigram repeats. Collisions are rare among the thirty or
    so trigrams of an ordinary query.
    """
    found = set()
    for word in words:
        codes = [32, *map(ord, word), 32]
        for first, second, third in zip(codes, codes[1:], codes[2:], strict=False):
            found.add(((first * 0x9E3779B1 ^ second * 0x85EBCA6B ^ third * 0xC2B2AE35) >> 11) & 0xFFFF)
    return frozenset(found)


def same_words(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the words are the same except for misspellings and a few additional words on one side."""
    ours, theirs = Counter(one), Counter(other)
    rest, others = list((ours - theirs).elements()), list((theirs - ours).elements())
    if _misspelt("".join(rest), "".join(others)):  # "slow motion", "slowmotion"
        return True
    if len(rest) > len(others):
        rest, others = others, rest
    additional = len(others) - len(rest)
    if additional * WORDS_FOR_ONE_MORE > min(len(one), len(other)):
        return False
    for word in rest:
        twin = next((candidate for candidate in others if _misspelt(word, candidate)), None)
        if twin is None:
            return False
        others.remove(twin)
    return True


def _misspelt(one: str, other: str) -> bool:
    """Whether the words differ in one letter that was changed, dropped, added or swapped with the next."""
    if min(len(one), len(other)) < SHORTEST_MISSPELT:
        return one == other
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    one, other = one[start:], other[start:]
    end = 0
    while end < min(len(one), len(other)) and one[-1 - end] == other[-1 - end]:
        end += 1
    one, other = one[: len(one) - end], other[: len(other) - end]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


class _Search:
    """Finds the clusters among queries that contain the same numbers."""

    def __init__(self, queries: Sequence[Sequence[str]]) -> None:
        self._queries = queries
        self._trigrams = [array("H", sorted(trigrams(words))) for words in queries]
        self._holders = self._bitsets(self._trigrams)
        by_size: dict[int, list[int]] = defaultdict(list)
        for place, found in enumerate(self._trigrams):
            by_size[len(found)].append(place)
        self._sizes = {size: _bitset(places, len(queries)) for size, places in sorted(by_size.items())}

    @staticmethod
    def _bitsets(trigrams_of: Sequence[array[int]]) -> dict[int, int]:
        """For each trigram, the queries that have it as a bitset."""
        room = len(trigrams_of) // 8 + 1
        made: dict[int, bytearray] = {}
        for place, found in enumerate(trigrams_of):
            byte, bit = place >> 3, 1 << (place & 7)
            for trigram in found:
                holders = made.get(trigram)
                if holders is None:
                    holders = made[trigram] = bytearray(room)
                holders[byte] |= bit
        return {trigram: int.from_bytes(made.pop(trigram), "little") for trigram in list(made)}

    def clusters(self) -> Iterator[list[int]]:
        """Every cluster of two or more queries."""
        left = (1 << len(self._queries)) - 1
        while left:
            first = left.bit_length() - 1
            left ^= 1 << first
            cluster = [first]
            for place in cluster:
                found = self._near(place, left)
                left ^= found
                cluster += _places(found)
            if len(cluster) > 1:
                yield cluster

    def _near(self, place: int, among: int) -> int:
        """The near-duplicates of the query at `place` among some queries (a bitset)."""
        own = self._trigrams[place]
        holders = sorted((self._holders[trigram] for trigram in own), key=int.bit_count)
        # A near-duplicate lacks at most this many trigrams, so it has at least half of any twice as many.
        # Most queries have no candidate that does, and need no further counting.
        lacked = len(own) - ceil(ALIKE * len(own))
        counted = _Sum()
        counted.add(holders[: 2 * lacked])
        among &= counted.at_least(lacked)
        if not among:
            return 0
        counted.add(holders[2 * lacked :])
        equal = self._sharing(EQUAL, counted, len(own), among)
        alike = self._sharing(ALIKE, counted, len(own), among & ~equal)
        for other in _nearest(alike, place):
            if same_words(self._queries[place], self._queries[other]):
                equal |= 1 << other
        return equal

    def _sharing(self, share: float, counted: _Sum, own: int, among: int) -> int:
        """The queries that share at least `share` of the trigrams that either has (a bitset)."""
        found = 0
        for size, queries in self._sizes.items():
            if share * own <= size <= own / share and queries & among:
                # common / (own + size - common) >= share
                common = ceil(share * (own + size) / (1 + share) - 1e-9)
                found |= queries & among & counted.at_least(common)
        return found


class _Sum:
    """Counts, for all bits at once, in how many of the added bitsets each bit is set.

    `_planes[level]` holds the binary digits of value 2 ** level of all counts, as one bitset or as two that
    are not yet added up.
    """

    def __init__(self) -> None:
        self._planes: list[list[int]] = []
        self._known: dict[int, int] = {}

    def add(self, bitsets: Sequence[int]) -> None:
        """Add these bitsets to the counts."""
        self._known.clear()
        for bitset in bitsets:
            self._put(bitset, 0)

    def _put(self, bitset: int, level: int) -> None:
        while True:
            if level == len(self._planes):
                self._planes.append([bitset])
                return
            plane = self._planes[level]
            if len(plane) < 2:
                plane.append(bitset)
                return
            one, other = plane
            differ = one ^ other
            plane[:] = [differ ^ bitset]
            bitset = (one & other) | (differ & bitset)
            level += 1

    def at_least(self, number: int) -> int:
        """The bits that were set at least `number` times; all bits (-1) for a number up to 0."""
        if number <= 0:
            return -1
        if number not in self._known:
            self._settle()
            reached = -1
            for level in range(max(len(self._planes), number.bit_length())):
                plane = self._planes[level][0] if level < len(self._planes) else 0
                # From the lowest digit up: greater in this digit, or equal and large enough below.
                reached = plane & reached if number >> level & 1 else plane | reached
            self._known[number] = reached
        return self._known[number]

    def _settle(self) -> None:
        """Add up the planes that hold two bitsets."""
        level = 0
        while level < len(self._planes):
            plane = self._planes[level]
            if len(plane) == 2:
                one, other = plane
                plane[:] = [one ^ other]
                self._put(one & other, level + 1)
            level += 1


def _bitset(places: Sequence[int], room: int) -> int:
    bits = bytearray(room // 8 + 1)
    for place in places:
        bits[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(bits, "little")


def _places(bitset: int) -> list[int]:
    """The positions of the bits that are set, in ascending order."""
    bits = f"{bitset:b}"[::-1]
    found, place = [], bits.find("1")
    while place >= 0:
        found.append(place)
        place = bits.find("1", place + 1)
    return found


def _nearest(bitset: int, place: int) -> list[int]:
    """The positions of the bits that are set; if there are too many, those nearest to `place`."""
    found = _places(bitset)
    if len(found) > MOST_CHECKED:
        found = sorted(found, key=lambda other: (abs(other - place), other))[:MOST_CHECKED]
    return found
