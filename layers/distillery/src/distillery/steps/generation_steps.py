"""What the steps of a generation share: publishing its events, its waits, its failure, queueing its queries.

As with runs, a step writes the table first and publishes the event afterwards. Every step that finds an ended
generation without its event publishes the event.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from distillery.aws.bucket import Bucket
from distillery.aws.event_bus import EventBus
from distillery.aws.generation_store import Generations, Labels
from distillery.aws.queues import Queue
from distillery.aws.stack_config import generation_channel_config
from distillery.errors import BadInput, Permanent
from distillery.generation.planner import load_plan
from distillery.generation.spec import parse_spec
from distillery.generation.states import GENERATION_ENDED, Generation, GenerationState, generation_key
from distillery.runs import events
from distillery.runs.states import now

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
    """Return the event for the state of a generation, made from its entry in the table only."""
    name, run_id = generation.generation_id, generation.run_id or ""
    dataset = f"{generation.dataset!r} (generation {name})"
    records, cost = generation.counts.get("records", 0), f"${generation.cost:.2f}"
    reasons = " ".join(generation.reasons)
    match generation.state:
        case GenerationState.LABELLING:
            message = f"Dataset {dataset} is planned: {generation.planned} queries to label."
            return events.DatasetPlanned(generation_id=name, message=message)
        case GenerationState.ASSEMBLED:
            message = (
                f"Dataset {dataset} is generated: {records} records for {cost}. Run {run_id} distils it."
            )
            return events.DatasetGenerated(
                generation_id=name, run_id=run_id, message=f"{message} {reasons}".strip()
            )
        case GenerationState.STOPPED:
            content = f"{records} records" if generation.dataset_key else "no dataset"
            message = (
                f"The generation of dataset {dataset} stopped with {content}. Its cost so far is {cost}."
            )
            return events.GenerationStopped(
                generation_id=name,
                run_id=run_id,
                message=f"{message} {reasons} To continue, drop the spec again.",
            )
        case GenerationState.REJECTED:
            message = f"The spec of dataset {dataset} was rejected. No model was called. {reasons}"
            return events.GenerationFailed(generation_id=name, message=message)
        case GenerationState.FAILED:
            message = f"The generation of dataset {dataset} failed. {reasons}"
            return events.GenerationFailed(generation_id=name, message=message)
    raise ValueError(f"no event announces the state {generation.state}")


@dataclass(frozen=True)
class GenerationSteps:
    """The resources that every step of a generation uses, and what every step does with them."""

    generations: Generations
    labels: Labels
    bucket: Bucket
    event_bus: EventBus
    watch_queue: Queue
    label_queue: Queue

    @classmethod
    def from_settings(cls, settings: GenerationSettings | WatchSettings) -> GenerationSteps:
        """Use the resources that the settings name."""
        return cls(
            generations=Generations(settings.generations_table),
            labels=Labels(settings.labels_table),
            bucket=Bucket(settings.data_bucket),
            event_bus=EventBus(settings.event_bus),
            watch_queue=Queue(settings.watch_queue_url),
            label_queue=Queue(settings.label_queue_url),
        )

    def watch(self, generation_id: str, deadline: datetime) -> None:
        """Send a wait to the poller. Called before a move, so that no generation is without a wait.

        The poller keeps a wait that it receives before the move: the generation does not exist yet, or it
        is going to continue.
        """
        self.watch_queue.watch(events.GenerationWatch(generation_id=generation_id, deadline=deadline))

    def announce(self, generation: Generation) -> Generation:
        """Publish the event for the generation's state, once, and record that it is published.

        Returns the generation as it is afterwards.
        """
        silent = {GenerationState.PLANNING, GenerationState.ASSEMBLING}
        if generation.announced == generation.ending or generation.state in silent:
            return generation
        self.event_bus.publish(announcement(generation))
        logger.info("announced", generation_id=generation.generation_id, state=generation.state)
        return self.generations.note(generation.generation_id, announced=generation.ending) or generation

    def finish_announcing(self, generation: Generation) -> Generation:
        """Announce an ended generation whose function stopped before it did."""
        return self.announce(generation) if generation.state in GENERATION_ENDED else generation

    def resume(self, generation: Generation, step: str, *, watched: bool = False) -> Generation:
        """Continue an ended generation, once it is announced, if its spec was dropped again since.

        Whoever finds it in that state continues it: the function that received the spec, the poller, or the
        function that ended it. One of them makes the move. Sends a wait to the poller, unless `watched` says
        that there is one. Returns the generation as it is afterwards.
        """
        generation = self.finish_announcing(generation)
        if not generation.continues:
            return generation
        name = generation.generation_id
        if not watched:
            self.watch(name, generation.deadline or now())
        failed = generation.state is GenerationState.FAILED
        moved = self.generations.move(
            name,
            GenerationState.PLANNING if failed else GenerationState.LABELLING,
            step=step,
            since=generation.state,
            unchanged={"dropped_again": True},
            dropped_again=False,
            reasons=[],
            **({} if failed else progress()),
        )
        if moved and not failed:
            self.queue_missing(name, self.plan(name))
            self.announce(moved)
        return self.generations.get(name)

    def end(self, generation_id: str, state: GenerationState, step: str, *reasons: str) -> None:
        """Move a generation to REJECTED or FAILED and announce it. Does nothing to one that has ended."""
        self.generations.move(generation_id, state, step=step, reasons=list(reasons), dropped_again=False)
        self.finish_announcing(self.generations.get(generation_id))

    @contextmanager
    def fail_on_error(self, generation_id: str, step: str) -> Iterator[None]:
        """Fail the generation on BadInput and Permanent. Other errors pass through."""
        try:
            yield
        except (BadInput, Permanent) as error:
            self.end(generation_id, GenerationState.FAILED, step, str(error))

    def plan(self, generation_id: str) -> list[Planned]:
        """Return the planned queries."""
        return load_plan(self.bucket.read(generation_key(generation_id, PLAN)))

    def spec(self, generation_id: str) -> Spec:
        """Return the spec, as it was dropped."""
        return parse_spec(self.bucket.read(generation_key(generation_id, SPEC)))

    def channel_config(self, generation_id: str) -> ChannelConfig:
        """Return the channel configuration that the generation was planned with."""
        return generation_channel_config(self.bucket, generation_id)

    def queue_missing(self, generation_id: str, planned: Collection[Planned]) -> int:
        """Queue every planned query that has no label yet. Returns how many."""
        known = self.labels.numbers(generation_id)
        missing = [one for one in planned if one.number not in known]
        self.label_queue.send(
            [
                label_message(generation_id, missing[at : at + QUERIES_PER_MESSAGE])
                for at in range(0, len(missing), QUERIES_PER_MESSAGE)
            ]
        )
        return len(missing)


def progress() -> dict[str, Any]:
    """Return what the poller records, at the start of labelling."""
    return {"seen": 0, "progress_at": now().isoformat()}


def label_message(generation_id: str, planned: Collection[Planned]) -> str:
    """Return the body of a message of the label queue."""
    queries = [{"number": one.number, "query": one.query} for one in planned]
    return json.dumps({"generation_id": generation_id, "queries": queries}, ensure_ascii=False)
