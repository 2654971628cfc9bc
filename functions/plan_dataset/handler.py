"""Lambda handler for `Object Created` from Amazon S3 for keys under `specs/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.parser import event_parser

# The parser model, not the data class: the data class turns a plus sign in an object key into a space.
from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel

from distillery.aws.idempotent_calls import IdempotentCalls
from distillery.runs.events import dropped_object
from distillery.settings import PlanSettings
from distillery.steps.generation_steps import GenerationSteps
from distillery.steps.plan_dataset import plan_dataset
from distillery.steps.teacher_queries import TeacherQueryWriter

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
settings = PlanSettings.load()
steps = GenerationSteps.from_settings(settings)
paid = IdempotentCalls("invent", settings.idempotency_table)


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@event_parser(model=S3EventNotificationEventBridgeModel)
def handler(event: S3EventNotificationEventBridgeModel, context: LambdaContext) -> None:
    """Plan the dataset that the uploaded spec describes."""
    generation = plan_dataset(
        dropped_object(event), settings.teacher_model, steps, TeacherQueryWriter(paid, context)
    )
    logger.info("generation state", generation_id=generation.generation_id, state=generation.state)
