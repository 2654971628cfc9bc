"""A reasoning that calls one channel the most important, where the weights say another.

Conservative: a clause counts only when it names exactly one channel, says in one of a few ways that this one
decides, and holds no word that takes it back ("less critical", "not the main"). Words in quotation marks are
the query's, and are not read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Asked first, in every reasoning; most have none of these.
_HINTS = ("most ", "primar", "dominan", "focus", "main", "highest", "predominant", "key")
_QUOTED = re.compile(r"""(?<!\w)'[^']*'(?!\w)|"[^"]*"|“[^”]*”|‘[^’]*’""")  # noqa: RUF001
_CLAUSE_ENDS = r"[.;:]|\b(?:but|while|whereas|although|though|with|so|because|since|followed|over|than)\b"
_TAKEN_BACK = re.compile(
    r"\b(?:not|no|non|nor|neither|never|less|least|lesser|few|fewer|little|minor|minimal|minimally|secondary|"
    r"hardly|barely|rather|instead|without|unlike|lacks?|if|may|might|could|would|unless|almost|also)\b|n't\b"
)
_MOST = (
    r"(?:the )?(?:most (?:important|relevant|critical|decisive|useful|crucial|essential)|"
    r"primary|dominant|main|predominant|key)"
)


class Contradictions:
    """Reads reasonings over the same channels."""

    def __init__(self, channels: Sequence[str]) -> None:
        # A channel `on_screen_text` is written in several ways.
        spelled = {channel.replace("_", " "): channel for channel in channels}
        self._channels = spelled
        names = "|".join(re.escape(name) for name in sorted(spelled, key=len, reverse=True))
        noun = (
            r"(?: (?:channel|channel|content|cues?|elements?|aspects?|information|data|index|search|weight))?"
        )
        channel = rf"\b(?:{names})s?\b"
        mostly = r"(?: is)?(?: mainly| primarily| mostly| largely)?"
        ends = r"(?! (?:for|to|in|when|details?|elements?|words?|terms?|names?|scene|moments?))\b"
        # A comma between channels is one of a list.
        self._ends = re.compile(rf"{_CLAUSE_ENDS}|,(?! (?:and )?(?:{names})\b)")
        self._named = re.compile(rf"\b({names})(?:s|ly)?\b")
        self._says_most = re.compile(
            "|".join(
                (
                    rf"{channel}{noun} (?:is|are|being|becomes?|remains?|as) (?:clearly )?{_MOST}{ends}",
                    rf"\b(?:makes|making) (?:the )?{channel}{noun} (?:as )?{_MOST}{ends}",
                    rf"{_MOST} (?:channel|channel|modality|focus|factor) (?:is|being|on) (?:the )?{channel}",
                    rf"\bfocus(?:es|ed|ing)?{mostly} on (?:the )?{channel}",
                    rf"\bfocus(?:es|ed|ing)?{mostly} on [^()]{{1,60}}\({channel}\)",
                    rf"\b(?:primarily|mainly|mostly|predominantly) (?:an? |the |on )?{channel}",
                    rf"{channel}{noun} (?:gets?|has|receives?|carries) (?:the )?(?:most|highest|largest)\b",
                    rf"\b(?:most|highest|largest) weight (?:is |goes |given )*(?:on|to|for) (?:the )?{channel}",
                    rf"{channel}{noun} dominates?\b",
                )
            )
        )

    def named_most(self, reasoning: str) -> frozenset[str]:
        """The channels that the reasoning calls the most important; mostly none, and then nothing is known."""
        lowered = reasoning.lower()
        for hint in _HINTS:
            if hint in lowered:
                return frozenset(self._named_in_clauses(lowered))
        return frozenset()

    def _named_in_clauses(self, text: str) -> Iterator[str]:
        for clause in self._ends.split(_QUOTED.sub(" ", text).replace("_", " ")):
            tidy = " ".join(clause.split())
            named = {match.group(1) for match in self._named.finditer(tidy)}
            if len(named) == 1 and not _TAKEN_BACK.search(tidy) and self._says_most.search(tidy):
                yield self._channels[named.pop()]
