"""A customization job has ended: read it from Bedrock and deploy its model, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.errors import Permanent
from distillery.runs.states import Run, Stage, State

if TYPE_CHECKING:
    from distillery.aws.bedrock.jobs import Job
    from distillery.steps.run_steps import RunSteps

STEP = "deploy_model"
logger = Logger(child=True)


def deploy_model(job_arn: str, steps: RunSteps, run_id: str | None = None) -> Run | None:
    """Deploy the model of a job. Returns the run, or None when the job is not one of this stack.

    The run is the one that started the job, or `run_id`, which uses the model that another run trained.
    The event only names the job; its status and its model are read from Bedrock. A job that is still running
    is left to the poller.
    """
    job = steps.jobs.find(job_arn)
    run = steps.run_store.find(run_id or job.name) if job else None
    if job is None or run is None or run.job_arn not in {None, job.arn}:
        logger.info("not a job of this stack", job_arn=job_arn)
        return None
    if run.state is State.TRAINING and job.ended:
        with steps.fail_on_error(run, STEP):
            _move_to_deploying(run, job, steps)
        run = steps.run_store.get(run.run_id)
    if run.state is State.DEPLOYING and run.deployment_arn is None:
        with steps.fail_on_error(run, STEP):
            deployment = steps.deployments.start(run.run_id, run.model_arn or job.model_arn)
            steps.run_store.note(run.run_id, deployment_arn=deployment.arn)
    return steps.conclude(run.run_id, State.DEPLOYING)


def _move_to_deploying(run: Run, job: Job, steps: RunSteps) -> None:
    """Move the run to DEPLOYING once its model is active. Raises Permanent when job or model have failed."""
    if job.status != "Completed":
        raise Permanent(f"The customization job ended with status {job.status}. {job.failure}".strip())
    model = steps.deployments.model_status(job.model_arn)
    if model == "Failed":
        raise Permanent(f"The custom model {job.model_arn} has the status Failed.")
    if model != "Active":
        logger.info("model not active yet", model_arn=job.model_arn, status=model)
        return
    steps.watch(run.run_id, Stage.DEPLOYMENT)
    lineage = {"job_arn": job.arn, "model_arn": job.model_arn}
    steps.run_store.move(run.run_id, State.DEPLOYING, step=STEP, since=State.TRAINING, **lineage)
