"""A customization job rings: ask Bedrock for it, and deploy the model it made, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.errors import Permanent
from distillery.runs.states import Run, Stage, State

if TYPE_CHECKING:
    from distillery.aws.bedrock.jobs import Job
    from distillery.steps.run_steps import Pipeline

STEP = "deploy_model"
logger = Logger(child=True)


def deploy_model(job_arn: str, pipeline: Pipeline) -> Run | None:
    """Deploy what a job made; None when the job is nobody's of this stack.

    The event is only a doorbell: status and model are what Bedrock says now. A job that is still running
    is left to the watch.
    """
    job = pipeline.jobs.find(job_arn)
    run = pipeline.run_store.find(job.name) if job else None
    if job is None or run is None or run.job_arn not in {None, job.arn}:
        logger.info("not a job of this stack", job_arn=job_arn)
        return None
    if run.state is State.TRAINING and job.ended:
        with pipeline.failing(run.run_id, STEP):
            _claim(run, job, pipeline)
        run = pipeline.run_store.get(run.run_id)
    if run.state is State.DEPLOYING and run.deployment_arn is None:
        with pipeline.failing(run.run_id, STEP):
            deployment = pipeline.deployments.start(run.run_id, run.model_arn or job.model_arn)
            pipeline.record(run.run_id, State.DEPLOYING, deployment_arn=deployment.arn)
    return pipeline.run_store.get(run.run_id)


def _claim(run: Run, job: Job, pipeline: Pipeline) -> None:
    if job.status != "Completed":
        raise Permanent(f"The customization job ended as {job.status}. {job.failure}".strip())
    model = pipeline.deployments.model_status(job.model_arn)
    if model == "Failed":
        raise Permanent(f"The custom model {job.model_arn} ended as Failed.")
    if model != "Active":
        logger.info("the model is not active yet", model_arn=job.model_arn, status=model)
        return
    pipeline.watch(run.run_id, Stage.DEPLOYMENT)
    pipeline.run_store.move(run.run_id, State.DEPLOYING, step=STEP, job_arn=job.arn, model_arn=job.model_arn)
