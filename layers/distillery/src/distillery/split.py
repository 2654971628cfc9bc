"""Which queries are held out: chosen by hash, so that the choice is stable and equal queries stay together.

Queries are ordered by the hash of their normalised text and the holdout takes them from the low end until
it is full. Neither the order of the lines nor anything else of the dataset enters. When records are added
the cut moves a little along that order: queries near the cut change sides, all others stay.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_TRAINING_RECORDS = 100
"""Bedrock starts no distillation job with fewer."""

Reference = Literal["labels", "teacher"]


@dataclass(slots=True)
class Group:
    """The records of one query."""

    records: int = 0
    labelled: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """What is held out.

    `reference` says what the holdout is compared with: its labels, or the teacher's answers.
    `set_aside` is False where the held-out queries are trained on as well.
    `wanted` is the size in records that the rules ask for.
    """

    queries: frozenset[bytes]
    reference: Reference
    set_aside: bool
    wanted: int


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


def plan_split(groups: Mapping[bytes, Group], *, share: float, least: int, most: int) -> Split:
    """Choose the holdout: `share` of the records, but no fewer than `least` and no more than `most`.

    Where labels exist only queries whose every record is labelled are held out, and 100 records are kept
    for training: a smaller dataset gets a smaller holdout, and one that has nothing to spare trains on its
    holdout as well. Where there are too few labels to give half of them away, all records are trained on
    and the holdout is one of prompts (each query counts once), to be compared with the teacher's answers.
    """
    complete = {key: group.records for key, group in groups.items() if group.labelled == group.records}
    labelled = sum(complete.values())
    wanted = _clamp(round(share * labelled), least, most)
    if 2 * wanted > labelled:
        wanted = _clamp(round(share * len(groups)), least, most)
        prompts = _lowest(dict.fromkeys(groups, 1), wanted)
        return Split(prompts, reference="teacher", set_aside=False, wanted=wanted)
    spare = sum(group.records for group in groups.values()) - MIN_TRAINING_RECORDS
    chosen = _lowest(complete, min(wanted, spare))
    if chosen:
        return Split(chosen, reference="labels", set_aside=True, wanted=wanted)
    return Split(_lowest(complete, wanted), reference="labels", set_aside=False, wanted=wanted)


def _lowest(sizes: Mapping[bytes, int], room: int) -> frozenset[bytes]:
    """The queries with the lowest hashes that fit into `room` records; one that is too large is passed."""
    chosen = []
    for key in sorted(sizes):
        if room <= 0:
            break
        if sizes[key] <= room:
            chosen.append(key)
            room -= sizes[key]
    return frozenset(chosen)


def _clamp(value: int, least: int, most: int) -> int:
    return max(min(value, most), min(least, most))
