"""Polls a generation: counts labels, sends the wake-up event when labelling is over, queues lost queries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.generation.states import GENERATION_ENDED, Generation, GenerationState
from distillery.runs.events import GenerationWatch, LabelsComplete
from distillery.runs.states import now
from distillery.steps.assemble_dataset import why_complete

if TYPE_CHECKING:
    from distillery.aws.queues import Queue
    from distillery.steps.generation_steps import GenerationSteps

STEP = "watch_bedrock"
PLANNING_TIME = timedelta(minutes=60)
"""Three invocations of at most 15 minutes each, and Lambda's pauses between its tries."""
REQUEUE_AFTER = timedelta(minutes=15)
"""Messages count as lost after this long without a new label: longer than a message is ever hidden."""
logger = Logger(child=True)


def watch_generation(message: GenerationWatch, steps: GenerationSteps, dead_letters: Queue) -> bool:
    """Poll one generation. Returns True when its wait is over and the message can be deleted."""
    generation = steps.generations.find(message.generation_id)
    if generation is None:
        # The wait is sent just before the generation is created. If none was created by the deadline, the
        # message goes to the dead-letter queue.
        overdue = now() >= message.deadline
        if overdue:
            reason = f"The generations table has no generation {message.generation_id}."
            dead_letters.dead_letter(message.model_dump_json(), reason)
        return overdue
    generation = steps.resume(generation, STEP, watched=True)
    if generation.state in GENERATION_ENDED:
        steps.finish_announcing(generation)
        return True
    if generation.state is GenerationState.PLANNING:
        return _fail_overdue_planning(generation, steps)
    with steps.fail_on_error(generation.generation_id, STEP):
        _poll(generation, steps)
    return False


def _fail_overdue_planning(generation: Generation, steps: GenerationSteps) -> bool:
    """Fail a generation that has been in PLANNING for too long. Returns whether it did."""
    since = generation.entered(GenerationState.PLANNING)
    if since is None or now() - since < PLANNING_TIME:
        return False
    reason = "Planning did not finish in time. To try again, drop the spec again."
    steps.end(generation.generation_id, GenerationState.FAILED, STEP, reason)
    return True


def _poll(generation: Generation, steps: GenerationSteps) -> None:
    name = generation.generation_id
    settled = steps.labels.count(name)
    assembling = generation.state is GenerationState.ASSEMBLING
    if assembling or why_complete(generation, settled) is not None:
        message = f"{settled} of {generation.planned} queries of dataset {generation.dataset!r} are settled."
        steps.event_bus.publish(LabelsComplete(generation_id=name, message=message))
    elif settled > generation.seen:
        steps.generations.note(name, seen=settled, progress_at=now().isoformat())
    elif generation.progress_at is None or now() - generation.progress_at > REQUEUE_AFTER:
        count = steps.queue_missing(name, steps.plan(name))
        steps.generations.note(name, progress_at=now().isoformat())
        logger.warning("queries queued again", generation_id=name, queries=count)
