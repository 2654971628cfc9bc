"""Assembling a dataset from labelled queries: which are chosen, and how they are written.

As many records as the spec asks for, or as there are; the facets that lead their labels keep the spec's mix
as far as the labels allow. The choice follows from plan and labels alone.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distillery.generation.planner import apportion, near_copies
from distillery.task.prompts import student_prompt
from distillery.task.weights import dominant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from distillery.generation.planner import Planned
    from distillery.generation.spec import Spec
    from distillery.task.channels import Taxonomy
    from distillery.task.weights import Weights

LEEWAY = 0.02
"""How far a facet's share may lie from the mix before it is said."""
FEWEST = 100
"""Bedrock distils no smaller dataset."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A planned query with the teacher's answer."""

    planned: Planned
    weights: Weights
    reasoning: str

    @property
    def leads(self) -> str:
        """The facet with the largest weight."""
        return dominant(self.weights)


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes into the dataset, its share by leading facet, and what about it a person should know."""

    chosen: list[Labelled]
    mix: dict[str, float]
    near_copies: int
    remarks: list[str]


def choose(labelled: Sequence[Labelled], spec: Spec, taxonomy: Taxonomy) -> Choice:
    """Choose `spec.records` of the labelled queries, or all that there are."""
    pool, copies = _within_limit(labelled, spec)
    by_facet: dict[str, list[Labelled]] = {facet: [] for facet in taxonomy.names}
    for one in pool:
        by_facet[one.leads].append(one)
    counts = _counts({facet: len(found) for facet, found in by_facet.items()}, spec)
    chosen = [one for facet, found in by_facet.items() for one in found[: counts[facet]]]
    chosen.sort(key=lambda one: one.planned.number)
    kept = [one for one in chosen if one.planned.number in copies]
    too_many = len(kept) - math.floor(spec.near_copies * len(chosen) + 1e-9)
    if too_many > 0:
        dropped = {one.planned.number for one in kept[-too_many:]}
        chosen = [one for one in chosen if one.planned.number not in dropped]
    leading = Counter(one.leads for one in chosen)
    mix = {facet: leading[facet] / len(chosen) if chosen else 0.0 for facet in taxonomy.names}
    copies_kept = len(kept) - max(0, too_many)
    return Choice(chosen, mix, copies_kept, _remarks(mix, len(chosen), spec))


def record_line(query: str, weights: Weights, reasoning: str, taxonomy: Taxonomy) -> str:
    """One labelled line of a distillation dataset (bedrock-conversation-2024), with its end."""
    label = json.dumps({**weights, "reasoning": reasoning}, ensure_ascii=False)
    record = {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": student_prompt(taxonomy)}],
        "messages": [
            {"role": "user", "content": [{"text": query}]},
            {"role": "assistant", "content": [{"text": label}]},
        ],
    }
    return f"{json.dumps(record, ensure_ascii=False)}\n"


def dataset_bytes(chosen: Iterable[Labelled], taxonomy: Taxonomy) -> bytes:
    """The dataset's file."""
    return "".join(
        record_line(one.planned.query, one.weights, one.reasoning, taxonomy) for one in chosen
    ).encode()


def dataset_key(dataset: str, content: bytes) -> str:
    """Where a generated dataset goes: named after its content, so that the same is one object."""
    return f"datasets/{dataset}/generated-{hashlib.sha256(content).hexdigest()[:12]}.jsonl"


def _within_limit(labelled: Sequence[Labelled], spec: Spec) -> tuple[list[Labelled], set[int]]:
    """The labelled queries without near-copies beyond the limit, and the numbers of those that stay."""
    copies = near_copies([one.planned.query for one in labelled])
    most = math.floor(spec.near_copies * min(spec.records, len(labelled)) + 1e-9)
    beyond = set(copies[most:])
    pool = [one for index, one in enumerate(labelled) if index not in beyond]
    return pool, {labelled[index].planned.number for index in copies[:most]}


def _counts(available: Mapping[str, int], spec: Spec) -> dict[str, int]:
    """How many of each leading facet: the mix; where it lacks labels, others, first within the leeway."""
    wanted = min(spec.records, sum(available.values()))
    asked = apportion(spec.mix, wanted)
    counts = {facet: min(asked.get(facet, 0), found) for facet, found in available.items()}
    leeway = {facet: math.floor((spec.mix.get(facet, 0.0) + LEEWAY) * wanted + 1e-9) for facet in available}
    for most in (leeway, available):
        while (lacking := wanted - sum(counts.values())) > 0:
            room = {f: min(most[f], available[f]) - counts[f] for f in counts}
            room = {facet: free for facet, free in room.items() if free > 0}
            if not room:
                break
            for facet, more in apportion(room, min(lacking, sum(room.values()))).items():
                counts[facet] += more
    return counts


def _remarks(mix: Mapping[str, float], chosen: int, spec: Spec) -> list[str]:
    remarks = []
    if chosen < spec.records:
        remarks.append(f"{chosen} records instead of {spec.records}.")
    off = {f: share for f, share in mix.items() if abs(share - spec.mix.get(f, 0.0)) > LEEWAY + 1e-9}
    if off and chosen:
        told = ", ".join(f"{f} {share:.0%} instead of {spec.mix.get(f, 0.0):.0%}" for f, share in off.items())
        remarks.append(f"The labels do not allow the mix: {told}.")
    return remarks
