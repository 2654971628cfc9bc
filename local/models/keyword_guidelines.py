"""Weights from the cues of the channel configuration that occur in a query.

The local teacher and the baseline weigh queries this way. The rule is deliberately simple (a count of cues
per channel on top of a prior), so that a linear model can learn most of it. Everything about channels comes
from the channel configuration.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from distillery.task.channels import ChannelConfig
    from distillery.task.weights import Weights

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_SUFFIXES = (
    "erings",
    "ering",
    "ings",
    "ing",
    "iers",
    "ier",
    "ies",
    "ied",
    "ers",
    "ered",
    "ed",
    "er",
    "es",
    "s",
)
_SHORTEST_STEM = 3

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_CAPITAL = "[A-Z\u00c0-\u00d6\u00d8-\u00de]"
NAME = "[proper name]"
_TWO_NAMES = re.compile(rf"\b{_CAPITAL}[\w'\u2019]+ (?:of |the |de |and )?{_CAPITAL}[\w'\u2019]+")
KINDS: Mapping[str, re.Pattern[str]] = {
    "[quoted words]": re.compile(
        r"[\"\u201c][^\"\u201c\u201d]{2,}[\"\u201d]"
        r"|(?<!\w)'[^']{2,}'(?!\w)"
    ),
    "[question]": re.compile(
        r"^(?i:who|whom|what|when|where|why|how|which|whose|does|did|is|can)\b(?! to\b)"
        r"|\?"
    ),
    "[date]": re.compile(
        rf"\b(?:1[89]|20)\d\d(?:s|\b)|\b(?:{_MONTHS}|{_DAYS})\b|\b\d0s\b"
        r"|\b(?:last|past|this) (?:week|weekend|month|year|summer|winter|spring|autumn)\b|\byesterday\b"
    ),
    # two capitalised words in a row, or one that does not open the query
    NAME: re.compile(rf"{_TWO_NAMES.pattern}|(?<=[a-z\u00df-\u00ff] ){_CAPITAL}[^\W\d_]{{2,}}"),
    "[resolution]": re.compile(r"\b(?:\d{3,4}p|[248]k|hdr|full hd|hd|\d{2,3} ?fps)\b", re.IGNORECASE),
    "[duration]": re.compile(
        r"\b(?:\d+|an?|one|two|three|five|ten|half an?)[ -](?:seconds?|minutes?|mins?|hours?)\b",
        re.IGNORECASE,
    ),
    "[episode]": re.compile(
        r"\bs\d{1,2}e\d{1,2}\b|\b(?:season|episode|part|volume|chapter) (?:\d+|one|two|three)\b",
        re.IGNORECASE,
    ),
}
"""Cues in square brackets stand for a kind of text. Each kind has the pattern that recognizes it."""
_ENGLISH: Mapping[str, str] = {
    "acordeón": "accordion",
    "bailando": "dancing",
    "canción": "song",
    "discours": "speech",
    "dokumentarfilm": "documentary",
    "entretien": "interview",
    "episodio": "episode",
    "fahrrad": "bicycle",
    "geräusch": "sound",
    "guitarra": "music",
    "kirchenglocken": "ringing",
    "luftaufnahme": "aerial",
    "nebel": "foggy",
    "neige": "snow",
    "paraguas": "umbrella",
    "película": "film",
    "regen": "rain",
    "ruido": "noise",
    "sagt": "says",
    "schritten": "footsteps",
    "trompeta": "trumpet",
    "violín": "violin",
    "vortrag": "lecture",
    "vue": "view",
    "wellen": "splashing",
}
"""German, Spanish and French words that stand for a cue. A large model knows many more."""
_KIND_STRENGTH = 1.5
_PHRASE_STRENGTH = 2.0
"""A cue of several words ("rain on", "close-up") decides more than one word: it counts as two."""
_MOST_EVIDENCE = 3.0
"""Evidence per channel is capped: a fourth cue for the same channel adds nothing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The result for one query: exact weights (sum 1, not on the grid) and the cues per channel."""

    weights: Weights
    found: dict[str, tuple[str, ...]]


class Guidelines:
    """The cues of a channel configuration, indexed so that one pass over a query finds them."""

    def __init__(self, channel_config: ChannelConfig) -> None:
        self.channel_config = channel_config
        self._kinds: dict[str, list[str]] = {}
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for channel in channel_config.channels:
            for cue in channel.cues:
                if cue in KINDS:
                    self._kinds.setdefault(cue, []).append(channel.name)
                elif stems := tuple(stem(word) for word in words(cue)):
                    self._phrases.setdefault(stems[0], []).append((stems, channel.name))

    def read(self, query: str, *, prior: float = 0.7) -> Reading:
        """Weigh a query. `prior` is the evidence that the fallback weights count for, in cues."""
        evidence = dict.fromkeys(self.channel_config.names, 0.0)
        found: dict[str, list[str]] = {channel: [] for channel in evidence}
        for channel, text, strength in [*self._kinds_in(query), *self._phrases_in(query)]:
            evidence[channel] = min(evidence[channel] + strength, _MOST_EVIDENCE)
            if text not in found[channel]:
                found[channel].append(text)
        scores = {
            channel: prior * self.channel_config.fallback[channel] + evidence[channel] for channel in evidence
        }
        total = math.fsum(scores.values())
        return Reading(
            {channel: score / total for channel, score in scores.items()},
            {channel: tuple(texts) for channel, texts in found.items()},
        )

    def _kinds_in(self, query: str) -> Iterable[tuple[str, str, float]]:
        for kind, channels in self._kinds.items():
            if match := _pattern(kind, query).search(query):
                for channel in channels:
                    yield channel, match[0].strip("\"\u201c\u201d'"), _KIND_STRENGTH

    def _phrases_in(self, query: str) -> Iterable[tuple[str, str, float]]:
        spelled = words(query)
        stems = [stem(_ENGLISH.get(word, word)) for word in spelled]
        at = 0
        while at < len(stems):
            fitting = [
                (phrase, channel)
                for phrase, channel in self._phrases.get(stems[at], ())
                if tuple(stems[at : at + len(phrase)]) == phrase
            ]
            longest = max((len(phrase) for phrase, _ in fitting), default=1)
            for phrase, channel in fitting:
                if len(phrase) == longest:
                    yield (
                        channel,
                        " ".join(spelled[at : at + longest]),
                        _PHRASE_STRENGTH if longest > 1 else 1.0,
                    )
            at += longest


def _pattern(kind: str, query: str) -> re.Pattern[str]:
    """How a kind of thing is recognised in a query."""
    # German writes every noun with a capital letter, so one capital letter does not make a name there.
    if kind == NAME and not _ENGLISH.keys().isdisjoint(words(query)):
        return _TWO_NAMES
    return KINDS[kind]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without possessive endings."""
    return [re.sub(r"['\u2019]s$", "", word) for word in _WORD.findall(text.lower())]


def stem(word: str) -> str:
    """Return one form for the inflections of an English word. Approximate."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and not word.endswith("ss") and len(word) - len(suffix) >= _SHORTEST_STEM:
            word = word.removesuffix(suffix)
            break
    if len(word) > _SHORTEST_STEM and word[-1] == word[-2] != "s":
        word = word[:-1]
    return word.rstrip("ey") if len(word) > _SHORTEST_STEM else word


def on_grid(weights: Mapping[str, float], grid: float) -> dict[str, int]:
    """Round weights to whole steps of the grid by largest remainder. The steps always sum to 1 / grid."""
    steps = round(1 / grid)
    exact = {channel: weight * steps for channel, weight in weights.items()}
    whole = {channel: math.floor(share + 1e-9) for channel, share in exact.items()}
    by_remainder = sorted(exact, key=lambda channel: whole[channel] - exact[channel])
    for channel in by_remainder[: steps - sum(whole.values())]:
        whole[channel] += 1
    return whole


def from_grid(steps: Mapping[str, int], channels: Sequence[str]) -> Weights:
    """Return the weights of whole steps, rounded so that they print as 0.3, not 0.30000001."""
    total = sum(steps.values())
    return {channel: round(steps[channel] / total, 6) for channel in channels}
