"""The local teacher inventing queries: it reads what is wanted out of the prompt and combines the cues.

Deterministic for prompt and user turn. A cue in square brackets names a kind of thing and is passed over.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

_WANTED = re.compile(
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
class Invention:
    """What an invention prompt asks for."""

    cues: tuple[str, ...]
    count: int


def invention_of_prompt(system: str) -> Invention | None:
    """What a prompt asks to invent; None for a prompt that asks for something else."""
    found = _WANTED.search(system)
    if found is None:
        return None
    cues = [cue for cue in (found["cues"] or "").split(", ") if cue and not cue.startswith("[")]
    words = cues or re.findall(r"[a-z]{4,}", found["description"])
    return Invention(tuple(words or ["thing"]), int(found["count"]))


def invented_queries(wanted: Invention, user: str) -> list[str]:
    """So many queries made of the cues."""
    rng = random.Random("\x1f".join((*wanted.cues, user)))
    return [
        rng.choice(_FORMS).format(
            one=rng.choice(wanted.cues), two=rng.choice(wanted.cues), place=rng.choice(_PLACES)
        )
        for _ in range(wanted.count)
    ]
