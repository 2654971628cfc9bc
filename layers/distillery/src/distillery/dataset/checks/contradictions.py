"""A reasoning that calls one facet the most important, where the weights say another.

Conservative: a clause counts only when it names exactly one facet, says in one of a few ways that this one
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
    """Reads reasonings over the same facets."""

    def __init__(self, facets: Sequence[str]) -> None:
        # A facet `on_screen_text` is written in several ways.
        spelled = {facet.replace("_", " "): facet for facet in facets}
        self._facets = spelled
        names = "|".join(re.escape(name) for name in sorted(spelled, key=len, reverse=True))
        noun = (
            r"(?: (?:channel|facet|content|cues?|elements?|aspects?|information|data|index|search|weight))?"
        )
        facet = rf"\b(?:{names})s?\b"
        mostly = r"(?: is)?(?: mainly| primarily| mostly| largely)?"
        ends = r"(?! (?:for|to|in|when|details?|elements?|words?|terms?|names?|scene|moments?))\b"
        # A comma between facets is one of a list.
        self._ends = re.compile(rf"{_CLAUSE_ENDS}|,(?! (?:and )?(?:{names})\b)")
        self._named = re.compile(rf"\b({names})(?:s|ly)?\b")
        self._says_most = re.compile(
            "|".join(
                (
                    rf"{facet}{noun} (?:is|are|being|becomes?|remains?|as) (?:clearly )?{_MOST}{ends}",
                    rf"\b(?:makes|making) (?:the )?{facet}{noun} (?:as )?{_MOST}{ends}",
                    rf"{_MOST} (?:channel|facet|modality|focus|factor) (?:is|being|on) (?:the )?{facet}",
                    rf"\bfocus(?:es|ed|ing)?{mostly} on (?:the )?{facet}",
                    rf"\bfocus(?:es|ed|ing)?{mostly} on [^()]{{1,60}}\({facet}\)",
                    rf"\b(?:primarily|mainly|mostly|predominantly) (?:an? |the |on )?{facet}",
                    rf"{facet}{noun} (?:gets?|has|receives?|carries) (?:the )?(?:most|highest|largest)\b",
                    rf"\b(?:most|highest|largest) weight (?:is |goes |given )*(?:on|to|for) (?:the )?{facet}",
                    rf"{facet}{noun} dominates?\b",
                )
            )
        )

    def named_most(self, reasoning: str) -> frozenset[str]:
        """The facets that the reasoning calls the most important; mostly none, and then nothing is known."""
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
                yield self._facets[named.pop()]
