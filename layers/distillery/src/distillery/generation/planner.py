"""Plans the queries of a generation. The same spec gives the same queries on every machine.

Channels and hard cases get exactly their shares (largest remainder method); a hard case whose material is
exhausted gets fewer, and ordinary queries of the same channels take their place. Queries are drawn at random,
from the spec's seed, until all are distinct and at most the allowed share are near-duplicates of others. The
number of draws is bounded: when the material is too little, the spec is refused with BadInput.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from distillery import earlier_names
from distillery.dataset.near_duplicates import near_duplicate_clusters
from distillery.dataset.records import MAX_QUERY_CHARACTERS
from distillery.dataset.split import query_key
from distillery.dataset.texts import RESERVED
from distillery.earlier_names import renamed
from distillery.errors import BadInput
from distillery.generation.spec import OTHER, QUERY, RESPELLED, SLOT, Hard, check_channels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from distillery.generation.spec import Spec
    from distillery.task.channels import ChannelConfig

TEACHER = "teacher"
"""The template group of teacher-written queries."""
TRIES = 100
"""Draws without a new query after which a template group counts as exhausted."""
ROUNDS = 20
"""How often near-duplicates are replaced by new draws."""
_MORE_MATERIAL = "Add words or templates, lower records or oversample, or raise near_duplicates."
_LONG_WORD = re.compile(r"\b[^\W\d_]{6,}\b")
_A_BEFORE_VOWEL = re.compile(r"\ba (?!uni)(?=[aeiou])")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Planned:
    """A query to be labelled; `hard` names its hard case, if it is one."""

    number: int
    query: str
    template_group: str
    channel: str
    hard: str | None = None


def plan(
    spec: Spec, channel_config: ChannelConfig, teacher_written: Mapping[str, Sequence[str]] | None = None
) -> list[Planned]:
    """Every query to be labelled, in the order of their numbers; at most `spec.planned` queries.

    `teacher_written` has the queries that the teacher wrote, by channel. The counts of `teacher_query_counts`
    limit how many are used. They pass the same checks as all others; a query that fails one is left out.
    Raises BadInput when the material does not give enough distinct queries.
    """
    check_channels(spec, channel_config)
    requests = _requests(spec)
    sampler = _QuerySampler(spec)
    planned = [
        Planned(0, query, TEACHER, channel)
        for channel, count in teacher_query_counts(spec).items()
        for query in sampler.accept((teacher_written or {}).get(channel, ()), count)
    ]
    planned += [sampler.draw(request) for request in requests]
    planned = _without_near_duplicates(planned, sampler, spec)
    sampler.rng.shuffle(planned)
    return [replace(one, number=number) for number, one in enumerate(planned, start=1)]


def exhausted_cases(planned: Iterable[Planned], spec: Spec) -> list[str]:
    """One sentence for each hard case that has fewer queries than the spec asks for."""
    hard: dict[Hard | None, float] = {case: spec.hard.of(case) for case in Hard}
    wanted = apportion(hard | {None: max(0.0, 1 - math.fsum(hard.values()))}, spec.planned)
    made = Counter(one.hard for one in planned)
    return [
        f"hard.{case.value} has {made[case.value]:,} of {wanted[case]:,} queries, because its material is "
        "exhausted; ordinary queries take the place of the others."
        for case in Hard
        if made[case.value] < wanted[case]
    ]


def teacher_query_counts(spec: Spec) -> dict[str, int]:
    """How many queries the teacher may write, by channel."""
    return apportion(spec.mix, round(spec.teacher_queries * spec.planned))


def apportion(shares: Mapping[T, float], total: int) -> dict[T, int]:
    """Whole numbers in proportion to the shares, with the sum `total` (largest remainder method)."""
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
    """The plan that `dump_plan` wrote."""
    return [
        Planned(**renamed(json.loads(line), earlier_names.PLANNED))
        for line in content.decode().split("\n")
        if line
    ]


@dataclass(frozen=True, slots=True)
class _Request:
    """A query to be drawn: its channel, its hard case and the template group to prefer."""

    channel: str
    hard: Hard | None
    template_group: str


def _requests(spec: Spec) -> list[_Request]:
    """One request for each query that the teacher does not write, with the spec's shares."""
    teacher_written = teacher_query_counts(spec)
    left = {
        channel: count - teacher_written[channel]
        for channel, count in apportion(spec.mix, spec.planned).items()
    }
    hard: dict[Hard | None, float] = {case: spec.hard.of(case) for case in Hard}
    hard[None] = max(0.0, 1 - math.fsum(hard.values()))
    counts = apportion(hard, spec.planned)
    requests = []
    for case in Hard:
        able = {
            channel: left[channel]
            for channel in left
            if case in RESPELLED or spec.templates_of(case, channel)
        }
        if sum(able.values()) < counts[case]:
            raise BadInput(
                f"hard.{case.value} needs {counts[case]} queries, but the channels that have material for it "
                f"have only {sum(able.values())} queries left.",
                fix="Add material for more channels, or lower the share.",
            )
        for channel, count in apportion(able, counts[case]).items():
            left[channel] -= count
            requests += _by_template_group(spec, channel, case, count)
    for channel, count in left.items():
        requests += _by_template_group(spec, channel, None, count)
    return requests


def _by_template_group(spec: Spec, channel: str, case: Hard | None, count: int) -> list[_Request]:
    if case and case not in RESPELLED:
        return [_Request(channel, case, case.value)] * count
    shares = {
        name: template_group.share
        for name, template_group in spec.template_groups.items()
        if template_group.channel == channel
    }
    counts = apportion(shares, count)
    return [_Request(channel, case, name) for name in shares for _ in range(counts[name])]


def _without_near_duplicates(planned: list[Planned], sampler: _QuerySampler, spec: Spec) -> list[Planned]:
    """Replace the near-duplicates beyond the limit by new draws; teacher-written ones are dropped instead."""
    limit = math.floor(spec.near_duplicates * spec.planned + 1e-9)
    for _ in range(ROUNDS):
        beyond = near_duplicates([one.query for one in planned])[limit:]
        if not beyond:
            return planned
        again = [planned[index] for index in beyond if planned[index].template_group != TEACHER]
        refused = frozenset(beyond)
        planned = [one for index, one in enumerate(planned) if index not in refused]
        planned += [
            sampler.draw(_Request(one.channel, Hard(one.hard) if one.hard else None, one.template_group))
            for one in again
        ]
    raise BadInput(
        f"The spec's material gives too few queries that are not near-duplicates of each other: of "
        f"{spec.planned} planned queries, {len(beyond)} exceed the share that near_duplicates allows.",
        fix=_MORE_MATERIAL,
    )


class _QuerySampler:
    """Draws queries from the spec's templates and words, each query once."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.rng = random.Random(f"{spec.seed}")  # noqa: S311 (not for cryptography; reproducible)
        self._taken: set[bytes] = set()
        self._exhausted: set[tuple[str, Hard | None]] = set()

    def accept(self, queries: Iterable[str], limit: int) -> list[str]:
        """The first queries of a list that pass the checks, at most `limit`."""
        return [query for query in queries if self._take(query)][:limit]

    def draw(self, request: _Request) -> Planned:
        """A new query for a request, from another template group of the channel if its own is exhausted.

        When a hard case is exhausted, the query is an ordinary one of the channel.
        """
        hard = request.hard.value if request.hard else None
        for template_group in self._template_groups(request):
            query = self._new(request, template_group)
            if query is not None:
                return Planned(0, query, template_group, request.channel, hard)
        if request.hard:
            return self.draw(_Request(request.channel, None, self._any_template_group(request.channel)))
        raise BadInput(
            f"The spec's material is too little: no further distinct query can be made for "
            f"{request.channel!r}, and {self._spec.planned} queries are needed in all.",
            fix=_MORE_MATERIAL,
        )

    def _template_groups(self, request: _Request) -> list[str]:
        if request.hard and request.hard not in RESPELLED:
            return [request.template_group]
        others = [name for name in self._of_channel(request.channel) if name != request.template_group]
        return [request.template_group, *others]

    def _new(self, request: _Request, template_group: str) -> str | None:
        if (f"{request.channel}/{template_group}", request.hard) in self._exhausted:
            return None
        for _ in range(TRIES):
            query = self._query(request, template_group)
            if self._take(query):
                return query
        self._exhausted.add((f"{request.channel}/{template_group}", request.hard))
        return None

    def _take(self, query: str) -> bool:
        key = query_key(query)
        fits = bool(query.strip()) and len(query) <= MAX_QUERY_CHARACTERS
        # Words that are allowed alone can form a reserved string together.
        if key in self._taken or not fits or any(word.lower() in query.lower() for word in RESERVED):
            return False
        self._taken.add(key)
        return True

    def _query(self, request: _Request, template_group: str) -> str:
        match request.hard:
            case None:
                return self._ordinary(template_group)
            case Hard.TYPOS:
                return _with_typo(self._ordinary(template_group), self.rng)
            case Hard.LOWER_CASE:
                return self._with_capitals(template_group).lower()
            case hard:
                return self._of_material(hard, request.channel)

    def _ordinary(self, template_group: str) -> str:
        return _with_an(
            self._fill_slots(self.rng.choice(self._spec.template_groups[template_group].templates))
        )

    def _with_capitals(self, template_group: str) -> str:
        """An ordinary query with capital letters, if the template group has one."""
        for _ in range(TRIES):
            query = self._ordinary(template_group)
            if query.lower() != query:
                break
        return query

    def _of_material(self, hard: Hard, channel: str) -> str:
        def whole_query(slot: re.Match[str]) -> str:
            if slot[1] not in {QUERY, OTHER}:
                return slot[0]
            return self._ordinary(
                self._any_template_group(channel if slot[1] == QUERY else self._other(channel))
            )

        template = self.rng.choice(self._spec.templates_of(hard, channel))
        query = self._fill_slots(SLOT.sub(whole_query, template))
        return query if hard is Hard.OTHER_LANGUAGES else _with_an(query)

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

    def _fill_slots(self, text: str) -> str:
        """The text with every slot replaced by a random word; empty if it exceeds four times the limit."""
        while SLOT.search(text):
            if len(text) > 4 * MAX_QUERY_CHARACTERS:
                return ""
            text = SLOT.sub(lambda slot: self.rng.choice(self._spec.words[slot[1]]), text)
        return " ".join(text.split())


def _with_an(text: str) -> str:
    """The text with "an" in place of "a" before a vowel."""
    return _A_BEFORE_VOWEL.sub("an ", text)


def _with_typo(query: str, rng: random.Random) -> str:
    """The query with two neighbouring letters of a long word swapped; empty if it has no long word."""
    words = list(_LONG_WORD.finditer(query))
    if not words:
        return ""
    at = rng.choice(words).start() + rng.randrange(1, 4)
    misspelled = query[:at] + query[at + 1] + query[at] + query[at + 2 :]
    return misspelled if misspelled != query else ""
