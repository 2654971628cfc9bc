"""Lambda handler for the event `Model Deployed` on the stack's event bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.parser import envelopes, event_parser

from distillery.aws.idempotent_calls import CallInProgress, OutOfTime, one_at_a_time
from distillery.runs.events import ModelDeployed
from distillery.settings import EvaluateSettings
from distillery.steps.evaluate_model import evaluate_model, ready_for_evaluation
from distillery.steps.run_steps import RunSteps

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger, tracer = Logger(), Tracer()
settings = EvaluateSettings.load()
steps = RunSteps.from_settings(settings)


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@event_parser(model=ModelDeployed, envelope=envelopes.EventBridgeEnvelope)
def handler(event: ModelDeployed, context: LambdaContext) -> None:
    """Evaluate the deployed model and the other candidates."""
    logger.append_keys(run_id=event.run_id)
    if not ready_for_evaluation(event.run_id, steps):
        return
    try:
        one_at_a_time(
            "evaluate",
            settings.idempotency_table,
            event.run_id,
            context,
            lambda: evaluate_model(event.run_id, settings, steps, context),
        )
    except CallInProgress:
        logger.info("another invocation evaluates this run")
    except OutOfTime:
        # Not a failure that Lambda repeats: the poller sends the event again until the run's deadline.
        logger.warning("answers are missing; the next invocation asks for them")
