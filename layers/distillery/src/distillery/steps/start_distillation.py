"""`Dataset Validated` or `Run Approved`: look before the spend, wait for a person or start the job, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.aws.bedrock.jobs import Distillation
from distillery.aws.bucket import Bucket, run_key, training_output_prefix
from distillery.runs.states import Run, Stage, State
from distillery.steps.cost_checks import Spending

if TYPE_CHECKING:
    from distillery.aws.bedrock.models import FoundationModels
    from distillery.aws.roles import Roles
    from distillery.settings import StartSettings
    from distillery.steps.run_steps import Pipeline

STEP = "start_distillation"
logger = Logger(child=True)


def start_distillation(
    run_id: str,
    settings: StartSettings,
    pipeline: Pipeline,
    models: FoundationModels | None = None,
    roles: Roles | None = None,
) -> Run:
    """Start the run's job, or let the run wait for approval, and return the run as it is afterwards.

    The move to TRAINING comes first: it is the claim, and it is in the run table before Bedrock can say that
    the job has ended. A run found in TRAINING without a job was left by a function that died or by a full
    quota; the job's name makes starting it again safe.
    """
    run = pipeline.run_store.get(run_id)
    if run.state is State.VALIDATED or (run.state is State.AWAITING_APPROVAL and run.is_approved):
        with pipeline.failing(run_id, STEP):
            _claim(run, Spending.of(settings, pipeline, models, roles), pipeline)
        run = pipeline.run_store.get(run_id)
    if run.state is State.AWAITING_APPROVAL and run.announced is not run.state:
        pipeline.announce(run)
    if run.state is State.TRAINING and run.job_arn is None:
        with pipeline.failing(run_id, STEP):
            bucket = Bucket(settings.data_bucket)
            job = pipeline.jobs.start(
                Distillation(
                    name=run_id,
                    teacher=settings.teacher_model,
                    student=settings.student_model,
                    role_arn=settings.bedrock_role_arn,
                    training_uri=bucket.uri(run_key(run_id, "train.jsonl")),
                    output_uri=bucket.uri(training_output_prefix(run_id)),
                )
            )
            pipeline.record(run_id, State.TRAINING, job_arn=job.arn)
    return pipeline.run_store.get(run_id)


def _claim(run: Run, spending: Spending, pipeline: Pipeline) -> None:
    """Check, and move the run on: to TRAINING where its cost is within the limit or approved.

    What was approved is what was estimated, so an approved run is checked again but not estimated again.
    """
    lineage = spending.check(run)
    if not run.is_approved:
        estimate = spending.estimate(run)
        logger.info("estimated", run_id=run.run_id, estimate=estimate.sentence())
        short = estimate.short(spending.settings.max_run_cost_usd)
        lineage["estimate"] = short.model_dump()
        if short.approval_reason:
            lineage["approve_by"] = pipeline.watch(run.run_id, Stage.APPROVAL)
            to = State.AWAITING_APPROVAL
            pipeline.run_store.move(run.run_id, to, since=State.VALIDATED, step=STEP, **lineage)
            return
    pipeline.watch(run.run_id, Stage.DISTILLATION)
    pipeline.run_store.move(run.run_id, State.TRAINING, since=run.state, step=STEP, **lineage)
