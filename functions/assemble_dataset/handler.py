"""Lambda handler for the event `Labels Complete` on the stack's event bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.parser import envelopes, event_parser

from distillery.runs.events import LabelsComplete
from distillery.settings import GenerationSettings
from distillery.steps.assemble_dataset import assemble_dataset
from distillery.steps.generation_steps import GenerationSteps

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
steps = GenerationSteps.from_settings(GenerationSettings.load())


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@event_parser(model=LabelsComplete, envelope=envelopes.EventBridgeEnvelope)
def handler(event: LabelsComplete, context: LambdaContext) -> None:  # noqa: ARG001 (Lambda's signature)
    """Assemble the dataset of a generation from its labels."""
    logger.append_keys(generation_id=event.generation_id)
    generation = assemble_dataset(event.generation_id, steps)
    logger.info("generation state", state=generation.state, run_id=generation.run_id)
