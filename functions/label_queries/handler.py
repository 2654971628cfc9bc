"""Lambda handler for planned queries from the label queue."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes import SQSEvent

from distillery.settings import LabelSettings
from distillery.steps.label_queries import QueryLabeller

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
labeller = QueryLabeller(LabelSettings.load())


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Label a batch; report each message that must return to the queue (partial batch response)."""
    batch = labeller.label(SQSEvent(event).records, context)
    with processor(records=event["Records"], handler=partial(labeller.settle, batch=batch)):
        processor.process()
    return processor.response()
