"""Which queries are held out: whole clusters of near-duplicates, in the mix of the dataset, chosen by hash.

A unit is a cluster of near-duplicates, or a query that has none; it is on one side as a whole. Units are
ordered by the hash of their normalised text, and of each dominant channel's units the holdout takes from the
low end as many records as are its share. Neither the order of the lines nor anything else of the dataset
enters. When records are added the cuts move a little along that order: queries near a cut change sides,
all others stay; and those that a caller knows as held out before stay held out.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

MIN_TRAINING_RECORDS = 100
"""Bedrock starts no distillation job with fewer."""

Reference = Literal["labels", "teacher"]


@dataclass(slots=True)
class Group:
    """The records of one query; `dominants` counts the dominant channels of the labelled ones."""

    records: int = 0
    labelled: int = 0
    dominants: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Split:
    """What is held out.

    `reference` says what the holdout is compared with: its labels, or the teacher's answers.
    `set_aside` is False where the held-out queries are trained on as well.
    `wanted` is the size in records that the rules ask for, `aim` what is left of it where 100 records must
    be kept for training, `held` what it became. `strata` has channel -> (aimed at, held), in records.
    `left_out` are near-duplicates of held-out queries that lack a label: they can be on neither side.
    `kept` counts the queries that were held out before.
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
    """16 bytes that are equal for queries that differ in case, spacing or Unicode form only."""
    folded = query.casefold() if query.isascii() else _folded(query)
    # A half character cannot be encoded; records never have one, but this is asked of other texts too.
    text = " ".join(folded.split()).encode(errors="surrogatepass")
    return hashlib.sha256(text).digest()[:16]


def _folded(text: str) -> str:
    """Unicode's compatibility caseless form (definition D146 of the standard's section 3.13)."""
    folded = unicodedata.normalize("NFD", text).casefold()
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return unicodedata.normalize("NFKD", folded)


class _Unit(NamedTuple):
    """Queries that stay together: the lowest key, those that labels can measure, the others."""

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
    """Choose the holdout: `share` of the records, but no fewer than `least` and no more than `most`.

    Where labels exist only units whose every record is labelled are held out, and 100 records are kept
    for training: a smaller dataset gets a smaller holdout, and one that has nothing to spare trains on its
    holdout as well. The size is the nearest that whole units add up to. Where there are too few labels to
    give half of them away, all records are trained on and the holdout is one of prompts (each query counts
    once), to be compared with the teacher's answers.

    The units of queries in `held_before` are held out whatever the size; of their queries those that lack
    a label are left out of both sides.
    """
    before = frozenset(held_before) & groups.keys()
    labelled = sum(group.records for group in groups.values() if _complete(group))
    wanted = _clamp(round(share * labelled), least, most)
    if 2 * wanted > labelled:
        wanted = _clamp(round(share * len(groups)), least, most)
        others = sorted(groups.keys() - before)[: max(wanted - len(before), 0)]
        prompts = before.union(others)
        return Split(prompts, "teacher", False, wanted, aim=wanted, held=len(prompts), kept=len(before))
    units = _units(groups, clusters)
    kept = [unit for unit in units if not before.isdisjoint((*unit.measured, *unit.others))]
    names = {unit.key for unit in kept}
    free = [unit for unit in units if unit.key not in names and unit.measured and not unit.others]
    left_out = frozenset(key for unit in kept for key in unit.others)
    trained_at_most = sum(group.records for key, group in groups.items() if key not in left_out)
    spare = trained_at_most - MIN_TRAINING_RECORDS
    aim = min(wanted, spare)
    strata, chosen = _chosen(kept, free, aim, spare)
    set_aside = 0 < _size(chosen) <= spare
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
        kept=len(before),
    )


def _complete(group: Group) -> bool:
    return 0 < group.labelled == group.records


def _units(groups: Mapping[bytes, Group], clusters: Iterable[Collection[bytes]]) -> list[_Unit]:
    """Every query in exactly one unit, the units in the order of their keys."""
    together = [sorted(groups.keys() & set(cluster)) for cluster in clusters]
    clustered = {key for keys in together for key in keys}
    together += [[key] for key in groups if key not in clustered]
    return sorted((_unit(groups, keys) for keys in together if keys), key=lambda unit: unit.key)


def _unit(groups: Mapping[bytes, Group], keys: Sequence[bytes]) -> _Unit:
    group = groups[keys[0]]
    if len(keys) == 1 and len(group.dominants) == 1 and _complete(group):
        # Most are like this, and adding counters up takes its time.
        return _Unit(keys[0], (keys[0],), (), group.records, next(iter(group.dominants)))
    measured = tuple(key for key in keys if _complete(groups[key]))
    dominants = sum((groups[key].dominants for key in measured), Counter[str]())
    # Of several the first by name, so that the order of the lines does not decide.
    channel = min(dominants, key=lambda channel: (-dominants[channel], channel), default="")
    others = tuple(key for key in keys if key not in measured)
    return _Unit(keys[0], measured, others, sum(groups[key].records for key in measured), channel)


def _quotas(units: Iterable[_Unit], aim: int) -> dict[str, int]:
    """How many of `aim` records each dominant channel is due: its share, by largest remainders."""
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
    """Each channel's quota; and the kept units, with free ones so that all together are `aim` records.

    Where the first units of each channel do not add up, others take the place of as few of them as possible.
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
        # One record too many is better than a holdout of none.
        first = _adding_up(first, rest, missing, most - _size(kept), least=0 if kept else 1)
    return quotas, [*kept, *first]


def _adding_up(
    first: Sequence[_Unit], rest: Sequence[_Unit], wanted: int, most: int, *, least: int
) -> list[_Unit]:
    """Units whose records sum to `wanted`, or as near as they can from `least` to `most`, or none.

    Of the choices that do, one with as much of `first` as there is, then of the head of `rest`. Sums that
    the units from some place on can make are the bits of an integer.
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
    found = []
    for place, unit in enumerate(order):
        if unit.size <= left and sums[place + 1] >> (left - unit.size) & 1:
            left -= unit.size
            found.append(unit)
    return found


def _size(units: Iterable[_Unit]) -> int:
    return sum(unit.size for unit in units)


def _clamp(value: int, least: int, most: int) -> int:
    return max(min(value, most), min(least, most))
