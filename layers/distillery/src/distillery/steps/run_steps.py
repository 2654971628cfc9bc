"""What the steps of a run share: publishing its events, its lineage, its waits, and its failure.

A step writes the run table first and publishes the event afterwards. A function may stop in between, so every
step that finds an ended run without its event publishes the event. An event that arrives twice has no effect,
because every receiver moves the run by a conditional write.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.aws.bedrock.deployments import Deployments
from distillery.aws.bedrock.evaluations import EvaluationJobs
from distillery.aws.bedrock.jobs import CustomizationJobs
from distillery.aws.event_bus import EventBus
from distillery.aws.queues import Queue
from distillery.aws.run_store import RunStore
from distillery.errors import BadInput, Permanent
from distillery.messages import usd
from distillery.runs import events
from distillery.runs.states import ENDED, EstimatedCost, Run, Stage, State, now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from distillery.settings import RunSettings

logger = Logger(child=True)


def announcement(run: Run) -> events.OwnEvent:
    """Return the event for the state of a run, made from the run's entry in the run table only."""
    run_id, dataset = run.run_id, f"{run.dataset!r} (run {run.run_id})"
    reasons = " ".join(run.reasons)
    match run.state:
        case State.VALIDATED:
            return events.DatasetValidated(
                run_id=run_id,
                message=f"Dataset {dataset} is valid: {run.counts.get('train', 0)} records for training, "
                f"{run.counts.get('holdout', 0)} held out for evaluation.",
            )
        case State.AWAITING_APPROVAL:
            return _approval_needed(run, dataset)
        case State.REJECTED:
            return events.DatasetRejected(
                run_id=run_id, message=f"Dataset {dataset} was rejected. No job was started. {reasons}"
            )
        case State.DUPLICATE:
            return events.DatasetRejected(
                run_id=run_id,
                duplicate_of=run.duplicate_of,
                message=f"Dataset {dataset} has the same content, models and rules as run "
                f"{run.duplicate_of}. No job was started. `distillery drop FILE --again` trains anyway.",
            )
        case State.TRAINING:
            return events.DistillationStarted(
                run_id=run_id,
                job_arn=run.job_arn or "",
                message=" ".join([f"The distillation of dataset {dataset} has started.", *run.warnings]),
            )
        case State.DEPLOYING:
            trained = f" It was trained by run {run.adopted_from}." if run.adopted_from else ""
            return events.DeploymentStarted(
                run_id=run_id,
                deployment_arn=run.deployment_arn or "",
                message=f"The deployment of the model of dataset {dataset} has started.{trained}",
            )
        case State.EVALUATING:
            return events.EvaluationStarted(
                run_id=run_id,
                evaluation_jobs=run.evaluation_jobs,
                message=f"The evaluation of the model of dataset {dataset} has started.",
            )
        case State.PROMOTED:
            if run.superseded:
                return events.ModelNotPromoted(
                    run_id=run_id,
                    message=f"The model of dataset {dataset} passed the quality gate but was not promoted, "
                    "because the active model changed in the meantime.",
                )
            return events.ModelPromoted(
                run_id=run_id,
                model_id=run.deployment_arn or "",
                message=f"The model of dataset {dataset} is now the active model. {reasons}",
            )
        case State.NOT_PROMOTED:
            return events.ModelNotPromoted(
                run_id=run_id, message=f"The model of dataset {dataset} was not promoted. {reasons}"
            )
        case State.FAILED:
            step, cause = (run.failure.step, run.failure.cause) if run.failure else ("", "")
            return events.RunFailed(
                run_id=run_id, step=step, cause=cause, message=f"Dataset {dataset} failed in {step}: {cause}"
            )
    raise ValueError(f"no event announces the state {run.state}")


def run_approved(run: Run) -> events.RunApproved:
    """Return the event that starts the distillation of an approved run."""
    decision = str(run.approval) if run.approval else "approved"
    return events.RunApproved(
        run_id=run.run_id, message=f"Dataset {run.dataset!r} (run {run.run_id}) was {decision}."
    )


def distillation_finished(run: Run) -> events.DistillationFinished:
    """Return the event that starts the deployment of the run's model."""
    return events.DistillationFinished(
        run_id=run.run_id,
        job_arn=run.job_arn or "",
        message=f"The distillation of dataset {run.dataset!r} has ended.",
    )


def _approval_needed(run: Run, dataset: str) -> events.ApprovalNeeded:
    estimate = run.estimate or EstimatedCost(low=0.0, high=0.0)
    unknown = f" (not included, as unknown: {', '.join(estimate.unknown)})" if estimate.unknown else ""
    until = (
        f" The run fails if nobody approves it before {run.approve_by:%F %T} UTC." if run.approve_by else ""
    )
    return events.ApprovalNeeded(
        run_id=run.run_id,
        low=estimate.low,
        high=estimate.high,
        message=f"Dataset {dataset} waits for approval: {estimate.approval_reason}. Its estimated cost is "
        f"{usd(estimate.low)} to {usd(estimate.high)}{unknown}. To approve it, run `distillery approve "
        f"{run.run_id}`. To reject it, run `distillery reject {run.run_id}`.{until}",
    )


@dataclass(frozen=True)
class RunSteps:
    """The resources that every step of a run uses, and what every step does with them."""

    settings: RunSettings
    run_store: RunStore
    event_bus: EventBus
    watch_queue: Queue
    jobs: CustomizationJobs = field(default_factory=CustomizationJobs)
    deployments: Deployments = field(default_factory=Deployments)
    evaluations: EvaluationJobs = field(default_factory=EvaluationJobs)

    @classmethod
    def from_settings(cls, settings: RunSettings) -> RunSteps:
        """Use the resources that the settings name."""
        return cls(
            settings=settings,
            run_store=RunStore(settings.runs_table),
            event_bus=EventBus(settings.event_bus),
            watch_queue=Queue(settings.watch_queue_url),
        )

    def announce(self, run: Run) -> None:
        """Publish the event for the run's state, then record that it is published.

        A run that has moved on in the meantime keeps what it has recorded about its new state.
        """
        self.event_bus.publish(announcement(run))
        self.run_store.note(run.run_id, during=run.state, announced=run.state)
        logger.info("announced", run_id=run.run_id, state=run.state)

    def conclude(self, run_id: str, state: State) -> Run:
        """End a step that starts something in Bedrock. Returns the run as it is afterwards.

        Announces what has started in `state`, and cleans up after a run that failed in the meantime.
        """
        run = self.run_store.get(run_id)
        if run.state is State.FAILED:
            self.clean_up(run)
        elif run.state is state:
            self.announce_start(run)
        return run

    def announce_start(self, run: Run) -> None:
        """Announce what has started in the run's stage, unless that is announced or has not started."""
        if run.has_started and run.announced is not run.state:
            self.announce(run)

    def watch(self, run_id: str, stage: Stage) -> datetime:
        """Send a wait to the poller. Returns its deadline, counted from now.

        A step calls this before it moves the run into the stage, so that no run is in a stage without a wait.
        """
        deadline = now() + self.settings.deadline(stage)
        self.watch_queue.watch(events.WatchMessage(run_id=run_id, stage=stage, deadline=deadline))
        return deadline

    def fail(self, run_id: str, step: str, cause: str, since: State | None = None) -> bool:
        """Move a run to FAILED, remove what it left running or deployed, and announce it.

        Returns whether the run is FAILED afterwards. Does nothing to a run that has ended in another state
        or, with `since`, has left that state. Transient errors pass through: the caller tries again and finds
        the run FAILED but not announced.
        """
        run = self.run_store.move(
            run_id, State.FAILED, step=step, since=since, failure={"step": step, "cause": cause}
        ) or self.run_store.get(run_id)
        if run.state is State.FAILED and run.announced is not State.FAILED:
            logger.warning("run failed", run_id=run_id, step=step, cause=cause)
            if run.failed_while_starting and not run.clean_up_again:
                self.run_store.note(run_id, clean_up_again=True)
            self.clean_up(run)
            self.announce(run)
        return run.state is State.FAILED

    def clean_up(self, run: Run) -> None:
        """Stop the jobs and delete the deployment of a run. Safe to repeat.

        A step may start something for a run that fails at that moment. So whoever finds its run failed cleans
        up, and the poller does so once more when no step can be at work any longer.
        """
        reached = {move.state for move in run.history}
        if State.TRAINING in reached and State.DEPLOYING not in reached:
            self.jobs.stop(run.run_id)
        if State.DEPLOYING in reached:
            self.deployments.delete(run.run_id)
        if State.EVALUATING in reached:
            self.evaluations.stop_all(run.run_id)

    @contextmanager
    def fail_on_error(self, run: Run, step: str) -> Iterator[None]:
        """Fail the run on BadInput and Permanent. Other errors pass through, so the step is tried again.

        A run that another invocation has moved on in the meantime does not fail: what stopped this invocation
        did not stop the other one.
        """
        try:
            yield
        except (BadInput, Permanent) as error:
            self.fail(run.run_id, step, str(error), since=run.state)

    def finish_announcing(self, run: Run) -> None:
        """Announce an ended run whose function stopped before it did."""
        if run.state is State.FAILED:
            self.fail(run.run_id, run.failure.step if run.failure else "", "")
        elif run.state in ENDED and run.announced is not run.state:
            self.announce(run)
