"""Lambda handler for `Object Created` from Amazon S3 for keys under `datasets/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.parser import event_parser

# The parser model, not the data class: the data class turns a plus sign in an object key into a space.
from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel

from distillery.runs.events import dropped_object
from distillery.runs.names import is_ignored
from distillery.settings import ValidateSettings
from distillery.steps.run_steps import RunSteps
from distillery.steps.validate_dataset import validate_dataset

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
settings = ValidateSettings.load()
steps = RunSteps.from_settings(settings)


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@event_parser(model=S3EventNotificationEventBridgeModel)
def handler(event: S3EventNotificationEventBridgeModel, context: LambdaContext) -> None:  # noqa: ARG001 (Lambda's)
    """Validate the uploaded dataset and split it into training and holdout."""
    source = dropped_object(event)
    if is_ignored(source.key):
        logger.info("object ignored", key=source.key)
        return
    run = validate_dataset(source, settings, steps)
    logger.info("run state", run_id=run.run_id, state=run.state)
