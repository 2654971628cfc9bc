"""The poller: polls Bedrock where it emits no event or may lose one, and enforces every deadline.

A message of the watch queue is one wait of one run. It stays in the queue until the run has left that stage.
A poll sends the wake-up event that starts the next step; sending it more than once has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.aws.clients import Missing
from distillery.errors import BadInput, Permanent, Transient
from distillery.runs.events import (
    EvaluationFinished,
    ModelDeployed,
    OwnEvent,
    WatchMessage,
)
from distillery.runs.states import STAGE_STATES, STAGES, Run, Stage, State, now, stage_of
from distillery.steps.run_steps import announcement, distillation_finished, run_approved

if TYPE_CHECKING:
    from collections.abc import Callable

    from distillery.aws.queues import Queue
    from distillery.runs.events import GenerationWatch
    from distillery.steps.run_steps import RunSteps

STEP = "watch_bedrock"
STEP_GRACE = timedelta(seconds=30)
"""How long the next step may take to start before its wake-up event is sent again."""
FUNCTION_SECONDS = timedelta(seconds=900)
"""The longest that a function may run. For that long the function of a step may still be at work."""
READ_LAG = timedelta(minutes=5)
"""How long a job or deployment may be missing after its stage began.

AWS does not document whether a read may lag behind a create.
"""
RENEW_AFTER = 900
"""Polls after which a new message replaces the old one.

SQS counts every poll as a receive, and 1,000 is the largest maxReceiveCount of a redrive policy.
"""
logger = Logger(child=True)


def watch_bedrock(message: WatchMessage, steps: RunSteps, dead_letters: Queue) -> bool:
    """Poll one wait. Returns True when it is over and the message can be deleted."""
    run = steps.run_store.find(message.run_id)
    if run is None:
        # The wait is sent just before the run is created. If no run was created by the deadline, the message
        # goes to the dead-letter queue.
        overdue = now() >= message.deadline
        if overdue:
            dead_letters.dead_letter(message.model_dump_json(), f"The run table has no run {message.run_id}.")
        return overdue
    if run.state not in STAGE_STATES[message.stage]:
        return _is_over(run, message, steps, dead_letters)
    try:
        if (wake_up := _poll(run, steps)) is not None:
            steps.event_bus.publish(wake_up)
        if _waited(run) > STEP_GRACE:
            steps.announce_start(run)
    except (BadInput, Permanent) as error:
        steps.fail(run.run_id, STEP, str(error), since=run.state)
        return _is_over(steps.run_store.get(run.run_id), message, steps, dead_letters)
    except Transient:
        # The deadline holds during an outage of a service, too.
        if now() < message.deadline:
            raise
        logger.exception("poll failed at the deadline", run_id=run.run_id)
    if now() < message.deadline:
        return False
    cause = f"The {message.stage} did not finish before its deadline, {message.deadline:%F %T} UTC."
    if message.stage is Stage.APPROVAL and not run.is_approved:
        cause = f"Nobody approved the run before {message.deadline:%F %T} UTC."
    # A run that left the state at the last moment has another wait by now.
    if steps.fail(run.run_id, STEP, cause, since=run.state):
        dead_letters.dead_letter(message.model_dump_json(), cause)
    return _is_over(steps.run_store.get(run.run_id), message, steps, dead_letters)


def _is_over(run: Run, message: WatchMessage, steps: RunSteps, dead_letters: Queue) -> bool:
    """Return whether the wait of a run that is not in the stage is over."""
    overdue = now() >= message.deadline
    current = stage_of(run.state)
    if current is not None and STAGES.index(current) < STAGES.index(message.stage):
        # The function sent this wait and stopped before the move. The wait of the earlier stage still runs.
        return overdue
    if run.state in {State.PROMOTED, State.NOT_PROMOTED} and run.announced is not run.state:
        if overdue:
            dead_letters.dead_letter(
                message.model_dump_json(), f"The run is {run.state}, but the verdict was not applied."
            )
        elif _waited(run) > FUNCTION_SECONDS:
            steps.event_bus.publish(_evaluation_wake_up(run))
        return overdue
    steps.finish_announcing(run)
    if run.state is State.FAILED and steps.run_store.get(run.run_id).clean_up_again:
        # A step that was at work when the run failed may have started something since.
        if _waited(run) <= FUNCTION_SECONDS:
            return False
        steps.clean_up(run)
    return True


class StillWaiting(Exception):
    """The wait goes on. The message stays in the queue and becomes visible again after a delay."""


def poll_message(
    message: WatchMessage, receipt_handle: str, receives: int, steps: RunSteps, dead_letters: Queue
) -> None:
    """Poll one received message. Raises StillWaiting unless the message can be deleted.

    After any error the message becomes visible again within one poll interval.
    """
    received = ReceivedWait(message, receipt_handle, receives)
    poll_wait(received, lambda: watch_bedrock(message, steps, dead_letters), steps)


@dataclass(frozen=True, slots=True)
class ReceivedWait:
    """A wait received from the watch queue."""

    message: WatchMessage | GenerationWatch
    receipt_handle: str
    receives: int


def poll_wait(received: ReceivedWait, poll: Callable[[], bool], steps: RunSteps) -> None:
    """Poll a wait of a run or a generation. Raises StillWaiting, or the error of the poll, if it goes on.

    A message that has been received often is replaced by a new one, whatever the poll does: SQS would move it
    to the dead-letter queue.
    """
    try:
        if poll():
            return
        goes_on: Exception = StillWaiting(f"The wait goes on: {received.message.model_dump_json()}")
    except Exception as error:  # noqa: BLE001 (raised again, or logged when the message is replaced)
        goes_on = error
    if received.receives >= RENEW_AFTER:
        steps.watch_queue.watch(received.message)
        logger.info("wait renewed", reason=str(goes_on))
        return
    delay = _delay(received.receives, steps.settings.poll_interval_seconds)
    steps.watch_queue.hide(received.receipt_handle, delay)
    raise goes_on


def _delay(receives: int, interval: float) -> float:
    """Return the seconds until the next poll: a quarter of the interval, doubling up to the interval."""
    return float(max(1.0, min(interval, interval / 4 * 2 ** min(receives - 1, 8))))


def _poll(run: Run, steps: RunSteps) -> OwnEvent | None:
    """Return the wake-up event to send now, if any. Raises Permanent when the run cannot go on."""
    try:
        return _poll_stage(run, steps)
    except Missing:
        if _waited(run) > READ_LAG:
            raise
        return None


def _poll_stage(run: Run, steps: RunSteps) -> OwnEvent | None:
    match run.state:
        case State.VALIDATED:
            return announcement(run) if _waited(run) > STEP_GRACE else None
        case State.AWAITING_APPROVAL:
            return _poll_approval(run)
        case State.TRAINING:
            return _poll_job(run, steps)
        case State.DEPLOYING:
            return _poll_deployment(run, steps)
        case State.EVALUATING:
            return _poll_evaluation(run, steps)
        case _:
            return None


def _poll_approval(run: Run) -> OwnEvent | None:
    """Return an event for an approved run that has not started, or a wait for approval not yet announced."""
    if run.approval is not None:
        return run_approved(run) if now() - run.approval.at > STEP_GRACE else None
    if run.announced is run.state or _waited(run) <= STEP_GRACE:
        return None
    return announcement(run.model_copy(update={"state": State.VALIDATED}))


def _poll_job(run: Run, steps: RunSteps) -> OwnEvent | None:
    if run.job_arn is None:
        # The function stopped before it started the job, or a quota was full: send the event of the step
        # again.
        again = announcement(run.model_copy(update={"state": State.VALIDATED}))
        return again if _waited(run) > STEP_GRACE else None
    if not steps.jobs.get(run.job_arn).ended:
        return None
    return distillation_finished(run)


def _poll_deployment(run: Run, steps: RunSteps) -> OwnEvent | None:
    if run.deployment_arn is None:
        return distillation_finished(run) if _waited(run) > STEP_GRACE else None
    deployment = steps.deployments.get(run.deployment_arn)
    if deployment.status == "Failed":
        raise Permanent(f"The deployment failed. {deployment.failure}".strip())
    return _deployment_wake_up(run, deployment.arn) if deployment.status == "Active" else None


def _deployment_wake_up(run: Run, deployment_arn: str) -> OwnEvent:
    return ModelDeployed(
        run_id=run.run_id,
        deployment_arn=deployment_arn,
        message=f"The model of dataset {run.dataset!r} is deployed.",
    )


def _poll_evaluation(run: Run, steps: RunSteps) -> OwnEvent | None:
    if not run.is_being_judged:
        return _deployment_wake_up(run, run.deployment_arn or "") if _waited(run) > FUNCTION_SECONDS else None
    jobs = [steps.evaluations.get(arn) for arn in run.evaluation_jobs.values()]
    if not all(job.ended for job in jobs):
        return None
    return _evaluation_wake_up(run)


def _evaluation_wake_up(run: Run) -> OwnEvent:
    return EvaluationFinished(
        run_id=run.run_id, message=f"The evaluation jobs of dataset {run.dataset!r} have ended."
    )


def _waited(run: Run) -> timedelta:
    """Return how long the run has been in its state."""
    entered = run.entered(run.state)
    return now() - entered if entered else timedelta()
