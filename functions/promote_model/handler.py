"""Lambda handler for the event `Evaluation Finished` on the stack's event bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.parser import envelopes, event_parser

from distillery.aws.idempotent_calls import CallInProgress, one_at_a_time
from distillery.runs.events import EvaluationFinished
from distillery.settings import PromoteSettings
from distillery.steps.promote_model import VerdictPending, promote_model
from distillery.steps.run_steps import RunSteps

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
settings = PromoteSettings.load()
steps = RunSteps.from_settings(settings)


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@event_parser(model=EvaluationFinished, envelope=envelopes.EventBridgeEnvelope)
def handler(event: EvaluationFinished, context: LambdaContext) -> None:
    """Apply the quality gate to the run and promote its model if it passes."""
    logger.append_keys(run_id=event.run_id)
    try:
        one_at_a_time(
            "promote",
            settings.idempotency_table,
            event.run_id,
            context,
            lambda: promote_model(event.run_id, settings, steps),
        )
    except CallInProgress:
        logger.info("another invocation decides on this run")
    except VerdictPending:
        logger.info("an evaluation job is still running")
