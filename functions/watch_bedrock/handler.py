"""Lambda handler for messages from the watch queue: the poller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from pydantic import TypeAdapter, ValidationError

from distillery.aws.queues import Queue
from distillery.runs.events import GenerationWatch, WatchMessage
from distillery.settings import WatchSettings
from distillery.steps.generation_steps import GenerationSteps
from distillery.steps.run_steps import RunSteps
from distillery.steps.watch_bedrock import ReceivedWait, poll_message, poll_wait
from distillery.steps.watch_generation import watch_generation
from distillery.validation_messages import first_problem

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
settings = WatchSettings.load()
run_steps = RunSteps.from_settings(settings)
generation_steps = GenerationSteps.from_settings(settings)
waits: TypeAdapter[WatchMessage | GenerationWatch] = TypeAdapter(WatchMessage | GenerationWatch)
dead_letters = Queue(settings.dead_letter_queue_url)


def poll(record: SQSRecord) -> None:
    """Poll the subject of one message; raises StillWaiting to leave the message in the queue."""
    try:
        message = waits.validate_json(record.body)
    except ValidationError as error:
        problem = first_problem(error, "the message")
        dead_letters.dead_letter(record.body, f"This is not a watch message: {problem}.")
        return
    receives = int(record.attributes.approximate_receive_count or 1)
    if isinstance(message, WatchMessage):
        poll_message(message, record.receipt_handle, receives, run_steps, dead_letters)
        return
    wait = message
    received = ReceivedWait(wait, record.receipt_handle, receives)
    poll_wait(received, lambda: watch_generation(wait, generation_steps, dead_letters), run_steps)


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Poll the subject of each message; report the messages to keep (partial batch response)."""
    return process_partial_response(event=event, record_handler=poll, processor=processor, context=context)
