"""What the steps of a generation share: saying what became of it, failing it, watching it, queueing queries.

As with runs, the run table is written first and said aloud second, and whoever finds an end that was not
announced announces it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.aws.bucket import Bucket
from distillery.aws.event_bus import Bus
from distillery.aws.generation_store import Generations, Labels
from distillery.aws.queues import Queue
from distillery.aws.stack_config import generation_channel_config
from distillery.errors import BadInput, Permanent
from distillery.generation.planner import load_plan
from distillery.generation.spec import parse_spec
from distillery.generation.states import GENERATION_ENDED, Generation, GenerationState, generation_key
from distillery.runs import events

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from distillery.generation.planner import Planned
    from distillery.generation.spec import Spec
    from distillery.settings import GenerationSettings, WatchSettings
    from distillery.task.channels import ChannelConfig

QUERIES_PER_MESSAGE = 10
SPEC, PLAN, SUMMARY = "spec.yaml", "plan.jsonl", "summary.json"
logger = Logger(child=True)


def announcement(generation: Generation) -> events.GenerationEvent:
    """The event that tells of the state a generation is in, made from its ledger entry alone."""
    name, run = generation.generation_id, generation.run_id or ""
    what = f"Dataset {generation.dataset!r} (generation {name})"
    reasons, counts = " ".join(generation.reasons), generation.counts
    match generation.state:
        case GenerationState.LABELLING:
            return events.DatasetPlanned(
                generation_id=name, message=f"{what} is planned: {generation.planned} queries to be labelled."
            )
        case GenerationState.ASSEMBLED:
            said = f"{what} is generated: {counts.get('records', 0)} records for ${generation.cost:.2f}."
            return events.DatasetGenerated(
                generation_id=name, run_id=run, message=f"{said} Run {run} distils it. {reasons}".strip()
            )
        case GenerationState.STOPPED:
            made = f"{counts.get('records', 0)} records" if generation.dataset_key else "no dataset"
            said = f"{what} has stopped with {made}, after ${generation.cost:.2f}. {reasons}"
            return events.GenerationStopped(
                generation_id=name, run_id=run, message=f"{said} Drop its spec again to go on."
            )
        case GenerationState.REJECTED:
            return events.GenerationFailed(
                generation_id=name,
                message=f"The spec of {what} was rejected and nothing was asked. {reasons}",
            )
        case GenerationState.FAILED:
            return events.GenerationFailed(generation_id=name, message=f"{what} failed. {reasons}")
    raise ValueError(f"nothing is announced of a generation in {generation.state}")


@dataclass(frozen=True)
class Generating:
    """A generation's surroundings, as every step needs them."""

    generations: Generations
    labels: Labels
    bucket: Bucket
    bus: Bus
    watch_queue: Queue
    label_queue: Queue

    @classmethod
    def of(cls, settings: GenerationSettings | WatchSettings) -> Generating:
        """The surroundings that the environment names."""
        return cls(
            generations=Generations(settings.generations_table),
            labels=Labels(settings.labels_table),
            bucket=Bucket(settings.data_bucket),
            bus=Bus(settings.event_bus),
            watch_queue=Queue(settings.watch_queue_url),
            label_queue=Queue(settings.label_queue_url),
        )

    def watch(self, generation_id: str, deadline: datetime) -> None:
        """Give the generation an owner; asked for before a move, so that none is ever unwatched."""
        self.watch_queue.watch(events.GenerationWatch(generation_id=generation_id, deadline=deadline))

    def announce(self, generation: Generation) -> None:
        """Say what state the generation is in unless that was said, and remember having said it."""
        if generation.announced == generation.ending or generation.state is GenerationState.PLANNING:
            return
        self.bus.say(announcement(generation))
        self.generations.note(generation.generation_id, announced=generation.ending)
        logger.info("announced", generation_id=generation.generation_id, state=generation.state)

    def finish_announcing(self, generation: Generation) -> None:
        """Complete the end of a generation whose function died before it was said aloud."""
        if generation.state in GENERATION_ENDED:
            self.announce(generation)

    def end(self, generation_id: str, state: GenerationState, step: str, *reasons: str) -> None:
        """End a generation as REJECTED or FAILED, and say so; nothing happens to one that has ended."""
        self.generations.move(generation_id, state, step=step, reasons=list(reasons))
        self.finish_announcing(self.generations.get(generation_id))

    @contextmanager
    def failing(self, generation_id: str, step: str) -> Iterator[None]:
        """What can never succeed fails the generation; all else passes through to be tried again."""
        try:
            yield
        except (BadInput, Permanent) as error:
            self.end(generation_id, GenerationState.FAILED, step, str(error))

    def plan(self, generation_id: str) -> list[Planned]:
        """The queries that were planned."""
        return load_plan(self.bucket.read(generation_key(generation_id, PLAN)))

    def spec(self, generation_id: str) -> Spec:
        """The spec as it was dropped."""
        return parse_spec(self.bucket.read(generation_key(generation_id, SPEC)))

    def channel_config(self, generation_id: str) -> ChannelConfig:
        """The channel configuration that the generation was planned with."""
        return generation_channel_config(self.bucket, generation_id)

    def queue_missing(self, generation_id: str, planned: Collection[Planned]) -> int:
        """Queue every query that has no label yet; returns how many."""
        known = self.labels.numbers(generation_id)
        missing = [one for one in planned if one.number not in known]
        self.label_queue.send(
            [
                label_message(generation_id, missing[at : at + QUERIES_PER_MESSAGE])
                for at in range(0, len(missing), QUERIES_PER_MESSAGE)
            ]
        )
        return len(missing)


def label_message(generation_id: str, planned: Collection[Planned]) -> str:
    """A message of the label queue."""
    queries = [{"number": one.number, "query": one.query} for one in planned]
    return json.dumps({"generation_id": generation_id, "queries": queries}, ensure_ascii=False)
