"""`Dataset Validated` or `Run Approved`: check the cost, then wait for approval or start the job, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.aws.bedrock.jobs import Distillation
from distillery.aws.bucket import Bucket, run_key, training_output_prefix
from distillery.runs.states import Run, Stage, State
from distillery.steps.cost_checks import CostChecks

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
    if run.state is State.VALIDATED or (run.state is State.AWAITING_APPROVAL and run.is_approved):
        with steps.fail_on_error(run, STEP):
            _check_and_move(run, CostChecks.from_settings(settings, steps, models, roles), steps)
        run = steps.run_store.get(run_id)
    if run.state is State.AWAITING_APPROVAL and run.announced is not run.state:
        steps.announce(run)
    if run.state is State.TRAINING and run.job_arn is None:
        with steps.fail_on_error(run, STEP):
            bucket = Bucket(settings.data_bucket)
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
    return steps.conclude(run_id, State.TRAINING)


def _check_and_move(run: Run, cost_checks: CostChecks, steps: RunSteps) -> None:
    """Move the run to TRAINING if its cost is within the limits or approved, else to AWAITING_APPROVAL.

    An approved run is checked again but not estimated again: the approval is for the estimate that it has.
    """
    lineage = cost_checks.check(run)
    if not run.is_approved:
        estimate = cost_checks.estimate(run)
        logger.info("estimated", run_id=run.run_id, estimate=estimate.sentence())
        short = estimate.short(cost_checks.settings.max_run_cost_usd)
        if not short.approval_reason:
            short = cost_checks.within_day(run, short)
        lineage["estimate"] = short.model_dump()
        if short.approval_reason:
            lineage["approve_by"] = steps.watch(run.run_id, Stage.APPROVAL)
            to = State.AWAITING_APPROVAL
            steps.run_store.move(run.run_id, to, since=State.VALIDATED, step=STEP, **lineage)
            return
    elif run.estimate:
        cost_checks.within_day(run, run.estimate)
    steps.watch(run.run_id, Stage.DISTILLATION)
    steps.run_store.move(run.run_id, State.TRAINING, since=run.state, step=STEP, **lineage)
