"""The watch over a generation: counts labels, rings when none is waited for, queues again what was lost."""

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
    from distillery.steps.generation_steps import Generating

STEP = "watch_bedrock"
PLANNING_TIME = timedelta(minutes=60)
"""Three times fifteen minutes that the planner may run, and Lambda's pauses between its tries."""
REQUEUE_AFTER = timedelta(minutes=15)
"""Without a new label for so long, messages are taken to be lost: longer than one stays hidden at most."""
logger = Logger(child=True)


def watch_generation(message: GenerationWatch, generating: Generating, dead_letters: Queue) -> bool:
    """Poll one generation; True when it is over and the message may go."""
    generation = generating.generations.find(message.generation_id)
    if generation is None:
        # Asked for just before the generation is opened; one that never was is kept for a person to see.
        overdue = now() >= message.deadline
        if overdue:
            reason = f"The ledger knows no generation {message.generation_id}."
            dead_letters.dead_letter(message.model_dump_json(), reason)
        return overdue
    if generation.state in GENERATION_ENDED:
        generating.finish_announcing(generation)
        return True
    if generation.state is GenerationState.PLANNING:
        return _has_lost_its_planner(generation, generating)
    with generating.failing(generation.generation_id, STEP):
        _poll(generation, generating)
    return False


def _has_lost_its_planner(generation: Generation, generating: Generating) -> bool:
    since = generation.entered(GenerationState.PLANNING)
    if since is None or now() - since < PLANNING_TIME:
        return False
    reason = "Planning did not end in time; drop the spec again to go on."
    generating.end(generation.generation_id, GenerationState.FAILED, STEP, reason)
    return True


def _poll(generation: Generation, generating: Generating) -> None:
    name = generation.generation_id
    dealt_with = generating.labels.count(name)
    if why_complete(generation, dealt_with) is not None:
        message = f"{dealt_with} of {generation.planned} queries of {generation.dataset!r} are dealt with."
        generating.bus.say(LabelsComplete(generation_id=name, message=message))
    elif dealt_with > generation.seen:
        generating.generations.note(name, seen=dealt_with, progress_at=now().isoformat())
    elif generation.progress_at is None or now() - generation.progress_at > REQUEUE_AFTER:
        count = generating.queue_missing(name, generating.plan(name))
        generating.generations.note(name, progress_at=now().isoformat())
        logger.warning("queries were queued again", generation_id=name, queries=count)
