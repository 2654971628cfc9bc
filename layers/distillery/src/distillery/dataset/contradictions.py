"""Finds the channel that a reasoning calls the most important, to compare it with the weights.

The search is conservative: a clause counts only if it names exactly one channel, calls it the most important
in one of a few known phrases, and has no word that negates or weakens this ("less critical", "not the main").
Quoted words belong to the query and are ignored.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from distillery.earlier_names import CHANNEL_WORD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Searched first, because most reasonings contain none of these and need no further search.
_HINTS = ("most ", "primar", "dominan", "focus", "main", "highest", "predominant", "key")
_QUOTED = re.compile(r"""(?<!\w)'[^']*'(?!\w)|"[^"]*"|“[^”]*”|‘[^’]*’""")  # noqa: RUF001
_CLAUSE_ENDS = r"[.;:]|\b(?:but|while|whereas|although|though|with|so|because|since|followed|over|than)\b"
_NEGATED = re.compile(
    r"\b(?:not|no|non|nor|neither|never|less|least|lesser|few|fewer|little|minor|minimal|minimally|secondary|"
    r"hardly|barely|rather|instead|without|unlike|lacks?|if|may|might|could|would|unless|almost|also)\b|n't\b"
)
_MOST = (
    r"(?:the )?(?:most (?:important|relevant|critical|decisive|useful|crucial|essential)|"
    r"primary|dominant|main|predominant|key)"
)


class Contradictions:
    """Reads reasonings about the same channels."""

    def __init__(self, channels: Sequence[str]) -> None:
        # Reasonings write the channel `on_screen_text` with spaces, too.
        spelled = {channel.replace("_", " "): channel for channel in channels}
        self._channels = spelled
        names = "|".join(re.escape(name) for name in sorted(spelled, key=len, reverse=True))
        noun = (
            rf"(?: (?:channel|{CHANNEL_WORD}|content|cues?|elements?|aspects?|information|data|index|search|"
            r"weight))?"
        )
        channel = rf"\b(?:{names})s?\b"
        onto, given = r"(?:is|being|on) ", r"(?:is |goes |given )*(?:on|to|for) "
        mostly = r"(?: is)?(?: mainly| primarily| mostly| largely)?"
        ends = r"(?! (?:for|to|in|when|details?|elements?|words?|terms?|names?|scene|moments?))\b"
        # A comma between two channels separates items of a list, not clauses.
        self._ends = re.compile(rf"{_CLAUSE_ENDS}|,(?! (?:and )?(?:{names})\b)")
        self._named = re.compile(rf"\b({names})(?:s|ly)?\b")
        self._says_most = re.compile(
            "|".join(
                (
                    rf"{channel}{noun} (?:is|are|being|becomes?|remains?|as) (?:clearly )?{_MOST}{ends}",
                    rf"\b(?:makes|making) (?:the )?{channel}{noun} (?:as )?{_MOST}{ends}",
                    rf"{_MOST} (?:channel|{CHANNEL_WORD}|modality|focus|factor) {onto}(?:the )?{channel}",
                    rf"\bfocus(?:es|ed|ing)?{mostly} on (?:the )?{channel}",
                    rf"\bfocus(?:es|ed|ing)?{mostly} on [^()]{{1,60}}\({channel}\)",
                    rf"\b(?:primarily|mainly|mostly|predominantly) (?:an? |the |on )?{channel}",
                    rf"{channel}{noun} (?:gets?|has|receives?|carries) (?:the )?(?:most|highest|largest)\b",
                    rf"\b(?:most|highest|largest) weight {given}(?:the )?{channel}",
                    rf"{channel}{noun} dominates?\b",
                )
            )
        )

    def named_most(self, reasoning: str) -> frozenset[str]:
        """The channels that the reasoning calls the most important; usually none is found."""
        lowered = reasoning.lower()
        for hint in _HINTS:
            if hint in lowered:
                return frozenset(self._named_in_clauses(lowered))
        return frozenset()

    def _named_in_clauses(self, text: str) -> Iterator[str]:
        for part in self._ends.split(_QUOTED.sub(" ", text).replace("_", " ")):
            clause = " ".join(part.split())
            named = {match.group(1) for match in self._named.finditer(clause)}
            if len(named) == 1 and not _NEGATED.search(clause) and self._says_most.search(clause):
                yield self._channels[named.pop()]
