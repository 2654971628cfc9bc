"""Lambda handler for the event `Evaluation Finished` on the stack's event bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.parser import envelopes, event_parser

from distillery.runs.events import EvaluationFinished
from distillery.settings import PromoteSettings
from distillery.steps.promote_model import promote_model
from distillery.steps.run_steps import RunSteps

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
settings = PromoteSettings.load()
steps = RunSteps.from_settings(settings)


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@event_parser(model=EvaluationFinished, envelope=envelopes.EventBridgeEnvelope)
def handler(event: EvaluationFinished, context: LambdaContext) -> None:  # noqa: ARG001 (Lambda's signature)
    """Apply the quality gate to the run and promote its model if it passes."""
    logger.append_keys(run_id=event.run_id)
    run = promote_model(event.run_id, settings, steps)
    logger.info("run state", state=run.state)
