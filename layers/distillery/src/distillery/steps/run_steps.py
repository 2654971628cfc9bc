"""What all steps of a run share: saying what became of it, failing it, putting it under watch.

The ledger is written first and said aloud second. Whoever finds a run whose last move was never
announced (the function died in between) announces it; hearing the same thing twice is harmless, since
every receiver moves the run conditionally.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from distillery.aws.bedrock.deployments import Deployments
from distillery.aws.bedrock.evaluations import EvaluationJobs
from distillery.aws.bedrock.jobs import CustomizationJobs
from distillery.aws.event_bus import Bus
from distillery.aws.queues import Queue
from distillery.aws.run_store import RunStore
from distillery.errors import BadInput, Permanent
from distillery.messages import usd
from distillery.runs import events
from distillery.runs.states import ENDED, EstimatedCost, Run, Stage, State, now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from distillery.settings import PipelineSettings

logger = Logger(child=True)


def announcement(run: Run) -> events.OwnEvent:
    """The event that tells of the state a run is in, made from its ledger entry alone."""
    name, dataset = run.run_id, f"Dataset {run.dataset!r} (run {run.run_id})"
    counts = run.counts
    match run.state:
        case State.VALIDATED:
            return events.DatasetValidated(
                run_id=name,
                message=f"{dataset} is valid: {counts.get('train', 0)} records to train on, "
                f"{counts.get('holdout', 0)} held out.",
            )
        case State.AWAITING_APPROVAL:
            return _approval_needed(run, dataset)
        case State.REJECTED:
            return events.DatasetRejected(
                run_id=name,
                message=f"{dataset} was rejected and nothing was started. {' '.join(run.reasons)}",
            )
        case State.DUPLICATE:
            return events.DatasetRejected(
                run_id=name,
                duplicate_of=run.duplicate_of,
                message=f"{dataset} holds the same content as run {run.duplicate_of}; nothing was started.",
            )
        case State.TRAINING:
            return events.DistillationStarted(
                run_id=name,
                job_arn=run.job_arn or "",
                message=" ".join([f"{dataset} is being distilled.", *run.warnings]),
            )
        case State.DEPLOYING:
            return events.DeploymentStarted(
                run_id=name,
                deployment_arn=run.deployment_arn or "",
                message=f"The model of {dataset} is being deployed.",
            )
        case State.EVALUATING:
            return events.EvaluationStarted(
                run_id=name,
                evaluation_jobs=run.evaluation_jobs,
                message=f"The model of {dataset} is being judged.",
            )
        case State.PROMOTED:
            if run.superseded:
                return events.ModelNotPromoted(
                    run_id=name,
                    message=f"The model of {dataset} passed, but the active model was moved meanwhile.",
                )
            return events.ModelPromoted(
                run_id=name,
                model_id=run.deployment_arn or "",
                message=f"The model of {dataset} is now in charge. {' '.join(run.reasons)}",
            )
        case State.NOT_PROMOTED:
            return events.ModelNotPromoted(
                run_id=name, message=f"The model of {dataset} was not promoted. {' '.join(run.reasons)}"
            )
        case State.FAILED:
            step, cause = (run.failure.step, run.failure.cause) if run.failure else ("", "")
            return events.RunFailed(
                run_id=name, step=step, cause=cause, message=f"{dataset} failed in {step}: {cause}"
            )
    raise ValueError(f"nothing is announced of a run in {run.state}")


def approved(run: Run) -> events.RunApproved:
    """The event that lets an approved run go on."""
    said = str(run.approval) if run.approval else "approved"
    return events.RunApproved(
        run_id=run.run_id, message=f"Dataset {run.dataset!r} (run {run.run_id}) was {said}."
    )


def _approval_needed(run: Run, dataset: str) -> events.ApprovalNeeded:
    estimate = run.estimate or EstimatedCost(low=0.0, high=0.0)
    unknown = f" (not known: {', '.join(estimate.unknown)})" if estimate.unknown else ""
    until = f" It waits until {run.approve_by:%F %T} UTC." if run.approve_by else ""
    return events.ApprovalNeeded(
        run_id=run.run_id,
        low=estimate.low,
        high=estimate.high,
        message=f"{dataset} waits for approval: {estimate.approval_reason}. Its cost is estimated at "
        f"{usd(estimate.low)} to {usd(estimate.high)}{unknown}. To go on: distillery approve {run.run_id} - to end "
        f"it: distillery reject {run.run_id}.{until}",
    )


@dataclass(frozen=True)
class Pipeline:
    """A run's surroundings, as every step needs them."""

    settings: PipelineSettings
    run_store: RunStore
    bus: Bus
    watch_queue: Queue
    jobs: CustomizationJobs = field(default_factory=CustomizationJobs)
    deployments: Deployments = field(default_factory=Deployments)
    evaluations: EvaluationJobs = field(default_factory=EvaluationJobs)

    @classmethod
    def of(cls, settings: PipelineSettings) -> Pipeline:
        """The surroundings that the environment names."""
        return cls(
            settings=settings,
            run_store=RunStore(settings.runs_table),
            bus=Bus(settings.event_bus),
            watch_queue=Queue(settings.watch_queue_url),
        )

    def announce(self, run: Run) -> None:
        """Say what state the run is in, and remember having said it."""
        self.bus.say(announcement(run))
        self.run_store.note(run.run_id, announced=run.state)
        logger.info("announced", run_id=run.run_id, state=run.state)

    def record(self, run_id: str, state: State, **lineage: Any) -> None:
        """Note what a step has started, and say that it has, once it is complete.

        A run that was failed meanwhile loses what was started for it.
        """
        run = self.run_store.note(run_id, **lineage) or self.run_store.get(run_id)
        if run.state is State.FAILED:
            self._clean_up(run)
        complete = state is not State.EVALUATING or run.is_being_judged
        if run.state is state and run.announced is not state and complete:
            self.announce(run)

    def watch(self, run_id: str, stage: Stage) -> datetime:
        """Give a wait its owner and its deadline, counted from now; returns the deadline.

        Asked for before the move into the stage, so that no run is ever in a stage that nobody watches.
        """
        deadline = now() + self.settings.deadline(stage)
        self.watch_queue.watch(events.WatchMessage(run_id=run_id, stage=stage, deadline=deadline))
        return deadline

    def fail(self, run_id: str, step: str, cause: str, since: State | None = None) -> bool:
        """End a run in FAILED, remove what it left running or deployed, and say so; whether it is failed.

        Does nothing to a run that has ended otherwise or, with `since`, has left that state. Transient errors
        pass through: whoever failed the run tries again, and finds it FAILED but unannounced.
        """
        run = self.run_store.move(
            run_id, State.FAILED, step=step, since=since, failure={"step": step, "cause": cause}
        ) or self.run_store.get(run_id)
        if run.state is State.FAILED and run.announced is not State.FAILED:
            logger.warning("run failed", run_id=run_id, step=step, cause=cause)
            self._clean_up(run)
            self.announce(run)
        return run.state is State.FAILED

    def _clean_up(self, run: Run) -> None:
        reached = {move.state for move in run.history}
        if State.TRAINING in reached and State.DEPLOYING not in reached:
            self.jobs.stop(run.run_id)
        if State.DEPLOYING in reached:
            self.deployments.delete(run.run_id)
        for arn in run.evaluation_jobs.values():
            self.evaluations.stop(arn)

    @contextmanager
    def failing(self, run_id: str, step: str) -> Iterator[None]:
        """What can never succeed fails the run; all else passes through to be tried again."""
        try:
            yield
        except (BadInput, Permanent) as error:
            self.fail(run_id, step, str(error))

    def finish_announcing(self, run: Run) -> None:
        """Complete the end of a run whose function died before it was said aloud."""
        if run.state is State.FAILED:
            self.fail(run.run_id, run.failure.step if run.failure else "", "")
        elif run.state in ENDED and run.announced is not run.state:
            self.announce(run)
