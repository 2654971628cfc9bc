"""Lambda handler for the events `Dataset Validated` and `Run Approved` on the stack's event bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.parser import envelopes, event_parser

from distillery.runs.events import OwnEvent
from distillery.settings import StartSettings
from distillery.steps.run_steps import RunSteps
from distillery.steps.start_distillation import start_distillation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
settings = StartSettings.load()
steps = RunSteps.from_settings(settings)


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
# Neither event is trusted for state: the run table says whether the run may start.
@event_parser(model=OwnEvent, envelope=envelopes.EventBridgeEnvelope)
def handler(event: OwnEvent, context: LambdaContext) -> None:  # noqa: ARG001 (Lambda's signature)
    """Start the run's customization job, or let the run wait for cost approval."""
    logger.append_keys(run_id=event.run_id)
    run = start_distillation(event.run_id, settings, steps)
    logger.info("run state", state=run.state)
