"""Queries that the local teacher writes: it combines the cues named in the prompt.

The result depends only on the prompt and the user turn. Cues in square brackets stand for a kind of text
and are left out.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

_REQUEST = re.compile(
    r"^You invent .* queries .*^Channel: [a-z][a-z0-9_]*: (?P<description>[^\n]*)\n"
    r"(?:Typical cues: (?P<cues>[^\n]*)\.\n)?(?:Typical queries: (?P<examples>[^\n]*)\.\n)?"
    r".*^Write (?P<count>\d+) queries ",
    re.MULTILINE | re.DOTALL,
)
_FORMS = (
    "{one} and {two} {place}",
    "{one} {place} with {two}",
    "my cousin's {one} {place}, {two} too",
    "anything about {one} {place}",
    "{one} {place} before the {two}",
    "{two}, {one}, {place}",
)
_PLACES = (
    "at the allotment",
    "in the boathouse",
    "on the night ferry",
    "behind the town hall",
    "in an empty stadium",
    "at the bus depot",
    "in grandmother's kitchen",
    "on the ridge",
    "at the quarry",
    "in a lift",
    "under the viaduct",
    "at the repair shop",
)


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """What a query-writing prompt asks for: a number of queries about these cues."""

    cues: tuple[str, ...]
    count: int


def query_request_of_prompt(system: str) -> QueryRequest | None:
    """Parse a query-writing prompt. Returns None for any other prompt."""
    found = _REQUEST.search(system)
    if found is None:
        return None
    cues = [cue for cue in (found["cues"] or "").split(", ") if cue and not cue.startswith("[")]
    words = cues or re.findall(r"[a-z]{4,}", found["description"])
    return QueryRequest(tuple(words or ["thing"]), int(found["count"]))


def write_queries(request: QueryRequest, user: str) -> list[str]:
    """Write the requested number of queries from the cues."""
    rng = random.Random("\x1f".join((*request.cues, user)))
    return [
        rng.choice(_FORMS).format(
            one=rng.choice(request.cues), two=rng.choice(request.cues), place=rng.choice(_PLACES)
        )
        for _ in range(request.count)
    ]
