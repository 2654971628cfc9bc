"""Lambda handler for query messages from the query queue."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes import SQSEvent

from distillery.settings import RouteSettings
from distillery.steps.route_queries import Router

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer, metrics = Logger(), Tracer(), Metrics()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
router = Router(RouteSettings.load(), metrics)


@metrics.log_metrics
@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Answer a batch; report each message that must return to the queue (partial batch response)."""
    batch = router.answer(SQSEvent(event).records, context)
    with processor(records=event["Records"], handler=partial(router.settle, batch=batch)):
        processor.process()
    return processor.response()
