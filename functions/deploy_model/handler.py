"""Lambda handler for Bedrock's job state changes and the poller's `Distillation Finished`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.parser import event_parser

from distillery.runs.events import JobWakeUp
from distillery.settings import RunSettings
from distillery.steps.deploy_model import deploy_model
from distillery.steps.run_steps import RunSteps

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
steps = RunSteps.from_settings(RunSettings.load())


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@event_parser(model=JobWakeUp)
def handler(event: JobWakeUp, context: LambdaContext) -> None:  # noqa: ARG001 (Lambda's signature)
    """Deploy the model of a completed customization job. Jobs that this stack did not start are ignored."""
    run = deploy_model(event.job_arn, steps, event.run_id)
    if run is not None:
        logger.info("run state", run_id=run.run_id, state=run.state)
