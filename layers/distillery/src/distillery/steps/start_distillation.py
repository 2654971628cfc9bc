"""`Dataset Validated` or `Run Approved`: check the cost, then wait for approval or start the job, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.aws.bedrock.jobs import Distillation
from distillery.aws.bucket import Bucket, run_key, training_output_prefix
from distillery.aws.content_owners import ContentOwners
from distillery.runs.states import Run, Stage, State
from distillery.steps.cost_checks import CostChecks
from distillery.steps.run_steps import distillation_finished
from distillery.steps.trained_models import TrainedModels
from distillery.steps.validated_files import TRAINING_FILES, publish_files

if TYPE_CHECKING:
    from distillery.aws.bedrock.models import FoundationModels
    from distillery.aws.roles import Roles
    from distillery.settings import StartSettings
    from distillery.steps.run_steps import RunSteps

STEP = "start_distillation"
logger = Logger(child=True)


def start_distillation(
    run_id: str,
    settings: StartSettings,
    steps: RunSteps,
    models: FoundationModels | None = None,
    roles: Roles | None = None,
) -> Run:
    """Start the run's job, or move the run to AWAITING_APPROVAL. Returns the run as it is afterwards.

    The run moves to TRAINING before the job starts, so only one function starts it, and the state is in the
    run table before Bedrock reports the end of the job. A run in TRAINING without a job was left by a
    function that stopped, or by a quota that was full. Starting the job again is safe, because Bedrock
    refuses a second job of the same name.
    """
    run = steps.run_store.get(run_id)
    bucket = Bucket(settings.data_bucket)
    if run.state is State.VALIDATED or (run.state is State.AWAITING_APPROVAL and run.is_approved):
        if run.state is State.VALIDATED and run.announced is not State.VALIDATED:
            # The function that validated the dataset stopped, or is about to publish them.
            publish_files(run, bucket, TRAINING_FILES)
        trained_models = TrainedModels(ContentOwners(settings.claims_table), steps, bucket)
        with steps.fail_on_error(run, STEP):
            cost_checks = CostChecks.from_settings(settings, steps, models, roles)
            _check_and_move(run, cost_checks, trained_models, steps)
        run = steps.run_store.get(run_id)
    if run.state is State.AWAITING_APPROVAL and run.announced is not run.state:
        steps.announce(run)
    if run.state is State.TRAINING and run.job_arn is None:
        with steps.fail_on_error(run, STEP):
            job = steps.jobs.start(
                Distillation(
                    name=run_id,
                    teacher=run.models["teacher"],
                    student=run.models["student"],
                    role_arn=settings.bedrock_role_arn,
                    training_uri=bucket.uri(run_key(run_id, "train.jsonl")),
                    output_uri=bucket.uri(training_output_prefix(run_id)),
                )
            )
            steps.run_store.note(run_id, job_arn=job.arn)
    if run.state is State.DEPLOYING and run.adopted_from and run.deployment_arn is None:
        steps.event_bus.publish(distillation_finished(run))
    return steps.conclude(run_id, State.TRAINING)


def _check_and_move(
    run: Run, cost_checks: CostChecks, trained_models: TrainedModels, steps: RunSteps
) -> None:
    """Move the run on if its cost is within the limits or approved, else to AWAITING_APPROVAL.

    It moves to TRAINING, or to DEPLOYING when an earlier run has trained its model. An approved run is
    checked again but not estimated again: the approval is for the estimate that it has.
    """
    trained = trained_models.find(run)
    lineage = cost_checks.check(run, trained=trained is not None)
    if not run.is_approved:
        estimate = cost_checks.estimate(run, trained=trained is not None)
        logger.info("estimated", run_id=run.run_id, estimate=estimate.sentence())
        short = estimate.short(cost_checks.settings.max_run_cost_usd)
        if not short.approval_reason:
            short = cost_checks.within_day(run, short)
        lineage["estimate"] = short.model_dump()
        if short.approval_reason:
            lineage["adopted_from"] = trained.run_id if trained else None
            lineage["approve_by"] = steps.watch(run.run_id, Stage.APPROVAL)
            to = State.AWAITING_APPROVAL
            steps.run_store.move(run.run_id, to, since=State.VALIDATED, step=STEP, **lineage)
            return
    elif run.estimate:
        cost_checks.within_day(run, run.estimate)
    if trained:
        lineage |= trained_models.adopt(run, trained)
        steps.watch(run.run_id, Stage.DEPLOYMENT)
        steps.run_store.move(run.run_id, State.DEPLOYING, since=run.state, step=STEP, **lineage)
        return
    trained_models.own(run)
    steps.watch(run.run_id, Stage.DISTILLATION)
    steps.run_store.move(run.run_id, State.TRAINING, since=run.state, step=STEP, **lineage)
