"""Planning a generation: the queries that a spec asks for, the same on every machine for the same spec.

Channels and hard cases are shared out exactly (largest remainder); queries are drawn until all are distinct and
no more of them are near-duplicates of others than the spec allows. Drawing always ends: when the material has no
more to give, the spec is refused with a sentence.
"""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from distillery import earlier_names
from distillery.dataset.near_duplicates import near_duplicate_clusters
from distillery.dataset.records import MAX_QUERY_CHARACTERS
from distillery.dataset.split import query_key
from distillery.dataset.texts import RESERVED
from distillery.earlier_names import renamed
from distillery.errors import BadInput
from distillery.generation.spec import OTHER, QUERY, SLOT, WORN, Hard, check_against

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from distillery.generation.spec import Spec
    from distillery.task.channels import ChannelConfig

TEACHER = "teacher"
"""The template group of queries that the teacher invented."""
TRIES = 100
"""Draws without a new query after which a template group is taken to be used up."""
ROUNDS = 20
"""How often near-duplicates are drawn anew."""
MORE_MATERIAL = (
    "Add words or templates, ask for fewer records or less oversample, or allow more near_duplicates."
)
_LONG_WORD = re.compile(r"\b[^\W\d_]{6,}\b")
_A_BEFORE_VOWEL = re.compile(r"\ba (?!uni)(?=[aeiou])")
_LIST = re.compile(r"\[.*\]", re.DOTALL)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Planned:
    """A query to be labelled; `hard` names the hard case that it is, if any."""

    number: int
    query: str
    template_group: str
    channel: str
    hard: str | None = None


def plan(
    spec: Spec, channel_config: ChannelConfig, invented: Mapping[str, Sequence[str]] | None = None
) -> list[Planned]:
    """Every query to be labelled, in the order of their numbers; `spec.planned` of them at most.

    `invented` holds the teacher's own queries by channel, at most as many as `to_invent` says; they pass the
    same checks as all others, and those that fail are left out. Raises BadInput when the material is too
    little for so many distinct queries.
    """
    check_against(spec, channel_config)
    places = _places(spec)
    drawer = _Drawer(spec)
    drawn = [
        Planned(0, query, TEACHER, channel)
        for channel, count in to_invent(spec).items()
        for query in drawer.accepted((invented or {}).get(channel, ()), count)
    ]
    drawn += [drawer.draw(place) for place in places]
    drawn = _without_near_duplicates(drawn, drawer, spec)
    drawer.rng.shuffle(drawn)
    return [replace(one, number=number) for number, one in enumerate(drawn, start=1)]


def to_invent(spec: Spec) -> dict[str, int]:
    """How many queries the teacher may invent, by channel."""
    return apportion(spec.mix, round(spec.teacher_queries * spec.planned))


def apportion(shares: Mapping[T, float], total: int) -> dict[T, int]:
    """Whole numbers in proportion to the shares that sum to `total`, by largest remainder."""
    whole = math.fsum(shares.values())
    if not whole:
        return dict.fromkeys(shares, 0)
    exact = {key: share / whole * total for key, share in shares.items()}
    counts = {key: math.floor(count + 1e-9) for key, count in exact.items()}
    by_remainder = sorted(exact, key=lambda key: counts[key] - exact[key])
    for key in by_remainder[: total - sum(counts.values())]:
        counts[key] += 1
    return counts


def near_duplicates(queries: Sequence[str]) -> list[int]:
    """Indexes of the queries that are near-duplicates of an earlier one."""
    return sorted(index for cluster in near_duplicate_clusters(queries) for index in sorted(cluster)[1:])


def dump_plan(planned: Iterable[Planned]) -> bytes:
    """The plan as JSON lines."""
    return "".join(f"{json.dumps(asdict(one), ensure_ascii=False)}\n" for one in planned).encode()


def load_plan(content: bytes) -> list[Planned]:
    """What `dump_plan` wrote."""
    return [
        Planned(**renamed(json.loads(line), earlier_names.PLANNED))
        for line in content.decode().split("\n")
        if line
    ]


def parse_invented(text: str) -> list[str]:
    """The queries that a model wrote as a JSON list of strings, with or without prose around; else none."""
    found = _LIST.search(text)
    try:
        content: Any = json.loads(found[0]) if found else []
    except (ValueError, RecursionError):
        return []
    return [entry.strip() for entry in content if isinstance(entry, str) and entry.strip()]


@dataclass(frozen=True, slots=True)
class _Place:
    """A query that is still to be drawn."""

    channel: str
    hard: Hard | None
    template_group: str


def _places(spec: Spec) -> list[_Place]:
    """What is to be drawn, shared out over channels, hard cases and template groups."""
    invented = to_invent(spec)
    left = {
        channel: count - invented[channel] for channel, count in apportion(spec.mix, spec.planned).items()
    }
    hard: dict[Hard | None, float] = {case: spec.hard.of(case) for case in Hard}
    hard[None] = max(0.0, 1 - math.fsum(hard.values()))
    counts = apportion(hard, spec.planned)
    places = []
    for case in Hard:
        able = {
            channel: left[channel] for channel in left if case in WORN or spec.templates_of(case, channel)
        }
        if sum(able.values()) < counts[case]:
            raise BadInput(
                f"hard.{case.value} asks for {counts[case]} queries, and its material is for channels that "
                f"have {sum(able.values())} left.",
                fix="Give it material for more channels, or a smaller share.",
            )
        for channel, count in apportion(able, counts[case]).items():
            left[channel] -= count
            places += _by_template_group(spec, channel, case, count)
    for channel, count in left.items():
        places += _by_template_group(spec, channel, None, count)
    return places


def _by_template_group(spec: Spec, channel: str, case: Hard | None, count: int) -> list[_Place]:
    if case and case not in WORN:
        return [_Place(channel, case, case.value)] * count
    shares = {
        name: template_group.share
        for name, template_group in spec.template_groups.items()
        if template_group.channel == channel
    }
    counts = apportion(shares, count)
    return [_Place(channel, case, name) for name in shares for _ in range(counts[name])]


def _without_near_duplicates(drawn: list[Planned], drawer: _Drawer, spec: Spec) -> list[Planned]:
    """The queries with near-duplicates beyond the limit drawn anew; the teacher's are left out instead."""
    most = math.floor(spec.near_duplicates * spec.planned + 1e-9)
    for _ in range(ROUNDS):
        beyond = near_duplicates([one.query for one in drawn])[most:]
        if not beyond:
            return drawn
        again = [drawn[index] for index in beyond if drawn[index].template_group != TEACHER]
        refused = frozenset(beyond)
        drawn = [one for index, one in enumerate(drawn) if index not in refused]
        drawn += [
            drawer.draw(_Place(one.channel, Hard(one.hard) if one.hard else None, one.template_group))
            for one in again
        ]
    raise BadInput(
        f"The spec's material gives too few queries that are no near-duplicates of each other: of "
        f"{spec.planned} planned, {len(beyond)} remain beyond what near_duplicates allows.",
        fix=MORE_MATERIAL,
    )


class _Drawer:
    """Draws queries that were not drawn before."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.rng = random.Random(f"{spec.seed}")  # noqa: S311 (drawing, and the same for the same spec)
        self._taken: set[bytes] = set()
        self._used_up: set[tuple[str, Hard | None]] = set()

    def accepted(self, queries: Iterable[str], most: int) -> list[str]:
        """The first of somebody else's queries that may be used."""
        return [query for query in queries if self._take(query)][:most]

    def draw(self, place: _Place) -> Planned:
        """A query for a place, of another template group of its channel where its own is used up."""
        for template_group in self._template_groups(place):
            query = self._new(place, template_group)
            if query is not None:
                return Planned(
                    0, query, template_group, place.channel, place.hard.value if place.hard else None
                )
        kind = f" as {place.hard.value}" if place.hard else ""
        raise BadInput(
            f"The spec's material is too little: no further distinct query can be made for "
            f"{place.channel!r}{kind}, and {self._spec.planned} are wanted in all.",
            fix=MORE_MATERIAL,
        )

    def _template_groups(self, place: _Place) -> list[str]:
        if place.hard and place.hard not in WORN:
            return [place.template_group]
        others = [name for name in self._of_channel(place.channel) if name != place.template_group]
        return [place.template_group, *others]

    def _new(self, place: _Place, template_group: str) -> str | None:
        if (f"{place.channel}/{template_group}", place.hard) in self._used_up:
            return None
        for _ in range(TRIES):
            query = self._query(place, template_group)
            if self._take(query):
                return query
        self._used_up.add((f"{place.channel}/{template_group}", place.hard))
        return None

    def _take(self, query: str) -> bool:
        key = query_key(query)
        fits = bool(query.strip()) and len(query) <= MAX_QUERY_CHARACTERS
        # Words that are harmless apart can make a reserved string together.
        if key in self._taken or not fits or any(word.lower() in query.lower() for word in RESERVED):
            return False
        self._taken.add(key)
        return True

    def _query(self, place: _Place, template_group: str) -> str:
        match place.hard:
            case None:
                return self._ordinary(template_group)
            case Hard.TYPOS:
                return _with_typo(self._ordinary(template_group), self.rng)
            case Hard.LOWER_CASE:
                return self._with_capitals(template_group).lower()
            case hard:
                return self._of_material(hard, place.channel)

    def _ordinary(self, template_group: str) -> str:
        return _in_english(
            self._filled(self.rng.choice(self._spec.template_groups[template_group].templates))
        )

    def _with_capitals(self, template_group: str) -> str:
        """An ordinary query that lower case changes, where the template group has any."""
        for _ in range(TRIES):
            query = self._ordinary(template_group)
            if query.lower() != query:
                break
        return query

    def _of_material(self, hard: Hard, channel: str) -> str:
        def whole(slot: re.Match[str]) -> str:
            if slot[1] not in {QUERY, OTHER}:
                return slot[0]
            return self._ordinary(
                self._any_template_group(channel if slot[1] == QUERY else self._other(channel))
            )

        template = self.rng.choice(self._spec.templates_of(hard, channel))
        query = self._filled(SLOT.sub(whole, template))
        return query if hard is Hard.OTHER_LANGUAGES else _in_english(query)

    def _any_template_group(self, channel: str) -> str:
        names = self._of_channel(channel)
        return self.rng.choices(names, [self._spec.template_groups[name].share for name in names])[0]

    def _other(self, channel: str) -> str:
        others = [name for name, share in self._spec.mix.items() if share and name != channel]
        return self.rng.choice(others) if others else channel

    def _of_channel(self, channel: str) -> list[str]:
        return [
            name
            for name, template_group in self._spec.template_groups.items()
            if template_group.channel == channel
        ]

    def _filled(self, text: str) -> str:
        """The text with every slot drawn; empty when it grows beyond any query."""
        while SLOT.search(text):
            if len(text) > 4 * MAX_QUERY_CHARACTERS:
                return ""
            text = SLOT.sub(lambda slot: self.rng.choice(self._spec.words[slot[1]]), text)
        return " ".join(text.split())


def _in_english(text: str) -> str:
    return _A_BEFORE_VOWEL.sub("an ", text)


def _with_typo(query: str, rng: random.Random) -> str:
    """Two neighbouring letters of a long word swapped; empty where there is none to swap."""
    words = list(_LONG_WORD.finditer(query))
    if not words:
        return ""
    at = rng.choice(words).start() + rng.randrange(1, 4)
    worn = query[:at] + query[at + 1] + query[at] + query[at + 2 :]
    return worn if worn != query else ""
