"""The watch: asks Bedrock for what emits no event or may lose one, and owns every deadline.

A message stands for one wait of one run and stays in the queue until the run has left that stage. Each
poll rings the doorbell that the next step waits for; ringing twice is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.errors import BadInput, Permanent
from distillery.runs.events import (
    DistillationFinished,
    EvaluationFinished,
    ModelDeployed,
    OwnEvent,
    WatchMessage,
)
from distillery.runs.states import STAGE_STATES, STAGES, Run, Stage, State, now, stage_of
from distillery.steps.run_steps import announcement, approved

if TYPE_CHECKING:
    from collections.abc import Callable

    from distillery.aws.queues import Queue
    from distillery.runs.events import GenerationWatch
    from distillery.steps.run_steps import Pipeline

STEP = "watch_bedrock"
STEP_GRACE = timedelta(seconds=30)
"""Until then the next step is taken to be on its way; after that its doorbell is rung again."""
FUNCTION_SECONDS = timedelta(seconds=900)
"""The longest a function may run: until then what is missing may still be in the making."""
RENEW_AFTER = 900
"""SQS counts every poll as a receive and gives a message up after 1,000: before that a fresh one is sent."""
logger = Logger(child=True)


def watch_bedrock(message: WatchMessage, pipeline: Pipeline, dead_letters: Queue) -> bool:
    """Poll one wait; True when it is over and the message may go."""
    run = pipeline.run_store.find(message.run_id)
    if run is None:
        # Asked for just before the run is opened; one that never was is kept for a person to see.
        overdue = now() >= message.deadline
        if overdue:
            dead_letters.dead_letter(message.model_dump_json(), f"The ledger knows no run {message.run_id}.")
        return overdue
    if run.state not in STAGE_STATES[message.stage]:
        return _has_settled(run, message, pipeline, dead_letters)
    try:
        bell = _poll(run, pipeline)
    except (BadInput, Permanent) as error:
        pipeline.fail(run.run_id, STEP, str(error))
        return True
    if bell is not None:
        pipeline.bus.say(bell)
    if now() < message.deadline:
        return False
    cause = f"The {message.stage} did not end before its deadline, {message.deadline:%F %T} UTC."
    if message.stage is Stage.APPROVAL and not run.is_approved:
        cause = f"Nobody approved the run before {message.deadline:%F %T} UTC."
    # A run that went on in the last moment has another owner by now.
    if pipeline.fail(run.run_id, STEP, cause, since=run.state):
        dead_letters.dead_letter(message.model_dump_json(), cause)
    return True


def _has_settled(run: Run, message: WatchMessage, pipeline: Pipeline, dead_letters: Queue) -> bool:
    """Whether a run outside the stage needs no more watching: what it has become is done and said."""
    overdue = now() >= message.deadline
    current = stage_of(run.state)
    if current is not None and STAGES.index(current) < STAGES.index(message.stage):
        # The function asked for the watch and died before the move; the stage before has an owner of its own.
        return overdue
    if run.state in {State.PROMOTED, State.NOT_PROMOTED} and run.announced is not run.state:
        if overdue:
            dead_letters.dead_letter(
                message.model_dump_json(), f"The run is {run.state}, but that was not acted upon."
            )
        elif _waited(run) > FUNCTION_SECONDS:
            pipeline.bus.say(_evaluation_wake_up(run))
        return overdue
    pipeline.finish_announcing(run)
    return True


class StillWaiting(Exception):
    """The wait goes on; the message becomes visible again after the back-off."""


def keep_watching(
    message: WatchMessage, receipt_handle: str, receives: int, pipeline: Pipeline, dead_letters: Queue
) -> None:
    """Poll one received message; raises StillWaiting unless it may leave the queue.

    Whatever goes wrong in a poll, the message is back for the next one within a poll interval.
    """
    received = Received(message, receipt_handle, receives)
    keep(received, lambda: watch_bedrock(message, pipeline, dead_letters), pipeline)


@dataclass(frozen=True, slots=True)
class Received:
    """A wait as it was received from the watch queue."""

    message: WatchMessage | GenerationWatch
    receipt_handle: str
    receives: int


def keep(received: Received, poll: Callable[[], bool], pipeline: Pipeline) -> None:
    """Poll any wait; the message leaves the queue when `poll` says that the wait is over."""
    over = False
    try:
        over = poll()
    finally:
        if not over:
            pause = _delay(received.receives, pipeline.settings.poll_interval_seconds)
            pipeline.watch_queue.hide(received.receipt_handle, pause)
    if over:
        return
    if received.receives >= RENEW_AFTER:
        pipeline.watch_queue.watch(received.message)
        return
    raise StillWaiting(f"This wait goes on: {received.message.model_dump_json()}")


def _delay(receives: int, interval: float) -> float:
    """Seconds until the next poll: a quarter of the interval, doubling up to the whole of it."""
    return float(max(1.0, min(interval, interval / 4 * 2 ** min(receives - 1, 8))))


def _poll(run: Run, pipeline: Pipeline) -> OwnEvent | None:
    """The doorbell to ring now, if any; Permanent when the run cannot go on."""
    match run.state:
        case State.VALIDATED:
            return announcement(run) if _waited(run) > STEP_GRACE else None
        case State.AWAITING_APPROVAL:
            return _approval_wake_up(run)
        case State.TRAINING:
            return _poll_job(run, pipeline)
        case State.DEPLOYING:
            return _poll_deployment(run, pipeline)
        case State.EVALUATING:
            return _poll_evaluation(run, pipeline)
        case _:
            return None


def _approval_wake_up(run: Run) -> OwnEvent | None:
    """For a run that was approved without anybody going on with it, or whose wait was never told."""
    if run.approval is not None:
        return approved(run) if now() - run.approval.at > STEP_GRACE else None
    if run.announced is run.state or _waited(run) <= STEP_GRACE:
        return None
    return announcement(run.model_copy(update={"state": State.VALIDATED}))


def _poll_job(run: Run, pipeline: Pipeline) -> OwnEvent | None:
    if run.job_arn is None:
        # The function that was to start it died, or Bedrock's quota was full: ring for it again.
        again = announcement(run.model_copy(update={"state": State.VALIDATED}))
        return again if _waited(run) > STEP_GRACE else None
    if not pipeline.jobs.get(run.job_arn).ended:
        return None
    return _job_wake_up(run, run.job_arn)


def _job_wake_up(run: Run, job_arn: str) -> OwnEvent:
    return DistillationFinished(
        run_id=run.run_id, job_arn=job_arn, message=f"The distillation of {run.dataset!r} has ended."
    )


def _poll_deployment(run: Run, pipeline: Pipeline) -> OwnEvent | None:
    if run.deployment_arn is None:
        return _job_wake_up(run, run.job_arn or "") if _waited(run) > STEP_GRACE else None
    deployment = pipeline.deployments.get(run.deployment_arn)
    if deployment.status == "Failed":
        raise Permanent(f"The deployment failed. {deployment.failure}".strip())
    return _deployment_wake_up(run, deployment.arn) if deployment.status == "Active" else None


def _deployment_wake_up(run: Run, deployment_arn: str) -> OwnEvent:
    return ModelDeployed(
        run_id=run.run_id, deployment_arn=deployment_arn, message=f"The model of {run.dataset!r} is deployed."
    )


def _poll_evaluation(run: Run, pipeline: Pipeline) -> OwnEvent | None:
    if not run.is_being_judged:
        return _deployment_wake_up(run, run.deployment_arn or "") if _waited(run) > FUNCTION_SECONDS else None
    jobs = [pipeline.evaluations.get(arn) for arn in run.evaluation_jobs.values()]
    if not all(job.ended for job in jobs):
        return None
    return _evaluation_wake_up(run)


def _evaluation_wake_up(run: Run) -> OwnEvent:
    return EvaluationFinished(run_id=run.run_id, message=f"The judges of {run.dataset!r} have ended.")


def _waited(run: Run) -> timedelta:
    """How long the run has been in its state."""
    entered = run.entered(run.state)
    return now() - entered if entered else timedelta()
