"""Chooses the holdout: whole clusters of near-duplicates, in the dataset's mix of channels, chosen by hash.

A unit is a cluster of near-duplicates, or a query that has none. A unit is never divided. Units are ordered
by the hash of their normalised text. For each dominant channel, the holdout takes units from the low end of
this order until it has the channel's proportional number of records. The choice depends neither on the order
of the lines nor on anything else in the dataset. When records are added, the cuts move a little along the
order: queries near a cut change sides, all others stay. Queries that the caller names as held out before stay
held out.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from distillery.dataset.texts import without_ignorable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

MIN_TRAINING_RECORDS = 100
"""Bedrock rejects a distillation job with fewer."""

Reference = Literal["labels", "teacher"]


@dataclass(slots=True)
class Group:
    """The records of one query; `dominants` counts the dominant channels of the labelled ones."""

    records: int = 0
    labelled: int = 0
    dominants: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Split:
    """The queries that are held out.

    `reference` says what the model's answers on the holdout are compared with: labels, or the teacher's
    answers. `set_aside` is False if the held-out queries are trained on as well. `wanted` is the size in
    records that the rules request, `aim` what remains of it when 100 records are kept for training, `held`
    the actual size. `strata` maps each dominant channel to its (requested, actual) records. `left_out` are
    neither trained on nor held out: unlabelled near-duplicates of held-out queries, and queries held out
    before that the largest holdout has no room for. `kept` is the number of held-out queries that were held
    out before.
    """

    queries: frozenset[bytes]
    reference: Reference
    set_aside: bool
    wanted: int
    aim: int = 0
    held: int = 0
    strata: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    left_out: frozenset[bytes] = frozenset()
    kept: int = 0


def query_key(query: str) -> bytes:
    """A key of 16 bytes that is equal for queries that differ only in case, spacing or Unicode form.

    Characters that nobody sees do not count either, unless the query has no others.
    """
    folded = query.casefold() if query.isascii() else _folded(query)
    # Records never contain half of a surrogate pair, but other callers' texts may, and it cannot be encoded.
    text = " ".join(folded.split()).encode(errors="surrogatepass")
    return hashlib.sha256(text).digest()[:16]


def _folded(text: str) -> str:
    """Unicode's compatibility caseless form (definition D146 of the standard's section 3.13)."""
    folded = unicodedata.normalize("NFD", without_ignorable(text) or text).casefold()
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return unicodedata.normalize("NFKD", folded)


class _Unit(NamedTuple):
    """Queries that stay together: the lowest key, the fully labelled queries, the others.

    `size` counts the records of the labelled queries, `channel` is their most frequent dominant channel.
    """

    key: bytes
    measured: tuple[bytes, ...]
    others: tuple[bytes, ...]
    size: int
    channel: str


def plan_split(
    groups: Mapping[bytes, Group],
    *,
    clusters: Iterable[Collection[bytes]] = (),
    held_before: Collection[bytes] = (),
    share: float,
    least: int,
    most: int,
) -> Split:
    """Choose the holdout: `share` of the labelled records, at least `least` and at most `most`.

    With enough labels, only units whose records are all labelled are held out, and at least 100 records are
    kept for training. A smaller dataset gets a smaller holdout; if no records can be held out, the holdout is
    trained on as well. The size is the nearest that whole units add up to.

    If the holdout would take more than half of the labels, all records are trained on, and the holdout is a
    set of prompts (each query counts once) whose answers are compared with the teacher's.

    The units of the queries in `held_before` are held out first, in the order of their hashes, up to `most`
    records. The other such units, and the unlabelled queries of all of them, are neither trained on nor held
    out.
    """
    before = frozenset(held_before) & groups.keys()
    labelled = sum(group.records for group in groups.values() if _complete(group))
    wanted = _clamp(round(share * labelled), least, most)
    if 2 * wanted > labelled:
        wanted = _clamp(round(share * len(groups)), least, most)
        kept_prompts = sorted(before)[:most]
        others = sorted(groups.keys() - before)[: max(wanted - len(kept_prompts), 0)]
        prompts = frozenset([*kept_prompts, *others])
        return Split(prompts, "teacher", False, wanted, aim=wanted, held=len(prompts), kept=len(kept_prompts))
    units = _units(groups, clusters)
    kept = [unit for unit in units if not before.isdisjoint((*unit.measured, *unit.others))]
    names = {unit.key for unit in kept}
    kept, beyond = _up_to(most, kept)
    free = [unit for unit in units if unit.key not in names and unit.measured and not unit.others]
    left_out = frozenset(key for unit in kept for key in unit.others).union(
        key for unit in beyond for key in (*unit.measured, *unit.others)
    )
    trained_at_most = sum(group.records for key, group in groups.items() if key not in left_out)
    available = trained_at_most - MIN_TRAINING_RECORDS
    aim = min(wanted, available)
    # A query with more records than `most` is better than an empty holdout.
    largest_size = max(most, min((unit.size for unit in (*kept, *free)), default=0))
    strata, chosen = _chosen(kept, free, aim, min(available, largest_size))
    set_aside = 0 < _size(chosen) <= available
    if not set_aside:
        aim, left_out = wanted, frozenset()
        strata, chosen = _chosen(kept, free, aim, labelled)
    held = Counter[str]()
    for unit in chosen:
        held[unit.channel] += unit.size
    return Split(
        frozenset(key for unit in chosen for key in unit.measured),
        "labels",
        set_aside,
        wanted,
        aim=aim,
        held=held.total(),
        strata={channel: (quota, held[channel]) for channel, quota in strata.items()},
        left_out=left_out,
        kept=sum(not before.isdisjoint([key]) for unit in kept for key in unit.measured),
    )


def _complete(group: Group) -> bool:
    return 0 < group.labelled == group.records


def _units(groups: Mapping[bytes, Group], clusters: Iterable[Collection[bytes]]) -> list[_Unit]:
    """Every query in exactly one unit, ordered by key."""
    together = [sorted(groups.keys() & set(cluster)) for cluster in clusters]
    clustered = {key for keys in together for key in keys}
    together += [[key] for key in groups if key not in clustered]
    return sorted((_unit(groups, keys) for keys in together if keys), key=lambda unit: unit.key)


def _unit(groups: Mapping[bytes, Group], keys: Sequence[bytes]) -> _Unit:
    group = groups[keys[0]]
    if len(keys) == 1 and len(group.dominants) == 1 and _complete(group):
        # The common case, handled without adding up counters.
        return _Unit(keys[0], (keys[0],), (), group.records, next(iter(group.dominants)))
    measured = tuple(key for key in keys if _complete(groups[key]))
    dominants = sum((groups[key].dominants for key in measured), Counter[str]())
    # A tie goes to the first channel by name, so that the order of the lines does not matter.
    channel = min(dominants, key=lambda channel: (-dominants[channel], channel), default="")
    others = tuple(key for key in keys if key not in measured)
    return _Unit(keys[0], measured, others, sum(groups[key].records for key in measured), channel)


def _quotas(units: Iterable[_Unit], aim: int) -> dict[str, int]:
    """Each dominant channel's share of `aim` records, rounded by the largest remainder method."""
    sizes = Counter[str]()
    for unit in units:
        sizes[unit.channel] += unit.size
    total = sizes.total()
    aim = max(min(aim, total), 0)
    quotas = {channel: aim * size // total for channel, size in sorted(sizes.items()) if size}
    by_remainder = sorted(quotas, key=lambda channel: (-(aim * sizes[channel] % total), channel))
    for channel in by_remainder[: aim - sum(quotas.values())]:
        quotas[channel] += 1
    return quotas


def _chosen(
    kept: Sequence[_Unit], free: Sequence[_Unit], aim: int, most: int
) -> tuple[dict[str, int], list[_Unit]]:
    """Each channel's quota, and the kept units with as many free ones as make up `aim` records.

    If the first units of each channel do not add up to `aim`, as few as possible of them are replaced by
    others.
    """
    quotas = _quotas([*kept, *free], aim)
    room = Counter(quotas)
    for unit in kept:
        room[unit.channel] -= unit.size
    first, rest = [], []
    for unit in free:
        if unit.size <= room[unit.channel]:
            room[unit.channel] -= unit.size
            first.append(unit)
        else:
            rest.append(unit)
    missing = aim - _size(kept)
    if _size(first) != missing:
        rest.sort(key=lambda unit: (-room[unit.channel], unit.key))
        # One record too many is better than an empty holdout.
        first = _adding_up(first, rest, missing, most - _size(kept), least=0 if kept else 1)
    return quotas, [*kept, *first]


def _adding_up(
    first: Sequence[_Unit], rest: Sequence[_Unit], wanted: int, most: int, *, least: int
) -> list[_Unit]:
    """Units whose records sum to `wanted`, or as near to it as possible from `least` to `most`; else none.

    Among such choices, units of `first` are preferred, then the first ones of `rest`. `sums[place]` is an
    integer whose set bits are the sums that the units from `place` on can make (a subset-sum table).
    """
    order = [*first, *rest]
    smallest = min((unit.size for unit in order), default=0)
    most = min(most, max(2 * wanted, smallest if least else 0))
    if most <= 0:
        return []
    mask = (1 << (most + 1)) - 1
    sums = [1]
    for unit in reversed(order):
        sums.append((sums[-1] | sums[-1] << unit.size) & mask)
    sums.reverse()
    reachable = [size for size in range(least, most + 1) if sums[0] >> size & 1] or [0]
    left = min(reachable, key=lambda size: (abs(size - wanted), size))
    chosen = []
    for place, unit in enumerate(order):
        if unit.size <= left and sums[place + 1] >> (left - unit.size) & 1:
            left -= unit.size
            chosen.append(unit)
    return chosen


def _up_to(most: int, units: Iterable[_Unit]) -> tuple[list[_Unit], list[_Unit]]:
    """The first units that have at most `most` records together, and the others."""
    first, others = list[_Unit](), list[_Unit]()
    for unit in units:
        (first if _size(first) + unit.size <= most else others).append(unit)
    return first, others


def _size(units: Iterable[_Unit]) -> int:
    return sum(unit.size for unit in units)


def _clamp(value: int, least: int, most: int) -> int:
    return max(min(value, most), min(least, most))
