"""Which schedules are explored: a short sample in the suite, all of them with `make explore`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tests.races.cloud import FAULTS, Invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from tests.races.cloud import FaultKind
    from tests.races.pipeline import Delivery, Pipeline

    World = Callable[[], AbstractContextManager[Pipeline]]

ItemT = TypeVar("ItemT")
EXPLORE = bool(os.environ.get("EXPLORE"))
"""Set by `make explore`."""


def sample(schedules: Iterable[ItemT], size: int) -> Sequence[ItemT]:
    """All schedules with `make explore`; else `size` of them, spread evenly."""
    every = list(schedules)
    if EXPLORE or len(every) <= size:
        return every
    return [every[len(every) * at // size] for at in range(size)]


@dataclass(frozen=True)
class Fault:
    """A fault at one call of the n-th delivery to a function."""

    target: str
    number: int
    call: int
    kind: FaultKind
    name: str

    def plan(self, target: str, number: int) -> Invocation | None:
        """The plan of a pipeline that has this fault."""
        if (target, number) == (self.target, self.number):
            return Invocation(faults={self.call: self.kind})
        return None

    def __str__(self) -> str:
        return f"{self.target} {self.number}: {self.kind} at call {self.call}, {self.name}"


def single_faults(invocations: Iterable[tuple[str, Invocation]]) -> list[Fault]:
    """Every kind of fault at every call of invocations that were recorded without faults.

    Of the polls that are equal, only the first counts.
    """
    faults, numbers, seen = [], dict[str, int](), set[tuple[str, ...]]()
    for target, invocation in invocations:
        number = numbers[target] = numbers.get(target, -1) + 1
        calls = tuple(invocation.calls)
        if target == "watch" and calls in seen:
            continue
        seen.add(calls)
        faults += [
            Fault(target, number, call, kind, name) for call, name in enumerate(calls) for kind in FAULTS
        ]
    return faults


def until(pipeline: Pipeline, target: str) -> Delivery:
    """Run the pipeline until a delivery to a function is due. Takes it out of the pending ones."""
    while True:
        due = [delivery for delivery in pipeline.pending if delivery.target == target]
        if due:
            pipeline.cloud.clock.move_to(max(due[0].due, pipeline.cloud.now))
            pipeline.pending.remove(due[0])
            return due[0]
        pipeline.next_step()
